"""The gateway's own cookies: their names, how they are set (RFC 6265bis) and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.errors import Refusal
from gateway.core.facts import Facts
from gateway.core.headers import OWN_COOKIE_PREFIXES
from gateway.core.set_cookie import read_set_cookie

SESSION: Final = "ig-session"
PENDING: Final = "ig-pending"
DEVICE: Final = "ig-device"
FORM: Final = "ig-form"


@dataclass(frozen=True, slots=True)
class Jar:
    """Own cookies as one deployment sets them.

    secure: the public address is https; names then carry the `__Host-` prefix
        (RFC 6265bis section 4.1.3.2), so no sibling host can plant them.
    """

    secure: bool

    def name(self, cookie: str) -> str:
        return f"__Host-{cookie}" if self.secure else cookie

    def read(self, facts: Facts, cookie: str) -> str:
        """The value of an own cookie, "" when there is none (`check` refuses a second)."""
        wanted = self.name(cookie)
        for name, value in pairs(facts):
            if name == wanted:
                return value
        return ""

    def set(self, cookie: str, value: str, *, max_age: int | None = None) -> str:
        """A Set-Cookie value: host-only, HttpOnly, SameSite=Lax; max_age in seconds, None
        for as long as the browser runs."""
        parts = [f"{self.name(cookie)}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
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
        name, mark, value = part.strip().partition("=")
        if mark:
            found.append((name.strip(), value.strip().strip('"')))
    return found


def is_own(name: str) -> bool:
    return name.startswith(OWN_COOKIE_PREFIXES)


def without_own_cookies(header: str) -> str:
    """A Cookie field less the gateway's own cookies; "" when nothing is left."""
    parts = [part.strip(" \t") for part in header.split(";")]
    return "; ".join(part for part in parts if part and not is_own(part.partition("=")[0].strip()))


def planted(set_cookie: str) -> bool:
    """Whether a Set-Cookie value that is not the gateway's own sets one of its cookies."""
    name = read_set_cookie(set_cookie).name
    return name.removeprefix("__Host-") in (SESSION, PENDING, DEVICE, FORM)


def check(facts: Facts) -> None:
    """Refuse a request that carries one of the gateway's cookies twice.

    Raises:
        Refusal: `bad_request`.
    """
    seen: set[str] = set()
    for name, _ in pairs(facts):
        if is_own(name):
            if name in seen:
                raise Refusal("bad_request", why="one cookie of the gateway appears twice")
            seen.add(name)
