"""Counts of uploads that a rule would refuse: per person, index and day, however many there are."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.core.audit.events import Event
from gateway.core.store import Key, StoreUnavailable
from gateway.core.tokens import raw_uploads
from gateway.core.tokens.raw_uploads import DAYS, RawUpload, RawUploadLedger, day_of
from tests.core.tokens.conftest import Desk

DAY = 86400.0


@pytest.fixture
def ledger(desk: Desk) -> RawUploadLedger:
    return RawUploadLedger(desk.store, desk.ledger, desk.clock)


def seen(desk: Desk, user: str = "alice", index: str = "alice/dev", count: int = 1) -> RawUpload:
    now = desk.clock()
    return RawUpload(
        *(user, index, day_of(now), count, now, now, "192.0.2.10", "twine/7.0.0", "uploads"),
        *("password", "second_factor_required"),
    )


async def test_a_day_of_a_job_leaves_two_entries(desk: Desk, ledger: RawUploadLedger) -> None:
    for _ in range(50):
        await ledger.add(seen(desk, count=3))
        desk.clock.turn(60)
    await ledger.close_days()
    day = "first of the day (second_factor_required)"
    assert desk.ledger.details == [f"upload to alice/dev with a password: the {day}"]
    desk.clock.turn(DAY)
    for _ in range(3):
        await ledger.close_days()
    assert desk.ledger.events == [(Event.UPLOAD_BY_PASSWORD, "alice", "")] * 2
    assert desk.ledger.details[1] == "upload to alice/dev with a password: 150 on 2027-01-15"
    await ledger.add(seen(desk))
    assert len(desk.ledger.events) == 3
    [found] = await ledger.of_late()
    assert (found.count, found.last) == (151, desk.clock())


async def test_people_and_indexes_stand_apart(desk: Desk, ledger: RawUploadLedger) -> None:
    for one in (seen(desk), seen(desk, "bob"), seen(desk, index="root/prod"), seen(desk, "bob")):
        await ledger.add(one)
    found = [(one.user, one.index, one.count) for one in await ledger.of_late()]
    assert found == [("bob", "alice/dev", 2), ("alice", "alice/dev", 1), ("alice", "root/prod", 1)]
    assert len(desk.ledger.events) == 3


async def test_none_is_lost_between_gateways(desk: Desk) -> None:
    ledgers = [RawUploadLedger(desk.store, desk.ledger, desk.clock) for _ in range(8)]
    await asyncio.gather(*(one.add(seen(desk)) for one in ledgers for _ in range(5)))
    [found] = await ledgers[0].of_late()
    assert found.count == 40
    assert len(desk.ledger.events) == 1
    desk.clock.turn(DAY)
    await asyncio.gather(*(one.close_days() for one in ledgers))
    assert len(desk.ledger.events) == 2


async def test_what_comes_after_the_count_was_told_is_told_again(
    desk: Desk, ledger: RawUploadLedger
) -> None:
    """A gateway that could not reach the store writes late."""
    late = seen(desk)
    await ledger.add(late)
    desk.clock.turn(DAY)
    await ledger.close_days()
    await ledger.add(late)
    await ledger.close_days()
    assert desk.ledger.details[-1].endswith(": 2 on 2027-01-15")


async def test_strangers_fill_no_store(
    desk: Desk, ledger: RawUploadLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_uploads, "MOST_A_DAY", 5)
    for number in range(20):
        await ledger.add(seen(desk, f"stranger{number}"))
    assert len(await ledger.of_late()) == 5
    assert len(desk.ledger.events) == 5


async def test_old_days_are_left_out_and_go(desk: Desk, ledger: RawUploadLedger) -> None:
    await ledger.add(seen(desk))
    desk.clock.turn(DAYS * DAY)
    await ledger.add(seen(desk, "bob"))
    assert [one.user for one in await ledger.of_late()] == ["bob"]
    desk.clock.turn(3 * DAY)
    assert len(await desk.store.names("raw-upload", "")) == 1


async def test_since_when_a_rule_is_counted_for(desk: Desk, ledger: RawUploadLedger) -> None:
    assert await ledger.since(["a"]) is None
    await ledger.begin(["a"])
    began = desk.clock()
    desk.clock.turn(100)
    await ledger.begin(["a", "b"])
    assert await ledger.since(["a"]) == began
    assert await ledger.since(["a", "b"]) == began + 100
    await ledger.begin([])
    assert await ledger.since(["a"]) is None


async def test_a_later_versions_count_is_left_alone(desk: Desk, ledger: RawUploadLedger) -> None:
    key = Key("raw-upload", "", f"{day_of(desk.clock())}|alice|alice/dev")
    await desk.store.put(key, b'{"format":2}')
    with pytest.raises(StoreUnavailable):
        await ledger.add(seen(desk))
    record = await desk.store.get(key)
    assert record is not None and record.value == b'{"format":2}'


def test_what_comes_later_tells_how() -> None:
    one = RawUpload("a", "", 1, 2, 10.0, 20.0, "192.0.2.1", "twine", "r", "password", "x", True)
    other = replace(one, count=1, first=5.0, last=30.0, client="uv", told=False)
    both = replace(other, count=3, first=5.0)
    assert one.plus(other) == other.plus(one) == both
