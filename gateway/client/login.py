"""Asking a gateway for a token by a word in the browser.

Only https is spoken, or http with this machine; no redirect is followed, since what is sent and
what comes back are secrets.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

_BEGIN: Final = "/+auth/api/login"
_WITHIN: Final = 30.0
_LONGEST: Final = 64 * 1024
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_DEEPEST: Final = 3


class LoginFailed(Exception):
    """What went wrong, and what to do; for people."""


@dataclass(frozen=True, slots=True)
class Started:
    """A login that waits for a word. approve: the address to open; number: what to type there."""

    approve: str
    number: str
    poll: str
    secret: str = field(repr=False)
    expires: float


@dataclass(frozen=True, slots=True)
class LoggedIn:
    token: str = field(repr=False)
    user: str
    expires: float


def start(url: str, actions: Sequence[str], hours: float) -> Started:
    """Begin at the gateway that an index is behind.

    Args:
        url: of the gateway or of anything below it.

    Raises:
        LoginFailed
    """
    body = {"actions": list(actions), "hours": hours}
    status = 0
    told: dict[str, Any] = {}
    for base in _bases(_checked(url)):
        status, told, _ = _post(base + _BEGIN, body)
        if status == 201 or (status and "slug" in told and told["slug"] != "not_here"):
            break
    if status != 201:
        raise LoginFailed(_why(told) or f"{url} is not behind an index-gateway.")
    made = Started(*(told[name] for name in ("approve", "number", "poll", "secret", "expires")))
    if _origin(_checked(made.poll)) != _origin(_checked(url)):
        raise LoginFailed(f"{url} leads to another host: log in at {made.poll}.")
    return made


def wait(started: Started, sleep: Callable[[float], None] = time.sleep) -> LoggedIn:
    """Wait for the word.

    Raises:
        LoginFailed: it was no, or did not come in time.
    """
    while True:
        status, told, retry = _post(started.poll, {"secret": started.secret})
        if status == 200:
            return LoggedIn(told["token"], told["user"], told["expires"])
        if status not in (202, 429, 503):
            raise LoginFailed(_why(told) or f"The gateway answered {status}.")
        if time.time() > started.expires + 60:
            raise LoginFailed("Nobody has approved this login. Start it again.")
        sleep(min(max(retry, 1.0), 30.0))


def open_page(address: str) -> None:
    """Open the page where there is a screen: a browser of the terminal would take that over."""
    import webbrowser

    shown = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if sys.platform.startswith(("linux", "freebsd")) and not any(map(os.environ.get, shown)):
        return
    with contextlib.suppress(webbrowser.Error):
        webbrowser.get()  # raises where there is none
        webbrowser.open(address)


def host_of(url: str) -> str:
    """Host and port as pip and uv ask a keyring for them. Raises LoginFailed."""
    return _checked(url).netloc.rpartition("@")[2].lower()


def scheme_of(url: str) -> str:
    return _checked(url).scheme


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise LoginFailed(f"{url} is no address.") from None
    if not host or parts.scheme not in ("https", "http"):
        raise LoginFailed(f"{url} is no address of an index.")
    if parts.scheme == "http" and host not in _LOOPBACK and not host.endswith(".localhost"):
        raise LoginFailed(f"{url} is not encrypted; an https address.")
    return parts


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def _bases(parts: SplitResult) -> Iterator[str]:
    """Where the gateway may be: at the root of the host, or below a path of it."""
    found = _origin(parts)
    yield found
    for part in [one for one in parts.path.split("/") if one][:_DEEPEST]:
        found += f"/{part}"
        yield found


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _post(address: str, body: Mapping[str, object]) -> tuple[int, dict[str, Any], float]:
    """Status, what was told as JSON, and the seconds to wait; {} for what is no JSON."""
    fields = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"index-gateway ({platform.system()})",
    }
    request = Request(address, json.dumps(body).encode(), fields, method="POST")  # noqa: S310
    try:
        with build_opener(_NoRedirect).open(request, timeout=_WITHIN) as answer:
            status, raw, headers = answer.status, answer.read(_LONGEST), answer.headers
    except HTTPError as error:
        status, raw, headers = error.code, error.read(_LONGEST), error.headers
    except (URLError, OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise LoginFailed(f"{address} cannot be reached ({why}).") from None
    try:
        told = json.loads(raw)
        retry = float(headers.get("Retry-After", "2"))
    except (ValueError, RecursionError):
        told, retry = {}, 2.0
    return status, told if isinstance(told, dict) else {}, retry


def _why(told: Mapping[str, Any]) -> str:
    message = told.get("message")
    return message if isinstance(message, str) and message.isprintable() else ""
