"""Entries are found by person, project, event and time, from either end; days are counted once."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.core.audit import finding
from gateway.core.audit.entry import Entry
from gateway.core.audit.events import Event, Happened, Origin
from gateway.core.audit.finding import Wanted, first_at, newest, pages, projects_of
from gateway.core.audit.tally import TALLY, daily
from gateway.core.audit.trail import DAY, LOG, Trail
from gateway.core.audit.transfer import Transfer
from gateway.core.crypto.keyring import KeyRing
from gateway.stores.sqlite.store import SqliteStore
from tests.support.clock import Clock

ORIGIN = Origin("192.0.2.7", "Mozilla/5.0", "DELETE", "/alice/dev/my_pkg/1.0", "release deletion")
START = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.now = START
    return made


@pytest.fixture
async def trail(tmp_path: Path, clock: Clock) -> AsyncIterator[Trail]:
    store = SqliteStore(tmp_path / "state.db", clock)
    yield Trail(
        store, KeyRing((("k1", b"k" * 32),), secrets.token_bytes), clock, retention=30 * DAY
    )
    await store.close()


async def fill(trail: Trail, clock: Clock, days: int) -> None:
    """Three entries a day: a login of alice's, a refusal of bob's, and a guarded act of alice's."""
    for _ in range(days):
        await trail.record(Event.LOGIN, "alice", ORIGIN)
        await trail.record(Event.FACTOR_REFUSED, "bob", ORIGIN, detail='says ,"event":"login"')
        await trail.record(Event.GUARDED_ACT, "alice", ORIGIN)
        clock.now += DAY


FILTERS = {
    "all": (Wanted(), 30),
    "a person": (Wanted(users=frozenset({"bob"})), 10),
    "an event": (Wanted(events=frozenset({"guarded_act"})), 10),
    "a person and an event": (Wanted(users=frozenset({"bob"}), events=frozenset({"login"})), 0),
    "a project": (Wanted(project="My.Pkg"), 10),
    "another project": (Wanted(project="pkg"), 0),
    "since": (Wanted(since=START + 7 * DAY), 9),
    "until": (Wanted(until=START + 2 * DAY), 6),
    "a day": (Wanted(since=START + 2 * DAY, until=START + 3 * DAY), 3),
    "before all": (Wanted(until=START - DAY), 0),
    "after all": (Wanted(since=START + 90 * DAY), 0),
}


@pytest.mark.parametrize(("wanted", "count"), FILTERS.values(), ids=list(FILTERS))
@pytest.mark.parametrize("limit", [4, 100])
@pytest.mark.parametrize("scan", [5, finding.SCANNED])
async def test_both_ends_find_the_same(
    trail: Trail, clock: Clock, wanted: Wanted, count: int, limit: int, scan: int
) -> None:
    await fill(trail, clock, 10)
    back, before = list[int](), 0
    for _ in range(60):
        found = await newest(trail, wanted, now=clock.now, before=before, limit=limit, scan=scan)
        assert len(found.entries) <= limit
        back += [entry.number for entry in found.entries]
        before = found.before
        if not before:
            break
    forward = [entry.number async for page in pages(trail, wanted) for entry in page]
    assert back == forward[::-1]
    assert len(back) == count


@pytest.mark.parametrize("wanted", [Wanted(users=frozenset({"alice"})), Wanted(project="pkg")])
async def test_uploads_are_found_though_they_have_no_copy(
    trail: Trail, clock: Clock, wanted: Wanted
) -> None:
    transfer = Transfer("file_upload", "", "1.0", 200, "", ())
    upload = Happened(clock.now, Event.UPLOAD, "alice", ORIGIN, project="pkg", transfer=transfer)
    await trail.record_all([upload] * 3)
    await trail.record(Event.GUARDED_ACT, "alice", ORIGIN, project="pkg")
    await trail.record_all([upload])
    found = await newest(trail, wanted, now=clock.now)
    assert [entry.number for entry in found.entries] == [5, 4, 3, 2, 1]


