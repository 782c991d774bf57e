"""How the pages write times, numbers and codes. Pure; times are seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

FACTORS: Final = {
    "totp": "authenticator app",
    "webauthn": "security key or passkey",
    "recovery": "recovery code",
}
"""The kinds of factor as people call them."""


def moment(when: float) -> str:
    """A time for people: 22 November 2026, 16:50 UTC."""
    at = datetime.fromtimestamp(when, UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def moment_iso(when: float) -> str:
    """The same for the datetime attribute (HTML, valid global date and time string)."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def groups(text: str, size: int = 4) -> str:
    """Text in groups, as people read and type it: ABCD EFGH."""
    return " ".join(text[at : at + size] for at in range(0, len(text), size))


def many(count: int, one: str, more: str = "") -> str:
    """A number with its noun: 1 code, 3 codes."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def factor(recorded: str) -> str:
    """A factor as the audit trail has it (kind and name), in words: authenticator app “phone”."""
    kind, _, name = recorded.partition(" ")
    called = FACTORS.get(kind, kind)
    return f"{called} “{name}”" if name else called
