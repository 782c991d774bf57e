"""Lengths of time in words."""

from __future__ import annotations

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
