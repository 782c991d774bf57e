"""Lengths of time and devices (out of a User-Agent) in words: for people, never for a decision."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def in_words(seconds: float) -> str:
    """A length of time rounded up to its largest unit that is full: "45 seconds", "2 hours"."""
    whole = max(1, -int(-seconds // 1))
    for size, name in _UNITS:
        if whole >= size:
            count = -(-whole // size)
            return f"{count} {name}" + ("s" if count > 1 else "")
    return "1 second"


def time_left(seconds: float) -> str:
    """A length of time that must not be promised longer than it is: rounded down, in the largest
    unit of which there are two: "119 seconds", "47 hours", "5 days"."""
    whole = max(1, int(seconds))
    size, name = next(((size, name) for size, name in _UNITS if whole >= 2 * size), _UNITS[-1])
    count = whole // size
    return f"{count} {name}" + ("s" if count > 1 else "")


# First match wins: Edge and Opera also say Chrome, Chrome also says Safari.
_PROGRAMS: Final = (
    ("index-gateway command", r"^index-gateway"),
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
    program, system = _first(_PROGRAMS, user_agent), _first(_SYSTEMS, user_agent)
    if program and system:
        return f"{program} on {system}"
    return program or system or "Unknown device"


def _first(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for name, pattern in table if re.search(pattern, text)), "")
