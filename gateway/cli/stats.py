"""`index-gateway audit stats`: the last days as bars in a terminal, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.core.audit.tally import Day

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_HEIGHT: Final = 4
_WIDEST: Final = 3  # characters a day


def drawn(days: Sequence[Day], width: int) -> str:
    """A picture for each kind, with its sum, its busiest day and today.

    Args:
        width: characters of a line.
    """
    from gateway.core.audit.tally import KINDS

    pictures = [_picture(kind, str(one.words), days, width) for kind, one in KINDS.items()]
    return "\n\n".join(pictures)


def _picture(kind: str, words: str, days: Sequence[Day], width: int) -> str:
    counts = [day.of(kind) for day in days]
    most, total = max(counts, default=0), sum(counts)
    if not total:
        return f"{words}: none in {len(days)} days"
    busiest = days[counts.index(most)].date
    head = (
        f"{words}: {total:,} in {len(days)} days, most {most:,} on {busiest}, {counts[-1]:,} today"
    )
    wide = max(1, min(_WIDEST, width // len(days)))
    rows = [
        "".join(
            _cell(count, most, row) * (wide - (wide > 1)) + " " * (wide > 1) for count in counts
        )
        for row in range(_HEIGHT - 1, -1, -1)
    ]
    first, last = days[0].date[5:], days[-1].date[5:]
    below = first + last.rjust(wide * len(days) - (wide > 1) - len(first))
    return "\n".join([head, *(row.rstrip() for row in rows), below])


def _cell(count: int, most: int, row: int) -> str:
    """One character of a bar. A day with anything shows something."""
    eighths = -(-count * _HEIGHT * 8 // most) - row * 8
    return _EIGHTHS[max(0, min(8, eighths))]


def stats_json(days: Sequence[Day]) -> str:
    """A list of days, each with its date, the kinds and every event."""
    from gateway.core.audit.tally import KINDS

    found = [
        {"date": day.date}
        | {kind: day.of(kind) for kind in KINDS}
        | {"events": dict(sorted(day.counts.items()))}
        for day in days
    ]
    return json.dumps(found, ensure_ascii=False, indent=2)
