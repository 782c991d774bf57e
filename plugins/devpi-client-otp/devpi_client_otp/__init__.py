"""A plugin for devpi-client: after the password, ask for the one-time code.

Runs in devpi-client's process, at people who may never see the gateway itself. So it needs
nothing of it, and at any other server the only trace is one small GET that carries no credential.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator
from typing import Final
from urllib.parse import urlsplit

from pluggy import HookimplMarker

__version__ = "0.1.0"

GATEWAY: Final = "index-gateway"
"""The name a gateway gives at `HEALTH`."""
HEALTH: Final = "/+auth/health"
# A password with a code behind it, typed in one line. What the gateway takes for a code is its
# own affair; this only saves a question.
_WITH_CODE: Final = re.compile(
    r".+,\s*(?:[0-9](?:[\s-]*[0-9]){5}|[0-9A-Za-z]{4}(?:[\s-]*[0-9A-Za-z]{4}){3})\s*", re.DOTALL
)

WITHIN: Final = 3.0
"""Seconds a server may take to connect, and to answer, before it is taken for another one."""
_LONGEST: Final = 1024
"""Bytes of an answer that are looked at."""

hookimpl = HookimplMarker("devpiclient")


@hookimpl(wrapper=True)
def devpiclient_get_password(url: str, username: str) -> Generator[None, str | None, str | None]:
    """Put a code behind the password that devpi-client's prompt, or another plugin, has given.

    Called at `devpi login` without --password, and at `devpi push` to another index, whose address
    is no gateway's: uploads go with the password alone.

    Returns:
        "PASSWORD,CODE"; the password as it is where no code was typed, nobody is at a terminal,
        or the server is no index-gateway.
    """
    password = yield
    if not password or not sys.stdin.isatty() or not is_gateway(url):
        return password
    if _WITH_CODE.fullmatch(password):
        return password
    code = _ask(username)
    return f"{password},{code}" if code else password


def is_gateway(url: str) -> bool:
    """Whether an index-gateway answers below this address. Never raises."""
    try:
        found = _health(url)
    except (OSError, ValueError):  # every failure of requests is one or the other
        return False
    return isinstance(found, dict) and found.get("name") == GATEWAY


def _health(url: str) -> object:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return None
    # A name and password in the address are for the index, not for this question.
    place = parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
    address = f"{parts.scheme}://{place}{HEALTH}"
    import requests  # what devpi-client uses, so the same certificates and proxies count

    with requests.Session() as session:
        session.headers["User-Agent"] = f"devpi-client-otp/{__version__}"
        session.auth = lambda request: request  # nor a password from ~/.netrc
        answer = session.get(address, timeout=WITHIN, allow_redirects=False, stream=True)
        if answer.status_code != 200:
            return None
        return json.loads(next(answer.iter_content(_LONGEST), b""))


def _ask(username: str) -> str:
    """A code from the terminal, "" for none. Shown as it is typed: it is good only once."""
    try:
        typed = input(f"one-time code for user {username} (Enter for none): ")
    except EOFError:
        return ""
    return "".join(typed.split())
