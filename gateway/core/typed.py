"""How a code that somebody typed is read: once, for pages, passwords and headers alike.

Knows how codes are written; knows no factor and nobody's secret.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.core.http.facts import Facts

LONGEST: Final = 64
"""Characters of a code as it is typed, blanks and hyphens included."""

# The full-width forms of printable ASCII (Unicode block FF00), which input methods type; NFKC would
# take much else for digits, too.
_WIDE: Final = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
# Blanks and dashes of every script that stand between the groups of a code, and marks that copying
# leaves at its ends.
_BETWEEN: Final = re.compile(r"[\s\u002d\u2010-\u2015\u2212\u200b\u2060\ufeff]+")
_DIGITS: Final = re.compile(r"[0-9]{6}")  # `\d` and str.isdigit take the digits of any script
_BASE32: Final = re.compile(r"[A-Z2-7]{16}")
# What was meant for a code, be it mistyped: what it is wrong about is the code then.
_LIKE_A_CODE: Final = re.compile(r"[0-9]{6}|[0-9A-Z]{16}")
# A comma as it is on a keyboard, or as it comes with full-width digits.
_COMMAS: Final = re.compile("[,\uff0c]")


def plain(text: str) -> str:
    """Text as typed, in plain characters and capitals, without blanks and hyphens."""
    return _BETWEEN.sub("", text.translate(_WIDE)).upper()


def one_time_code(text: str) -> str | None:
    """Six ASCII digits (RFC 6238), None for anything else."""
    found = plain(text) if len(text) <= LONGEST else ""
    return found if _DIGITS.fullmatch(found) else None


def recovery_code(text: str) -> str | None:
    """Sixteen characters of base32 (RFC 4648 section 6), the two lookalikes put right."""
    found = plain(text).replace("0", "O").replace("1", "I") if len(text) <= LONGEST else ""
    return found if _BASE32.fullmatch(found) else None


def split_code(secret: str) -> tuple[str, str] | None:
    """Password and code in "password,123456", the code as it was typed; None if there is none.

    What only looks like one may be the end of a password: whoever splits asks for the whole, too,
    where a password alone would do.
    """
    commas = list(_COMMAS.finditer(secret))
    if not commas or commas[-1].start() == 0:
        return None
    password, code = secret[: commas[-1].start()], secret[commas[-1].end() :]
    if len(code) > LONGEST or not _LIKE_A_CODE.fullmatch(plain(code)):
        return None
    return password, code


def header_code(facts: Facts) -> str:
    """The code in X-OTP, "" for none. Values are octets (RFC 9110 section 5.5); typed as UTF-8."""
    value = (facts.first("x-otp") or "").strip()
    try:
        return value.encode("latin-1").decode("utf-8")
    except ValueError:
        return value
