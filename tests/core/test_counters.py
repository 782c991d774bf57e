"""Counting: what is counted is there, times fall into their range, processes add up."""

from __future__ import annotations

import pytest

from gateway.core.counters import BOUNDS, LABELS, Counted, Counters, Timed, added


def test_each_has_its_labels() -> None:
    assert set(LABELS) == {*Counted, *Timed}


def test_what_is_counted_is_taken() -> None:
    counters = Counters()
    counters.counted(Counted.REFUSALS, "denied")
    counters.counted(Counted.REFUSALS, "denied")
    counters.counted(Counted.UPLOADS_BY_PASSWORD)
    taken = counters.taken()
    assert taken["refusals"] == {("denied",): [2]}
    assert taken["uploads_by_password"] == {(): [1]}


@pytest.mark.parametrize(
    ("seconds", "place"),
    [(0.0, 0), (BOUNDS[0], 0), (BOUNDS[0] * 1.01, 1), (30.0, len(BOUNDS) - 1), (31.0, len(BOUNDS))],
    ids=["none", "at the first end", "above it", "at the last end", "above all"],
)
def test_times_fall_into_their_range(seconds: float, place: int) -> None:
    counters = Counters()
    counters.times(Timed.UPSTREAM).took(seconds)
    *ended, total = counters.taken()["upstream"][()]
    assert [at for at, count in enumerate(ended) if count] == [place]
    assert total == seconds


def test_processes_add_up() -> None:
    one, other = Counters(), Counters()
    for counters in (one, other, other):
        counters.counted(Counted.REQUESTS, "uploads", "forwarded")
        counters.times(Timed.STORE, "read").took(1.0)
    other.counted(Counted.REQUESTS, "uploads", "refused")
    total = one.taken()
    added(total, other.taken())
    assert total["requests"] == {("uploads", "forwarded"): [3], ("uploads", "refused"): [1]}
    assert total["store"]["read",][-1] == 3.0
    assert one.taken()["requests"] == {("uploads", "forwarded"): [1]}
