"""Where mail addresses come from. Knows their form; asks nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from gateway.core.user_id import user_id

# Deliberately narrow: no quoting, comments, groups or lists, nothing a header could misread.
_ADDRESS: Final = re.compile(
    r"[^\s<>()\[\]\\,;:@\"\x00-\x1f\x7f]{1,64}@[^\s<>()\[\]\\,;:@\"\x00-\x1f\x7f]{1,253}"
)


def mail_address(found: object) -> str | None:
    """A usable address, or None. People can write what they like into their account.

    Its domain comes in ASCII (RFC 5890), so that only a local part outside it needs SMTPUTF8.
    """
    if not isinstance(found, str):
        return None
    stripped = found.strip()
    if not _ADDRESS.fullmatch(stripped) or not stripped.isprintable():
        return None
    local, _, domain = stripped.rpartition("@")
    try:
        return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError:
        return None


def from_map(addresses: Mapping[str, str]) -> Callable[[str], Awaitable[str | None]]:
    """Look-up in a map of the configuration, however the names in it are written."""
    by_id = {user_id(name): address for name, address in addresses.items()}

    async def look_up(user: str) -> str | None:
        return by_id.get(user)

    return look_up


def in_devpi_user(body: bytes) -> str | None:
    """The address in devpi's answer to `GET /{user}`; None where there is none.

    {"type": "userconfig", "result": {"username": "alice", "email": "alice@example.org", …}}
    """
    try:
        found = json.loads(body)["result"].get("email")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return mail_address(found)
