"""What administrators look at is the same on every store: entries found, days counted, people
listed."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import pytest

from gateway.core import roster
from gateway.core.audit.events import Event, Origin
from gateway.core.audit.finding import Wanted, first_at, newest, pages
from gateway.core.audit.tally import TALLY, daily
from gateway.core.audit.trail import DAY, LOG, Trail
from gateway.core.crypto.keyring import KeyRing
from gateway.core.roster import Roster
from gateway.core.store import Store
from tests.contracts.conftest import Clock
from tests.core.test_roster import listed, people
from tests.core.world import Clock as WorldClock
from tests.core.world import World

ORIGIN = Origin("192.0.2.7", "Mozilla/5.0", "DELETE", "/alice/dev/my_pkg/1.0", "release deletion")
START = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
WANTED = {
    "all": (Wanted(), 12),
    "a person and an event": (Wanted(users=frozenset({"bob"}), events=frozenset({"login"})), 0),
    "a person": (Wanted(users=frozenset({"bob"})), 4),
    "a project": (Wanted(project="My.Pkg"), 4),
    "a day": (Wanted(since=START + DAY, until=START + 2 * DAY), 3),
}


@pytest.fixture
async def trail(store: Store, clock: Clock) -> Trail:
    """Four days of three entries each; the first day has then been removed."""
    clock.now = START - DAY
    ring = KeyRing((("k1", b"k" * 32),), secrets.token_bytes)
    made = Trail(store, ring, clock, retention=30 * DAY)
    for _ in range(5):
        await made.record(Event.LOGIN, "alice", ORIGIN)
        await made.record(Event.FACTOR_REFUSED, "bob", ORIGIN)
        await made.record(Event.GUARDED_ACT, "alice", ORIGIN)
        clock.now += DAY
    await store.trim(LOG, upto=3)
    return made


async def test_entries_are_found_from_either_end(trail: Trail, clock: Clock) -> None:
    for what, (wanted, count) in WANTED.items():
        back, before = list[int](), 0
        for _ in range(20):
            found = await newest(trail, wanted, now=clock.now, before=before, limit=2, scan=5)
            back += [entry.number for entry in found.entries]
            before = found.before
            if not before:
                break
        forward = [entry.number async for page in pages(trail, wanted) for entry in page]
        assert (what, back) == (what, forward[::-1])
        assert (what, len(back)) == (what, count)
    assert await first_at(trail, 0.0) == 4
    assert await first_at(trail, START + 2 * DAY) == 10
    assert await first_at(trail, START + 90 * DAY) == 16


async def test_days_are_counted_once(trail: Trail, clock: Clock) -> None:
    clock.now -= DAY
    days = {day.date: dict(day.counts) for day in await daily(trail, clock.now) if day.counts}
    assert list(days) == ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]
    assert days["2026-01-01"] == {"login": 1, "factor_refused": 1, "guarded_act": 1}
    kept = await trail.store.get(TALLY)
    assert kept is not None
    await daily(trail, clock.now)
    assert await trail.store.get(TALLY) == kept, "nothing new, nothing written"
    await trail.record(Event.LOGIN, "alice", ORIGIN)
    assert (await daily(trail, clock.now))[-1].counts["login"] == 2


async def test_people_are_listed_by_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "PAGE", 2)
    monkeypatch.setattr(roster, "SCANNED", 2)
    world = World(store, WorldClock())
    await people(world)
    assert await listed(world, limit=2) == ["al", "alba", "alice", "bob", "carol"]
    assert await listed(world, limit=2, begins="al") == ["al", "alba", "alice"]
    assert await listed(world, limit=2, bare=True) == ["al", "alba", "carol"]
    seen = await Roster(world.flow.services).one("alice")
    assert (seen.row.protected, len(seen.row.factors)) == (True, 1)
