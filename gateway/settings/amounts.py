"""Durations, sizes and days: `15m`, `64KiB`, `2026-01-31`."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Final, TypeAlias

from gateway.settings.fields import OrWord, Written
from gateway.settings.problems import show

_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d|w)")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST: Final = 10 * 365 * 86400
"""Seconds; a mistyped unit would otherwise end somewhere past the year 9999."""
_SIZE: Final = re.compile(r"([0-9]{1,15})\s?(B|KiB|MiB|GiB|TiB)")
_BYTES: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `15m`, `12h`, `30d`; parts may follow each other (`1h30m`)."""
    total, at = 0.0, 0
    while at < len(text):
        part = _DURATION.match(text, at)
        if not part:
            break
        total, at = total + int(part[1]) * _SECONDS[part[2]], part.end()
    if at != len(text) or total <= 0:
        raise ValueError(f"{show(text)}; a duration such as 90s, 15m, 12h or 30d")
    if total > _LONGEST:
        raise ValueError(f"{show(text)}; at most {write_duration(_LONGEST)}")
    return total


def parse_size(text: str) -> int:
    """Bytes of `64 KiB`, `2GiB`; what is limited by it needs at least 1 KiB to be of use."""
    part = _SIZE.fullmatch(text)
    if not part or not int(part[1]):
        raise ValueError(f"{show(text)}; a size such as 64KiB or 20MiB")
    size = int(part[1]) * _BYTES[part[2]]
    if not 2**10 <= size <= 2**30:
        raise ValueError(f"{show(text)}; 1KiB to 1GiB")
    return size


def write_duration(seconds: float) -> str:
    """The shortest text for a duration: `12h`, `90s`."""
    amount = round(seconds * 1000)
    units = {unit: round(long * 1000) for unit, long in _SECONDS.items() if unit != "w"}
    value, unit = max((value, unit) for unit, value in units.items() if amount % value == 0)
    return f"{amount // value}{unit}"


def parse_day(text: str) -> date:
    try:
        if len(text) == len("2026-01-31"):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{show(text)}; {_DAY_TEXT}")


_DURATION_TEXT: Final = "a duration such as 90s, 15m, 12h or 30d"
_SIZE_TEXT: Final = "a size such as 64KiB or 20MiB"
_DAY_TEXT: Final = "a date such as 2026-01-31"

Duration: TypeAlias = Annotated[
    float,
    Written(r"^(?=.*[1-9])([0-9]{1,9}(ms|s|m|h|d|w))+$", _DURATION_TEXT, parse_duration),
]
"""Seconds."""
DurationOrOff: TypeAlias = Annotated[Duration | None, OrWord("off")]
Size: TypeAlias = Annotated[int, Written(r"^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$", _SIZE_TEXT, parse_size)]
"""Bytes."""
Day: TypeAlias = Annotated[date, Written("", _DAY_TEXT, parse_day, format="date")]