async def test_nothing_is_found_in_an_empty_trail(trail: Trail, clock: Clock) -> None:
    assert await newest(trail, Wanted(), now=clock.now) == ([], 0, 0.0)
    assert [page async for page in pages(trail, Wanted(since=1.0, until=2.0))] == []


async def test_a_moment_is_found_behind_what_was_removed(trail: Trail, clock: Clock) -> None:
    await fill(trail, clock, 40)
    await trail.tidy()
    first = (await trail.store.read(LOG, limit=1))[0][0]
    assert first > 20
    assert await first_at(trail, 0.0) == first
    assert await first_at(trail, START + 20 * DAY) == 61
    assert len((await newest(trail, Wanted(), now=clock.now, limit=500)).entries) == 122 - first


@pytest.mark.parametrize("page", [1, 2, 3, 4, 500])
@pytest.mark.parametrize("scan", [1, 2, 5, finding.SCANNED])
async def test_nothing_is_found_twice_behind_what_was_removed(
    trail: Trail, clock: Clock, monkeypatch: pytest.MonkeyPatch, page: int, scan: int
) -> None:
    monkeypatch.setattr(finding, "PAGE", page)
    await fill(trail, clock, 5)
    await trail.store.trim(LOG, upto=8)
    back, before = list[int](), 0
    for _ in range(30):
        found = await newest(trail, Wanted(), now=clock.now, before=before, limit=3, scan=scan)
        back += [entry.number for entry in found.entries]
        before = found.before
        if not before:
            break
    assert back == list(range(15, 8, -1))


PROJECTS = {
    "as the entry says": ("upload", "foo-bar", "/alice/dev", {"foo-bar"}),
    "an older entry, by its path": (
        "guarded_act",
        "",
        "/a/dev/Foo_Bar/1.0",
        {"a", "dev", "foo-bar", "1-0"},
    ),
    "about none": ("login", "", "/alice/dev", set[str]()),
}


@pytest.mark.parametrize(("event", "project", "path", "about"), PROJECTS.values(), ids=PROJECTS)
def test_what_an_entry_is_about(event: str, project: str, path: str, about: set[str]) -> None:
    entry = Entry(1, 0.0, event, "alice", Origin(path=path), "", "", "", "", project=project)
    assert projects_of(entry) == about


# -- by day -------------------------------------------------------------------------------------


async def counted(trail: Trail, clock: Clock) -> dict[str, dict[str, int]]:
    return {day.date: dict(day.counts) for day in await daily(trail, clock.now) if day.counts}


async def test_days_are_counted_by_events(trail: Trail, clock: Clock) -> None:
    await fill(trail, clock, 40)
    clock.now -= DAY
    days = await daily(trail, clock.now)
    assert len(days) == 30
    assert days[-1].date == "2026-02-09"
    assert all(day.counts == {"login": 1, "factor_refused": 1, "guarded_act": 1} for day in days)
    assert [(day.of("logins"), day.of("refusals")) for day in days] == [(1, 1)] * 30


async def test_what_was_counted_is_not_read_again(trail: Trail, clock: Clock) -> None:
    await fill(trail, clock, 3)
    before = await counted(trail, clock)
    record = await trail.store.get(TALLY)
    assert record is not None
    assert await counted(trail, clock) == before
    assert await trail.store.get(TALLY) == record, "nothing new, nothing written"
    await trail.record(Event.LOGIN, "alice", ORIGIN)
    assert await counted(trail, clock) == before | {"2026-01-04": {"login": 1}}


async def test_a_tally_that_is_not_ours_or_not_of_this_trail_is_made_anew(
    trail: Trail, clock: Clock
) -> None:
    await fill(trail, clock, 3)
    right = await counted(trail, clock)
    record = await trail.store.get(TALLY)
    assert record is not None
    forged = json.loads(record.value)
    forged["counted"] = forged["counted"].replace('"login": 1', '"login": 0')
    last = await trail.store.last(LOG)
    assert last is not None
    for value in (b"{}", b"[", json.dumps(forged).encode()):
        await trail.store.put(TALLY, value)
        assert await counted(trail, clock) == right
    await trail.store.trim(LOG, upto=last[0])
    assert await counted(trail, clock) == {}
