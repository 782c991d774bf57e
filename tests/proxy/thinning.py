"""What of a product of parameters runs each time; the whole of it runs with `--long`.

A test that takes six ways on two loops finds in six runs what it finds in twelve: each way once,
the loops in turn. Its own parameters meet each other and, where they are few, every way and loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations

TURNS = frozenset({"every_way", "_asyncio_loop_factory"})
"""Parameters that no test asks for its own sake."""
TABLE = 8
"""A parameter of more values than this is a table: each of its rows takes some way."""

Choice = tuple[str, int]
"""A parameter and which of its values."""


def thinned(parameters: Sequence[Mapping[str, object]]) -> list[int]:
    """Which runs of one test are enough, by their places.

    Args:
        parameters: those of each run.
    """
    values: dict[str, list[object]] = {}
    runs = [
        tuple((name, _place(values.setdefault(name, []), value)) for name, value in run.items())
        for run in parameters
    ]
    wide = frozenset(name for name, of_it in values.items() if len(of_it) > TABLE)
    return _enough(tuple(runs), wide)


@cache  # many tests have parameters of the same shape
def _enough(shape: tuple[tuple[Choice, ...], ...], wide: frozenset[str]) -> list[int]:
    runs = [dict(run) for run in shape]
    meetings = [set(_meetings(run, wide)) for run in runs]
    missing = set().union(*meetings)
    used: Counter[Choice] = Counter()
    taken: list[int] = []

    def turns(place: int) -> int:
        return sum(used[choice] for choice in runs[place].items() if choice[0] in TURNS)

    while missing:
        news = [len(meeting & missing) for meeting in meetings]
        most = max(news)
        best = min((place for place, new in enumerate(news) if new == most), key=turns)
        taken.append(best)
        missing -= meetings[best]
        used.update(runs[best].items())
    return sorted(taken)


def _place(values: list[object], value: object) -> int:
    """Where a value stands among those of its parameter; a new one is added."""
    if value not in values:
        values.append(value)
    return values.index(value)


def _meetings(run: Mapping[str, int], wide: frozenset[str]) -> Iterator[frozenset[Choice]]:
    """What this run is good for: values, and values that meet."""
    for choice in run.items():
        yield frozenset({choice})
    for first, second in combinations(run.items(), 2):
        names = {first[0], second[0]}
        if not names & TURNS or not (names <= TURNS or names & wide):
            yield frozenset({first, second})
