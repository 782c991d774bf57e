"""Numbers of one process that only grow: how often something happened, and how long it took.

Plain additions in memory, so that counting costs next to nothing; who wants to see them takes a
copy (`Counters.taken`). Labels are of few kinds, bounded by the configuration, and never name a
person, an address or a project. Knows no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from contextvars import ContextVar
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

Labels: TypeAlias = tuple[str, ...]
Taken: TypeAlias = dict[str, dict[Labels, list[float]]]
"""By name and label values: one number for what is counted; for times, how many ended in each
of `BOUNDS` and above, and the sum of seconds at the end."""

BOUNDS: Final = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Seconds, the upper ends of the ranges into which times are sorted."""


class Counted(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    REFUSALS = "refusals"
    EVENTS = "events"
    FACTORS = "factors"
    UPLOADS_BY_PASSWORD = "uploads_by_password"  # noqa: S105 - the name of a number
    STORE_FAILURES = "store_failures"
    RELOADS = "reloads"


class Timed(StrEnum):
    """What is timed."""

    GATEWAY = "gateway"
    UPSTREAM = "upstream"
    STORE = "store"


LABELS: Final = MappingProxyType[Counted | Timed, Labels](
    {
        Counted.REQUESTS: ("rule", "verdict"),
        Counted.REFUSALS: ("slug",),
        Counted.EVENTS: ("event",),
        Counted.FACTORS: ("factor", "outcome"),
        Counted.UPLOADS_BY_PASSWORD: (),
        Counted.STORE_FAILURES: (),
        Counted.RELOADS: ("what", "outcome"),
        Timed.GATEWAY: (),
        Timed.UPSTREAM: (),
        Timed.STORE: ("access",),
    }
)
"""The names of the labels of each."""


class Tally:
    """How often."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Timings:
    """How long something took, sorted into ranges: `ended[n]` times up to `BOUNDS[n]`.

    took: notes one, in seconds. They are sorted when somebody looks, which the worker does every
    second (`Metrics.keep`).
    """

    __slots__ = ("_ended", "_fresh", "_seconds", "took")

    def __init__(self) -> None:
        self._ended = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0
        self._fresh: Final[list[float]] = []
        self.took: Final = self._fresh.append

    def sorted(self) -> list[float]:
        """How many ended in each range, and the sum of seconds."""
        fresh, ended = self._fresh, self._ended
        for seconds in fresh:
            ended[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += sum(fresh)
        fresh.clear()
        return [*ended, self._seconds]


class Notes:
    """What becomes known of one request on its way, for numbers and logs; decides nothing.

    id: what it is called (`gateway.core.http.request_id`). rule: the rule that decided, slug: why
    it was refused. waited: seconds for the store and the index. project, detail: what its form says
    it is about, for the trail. user: the id of whose it is, where that was verified for it.
    trace: its place in a trace (`gateway.core.http.trace_context`), where one is made.
    """

    __slots__ = ("detail", "id", "project", "rule", "slug", "trace", "user", "waited")

    def __init__(self, id: str = "") -> None:
        self.id = id
        self.rule = ""
        self.slug = ""
        self.user = ""
        self.trace: Any = None
        self.project = ""
        self.detail = ""
        self.waited = 0.0


NOTES: Final[ContextVar[Notes | None]] = ContextVar("NOTES", default=None)
"""Of the request that is being worked on. On a connection it stays until the next that is
decided on, so it is for what a request waits for, and for what is said of it meanwhile."""


class Counters:
    """The numbers of one process. Used by one thread, that of its event loop."""

    def __init__(self) -> None:
        self._counts: Final = defaultdict[tuple[Counted, Labels], Tally](Tally)
        self._times: Final = defaultdict[tuple[Timed, Labels], Timings](Timings)

    def counted(self, what: Counted, *labels: str) -> None:
        """One more. labels: the values of `LABELS[what]`."""
        self._counts[what, labels].number += 1

    def count(self, what: Counted, *labels: str) -> Tally:
        """Where that is counted; the same object each time."""
        return self._counts[what, labels]

    def times(self, what: Timed, *labels: str) -> Timings:
        """Where such times are noted; the same object each time."""
        return self._times[what, labels]

    def taken(self) -> Taken:
        """All of them as they are now."""
        found: Taken = {}
        for (what, labels), count in self._counts.items():
            found.setdefault(what, {})[labels] = [count.number]
        for (timed, labels), times in self._times.items():
            found.setdefault(timed, {})[labels] = times.sorted()
        return found


def added(one: Taken, other: Mapping[str, Mapping[Labels, list[float]]]) -> None:
    """Add another process's numbers to one's."""
    for what, series in other.items():
        here = one.setdefault(what, {})
        for labels, numbers in series.items():
            before = here.get(labels)
            here[labels] = (
                list(numbers)
                if before is None
                else [a + b for a, b in zip(before, numbers, strict=True)]
            )
