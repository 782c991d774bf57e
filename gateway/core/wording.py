"""Lengths of time and devices (out of a User-Agent) in words: for people, never for a decision."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from gateway.core.phrases import Phrase, _, plural

_USUAL: Final = 256  # characters of a User-Agent that is worth remembering
_UNITS: Final = (86400, 3600, 60, 1)
_BY_BROWSER: Final = ", by a browser"


def in_words(seconds: float) -> Phrase:
    """A length of time rounded up to its largest unit that is full: "45 seconds", "2 hours"."""
    whole = max(1, -int(-seconds // 1))
    size = next(size for size in _UNITS if whole >= size)
    return _length(-(-whole // size), size)


def time_left(seconds: float) -> Phrase:
    """A length of time that must not be promised longer than it is: rounded down, in the largest
    unit of which there are two: "119 seconds", "47 hours", "5 days"."""
    whole = max(1, int(seconds))
    size = next((size for size in _UNITS if whole >= 2 * size), _UNITS[-1])
    return _length(whole // size, size)


def _length(count: int, size: int) -> Phrase:
    if size == 86400:
        return plural("{count} day", "{count} days", count)
    if size == 3600:
        return plural("{count} hour", "{count} hours", count)
    if size == 60:
        return plural("{count} minute", "{count} minutes", count)
    return plural("{count} second", "{count} seconds", count)


# First match wins: Edge and Opera also say Chrome, Chrome also says Safari.
_PROGRAMS: Final = (
    (_("index-gateway command"), r"^index-gateway"),
    ("Edge", r"Edg(e|A|iOS)?/"),
    ("Opera", r"OPR/|Opera"),
    ("Vivaldi", r"Vivaldi/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chromium", r"Chromium/"),
    ("Chrome", r"Chrome/|CriOS/"),
    ("Safari", r"Safari/"),
    ("devpi-client", r"devpi-client"),
    ("twine", r"twine/"),
    ("pip", r"^pip/"),
    ("uv", r"^uv/"),
    ("poetry", r"^poetry/"),
    ("curl", r"^curl/"),
    ("Python", r"python-requests|Python-urllib|aiohttp"),
)
_SYSTEMS: Final = (
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Android", r"Android"),
    ("Windows", r"Windows"),
    ("ChromeOS", r"CrOS"),
    ("macOS", r"Macintosh|Mac OS X|Darwin|macOS"),
    ("Linux", r"Linux|X11"),
)


def device_name(user_agent: str) -> str:
    """ "Firefox on Linux", as far as the header tells; "Unknown device" where it does not."""
    read = _read if len(user_agent) <= _USUAL else _read.__wrapped__
    program, system = read(user_agent)
    if program and system:
        return _("{program} on {system}", program=program, system=system)
    return program or system or _("Unknown device")


def device_again(name: str) -> str:
    """A device as `device_name` said it when it was stored, for another language."""
    program, on, system = name.partition(" on ")
    program = next((one for one, _pattern in _PROGRAMS if one == program), program)
    if on:
        return _("{program} on {system}", program=program, system=system)
    return _("Unknown device") if name == "Unknown device" else program


def let_in_name(user_agent: str) -> str:
    """What the token of a command line is called that was let in by a page."""
    return f"{device_name(user_agent)}{_BY_BROWSER}"


def let_in_again(name: str) -> str:
    """A name as `let_in_name` made it when it was stored, for another language."""
    device = name.removesuffix(_BY_BROWSER)
    if device == name:
        return name
    return _("{device}, by a browser", device=device_again(device))


@lru_cache(maxsize=256)
def _read(user_agent: str) -> tuple[str, str]:
    return _first(_PROGRAMS, user_agent), _first(_SYSTEMS, user_agent)


def _first(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for name, pattern in table if re.search(pattern, text)), "")
