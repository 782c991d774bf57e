"""Cookies: the gateway's own, and what is read of a Set-Cookie of the upstream (RFC 6265bis).

Knows names and attributes; knows no keys and nobody's session. A Set-Cookie that only ends a
session has no value left; every other one hands a session out. What passes is kept from requests
that foreign pages start (`with_same_site`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.core.http.facts import Facts

SESSION: Final = "ig-session"
PENDING: Final = "ig-pending"
DEVICE: Final = "ig-device"
FORM: Final = "ig-form"
LANGUAGE: Final = "ig-language"
_OWN: Final = (SESSION, PENDING, DEVICE, FORM, LANGUAGE)
_PROVE_NOTHING: Final = frozenset({FORM, LANGUAGE})
_HOST: Final = "__Host-"
_SECURE: Final = "__Secure-"
OWN_NAMES: Final = frozenset(f"{prefix}{name}" for prefix in ("", _HOST, _SECURE) for name in _OWN)
"""What never reaches the upstream: just these, with each prefix and without (a deployment may have
changed its address). Cookies of similar names are somebody else's."""
_MOST_DOUBLES: Final = 8
_BLANKS: Final = " \t"


@dataclass(frozen=True, slots=True)
class Jar:
    """Own cookies as one deployment sets them.

    secure: the public address is https; names then carry the `__Host-` prefix
        (RFC 6265bis section 4.1.3.2), so no sibling host can plant them.
    signed: whether a value of a cookie may have been made here.
    base: the path of the public address; cookies are bound to it. `__Host-` is for the root only,
        so it is `__Secure-` then.
    """

    secure: bool
    signed: Callable[[str, str], bool] = lambda cookie, value: True
    base: str = ""

    def name(self, cookie: str) -> str:
        if not self.secure:
            return cookie
        return (_SECURE if self.base else _HOST) + cookie

    def read(self, facts: Facts, cookie: str) -> str:
        """The value of an own cookie, "" when there is none.

        On plain http, and below a path, a sibling host can plant another of the same name. That
        must neither keep people out nor choose whose session it is: of several values only one
        that was made here counts, and none if there are two of these.
        """
        wanted = self.name(cookie)
        values = list(dict.fromkeys(value for name, value in pairs(facts) if name == wanted))
        if len(values) < 2:
            return values[0] if values else ""
        if cookie in _PROVE_NOTHING:  # each request of a browser has them in one order
            return values[0]
        if len(values) > _MOST_DOUBLES:
            return ""
        made = [value for value in values if self.signed(cookie, value)]
        return made[0] if len(made) == 1 else ""

    def set(self, cookie: str, value: str, *, max_age: int | None = None) -> str:
        """A Set-Cookie value: host-only, HttpOnly, SameSite=Lax; max_age in seconds, None
        for as long as the browser runs."""
        parts = [f"{self.name(cookie)}={value}", f"Path={self.base}/", "HttpOnly", "SameSite=Lax"]
        if self.secure:
            parts.append("Secure")
        if max_age is not None:
            parts.append(f"Max-Age={max_age}")
        return "; ".join(parts)

    def clear(self, cookie: str) -> str:
        return self.set(cookie, "", max_age=0)


def pairs(facts: Facts) -> list[tuple[str, str]]:
    """Name and value of every cookie in the request, in order."""
    header = facts.first("cookie") or ""
    found = []
    for part in header.split(";"):
        name, mark, value = part.strip(_BLANKS).partition("=")
        if mark:
            found.append((name.strip(_BLANKS), value.strip(_BLANKS).strip('"')))
    return found


def is_own(name: str) -> bool:
    return name in OWN_NAMES


def without_own_cookies(header: str) -> str:
    """A Cookie field less the gateway's own cookies, the rest byte for byte; "" when no other
    cookie is in it."""
    parts = header.split(";")
    left = [part for part in parts if not is_own(part.partition("=")[0].strip(_BLANKS))]
    return header if len(left) == len(parts) else ";".join(left).strip(_BLANKS + ";")


def without_named(header: str, names: frozenset[str]) -> str:
    """A Cookie field less every part in which one of these names occurs, however a server may
    take it apart; "" when nothing is left."""
    parts = [part.strip(" \t") for part in header.split(";")]
    return "; ".join(part for part in parts if part and not any(name in part for name in names))


def planted(set_cookie: str) -> bool:
    """Whether a Set-Cookie value that is not the gateway's own sets one of its cookies."""
    return is_own(read_set_cookie(set_cookie).name)


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


_KEPT: Final = frozenset({"domain", "path", "secure", "httponly", "samesite", "partitioned"})
_LONG_AGO: Final = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"


def clearing(set_cookie: str) -> str:
    """The Set-Cookie field value that takes away what another one sets, which went on with
    `with_same_site`: browsers go by name, domain and path (RFC 6265bis section 5.7), and take
    none without `Secure` in place of one that has it."""
    kept = [
        attribute.strip(_BLANK)
        for attribute in with_same_site(set_cookie).split(";")[1:]
        if attribute.partition("=")[0].strip(_BLANK).lower() in _KEPT
    ]
    return "; ".join([f"{read_set_cookie(set_cookie).name}=", *kept, _LONG_AGO])


def _whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 12
