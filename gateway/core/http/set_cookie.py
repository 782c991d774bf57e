"""Read a Set-Cookie of the upstream (RFC 6265 section 5.2), as far as holding it back needs.

A cookie that only ends a session has no value left; everything else hands one out. What passes
is kept from requests that foreign pages start (`with_same_site`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# What frameworks write instead of an empty value when they delete a cookie (with an expiry in
# the past beside it).
_ENDED: Final = frozenset({"", '""', "deleted", "deleteMe"})
_SAME_SITE: Final = frozenset({"strict", "lax", "none"})
_BLANK: Final = " \t"


@dataclass(frozen=True, slots=True)
class SetCookie:
    """One cookie on its way to the client. value: with the quotes it came with."""

    name: str
    value: str = field(repr=False)
    expires_at_once: bool
    max_age: float | None

    @property
    def ends(self) -> bool:
        """Whether it takes a cookie away and gives nothing.

        An expiry in the past is not enough: who is no browser can read the value all the same.
        """
        return not self.value or self.value == '""' or (self.expires_at_once and self._placeholder)

    @property
    def _placeholder(self) -> bool:
        return self.value in _ENDED


def read_set_cookie(header: str) -> SetCookie:
    """Name, value and life of a Set-Cookie field value. Reads everything: no error exists."""
    pair, *attributes = header.split(";")
    # RFC 6265bis section 5.6: what has no name (no "=", or nothing before it) is all value. A
    # browser sends it back as the value alone, which a server reads as name and value again.
    name, _, value = pair.lstrip(" \t=").partition("=")
    max_age: float | None = None
    past = False
    for attribute in attributes:
        key, _, text = attribute.partition("=")
        lowered = key.strip().lower()
        if lowered == "max-age" and _whole(text.strip()):
            max_age = float(text.strip())
        elif lowered == "expires" and "1970" in text:
            past = True
    ended = max_age <= 0 if max_age is not None else past
    return SetCookie(name.strip(), value.strip(), ended, max_age)


def with_same_site(header: str) -> str:
    """A Set-Cookie field value with `SameSite=Lax` (RFC 6265bis section 5.6.7) where it says
    nothing of SameSite that a browser understands: not every one takes Lax for granted.

    Of several the last one counts (section 5.7), so ours goes to the end.
    """
    said = ""
    for attribute in header.split(";")[1:]:
        key, _, value = attribute.partition("=")
        if key.strip(_BLANK).lower() == "samesite":
            said = value.strip(_BLANK).lower()
    return header if said in _SAME_SITE else f"{header}; SameSite=Lax"


def _whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 12
