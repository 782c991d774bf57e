"""What can be caused at will fills neither the store nor a person's page, and hides nothing."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.audit import rationing
from gateway.core.audit.events import Event, Origin
from gateway.core.audit.rationing import RATIONS, Rations
from gateway.core.audit.trail import Trail
from gateway.core.audit.verify import verify
from gateway.core.crypto.keyring import KeyRing
from gateway.core.throttle.limits import Tier
from gateway.stores.sqlite.store import SqliteStore
from tests.core.world import Clock

HOME = Origin("198.51.100.7")


@pytest.fixture
async def trail(tmp_path: Path) -> AsyncIterator[Trail]:
    clock = Clock()
    store = SqliteStore(tmp_path / "state.db", clock)
    yield Trail(store, KeyRing((("k1", b"k" * 32),), secrets.token_bytes), clock)
    await store.close()


async def refuse(trail: Trail, user: str, origin: Origin, slug: str = "wrong") -> None:
    await trail.record(Event.GUARDED_REFUSED, user, origin, detail=slug)


async def entries(trail: Trail) -> list[tuple[str, str, str]]:
    found = [json.loads(line) async for line in trail.lines()]
    return [(one["event"], one["user"], one["detail"]) for one in found]


async def test_one_place_about_one_person(trail: Trail) -> None:
    for _ in range(500):
        await refuse(trail, "alice", Origin("203.0.113.5"))
    await refuse(trail, "bob", Origin("203.0.113.5"))
    await refuse(trail, "alice", HOME)
    found = await entries(trail)
    assert [event for event, _, _ in found[:21]] == ["guarded_refused"] * 20 + ["not_recorded"]
    assert found[20][1:] == (
        "alice",
        "more than 20 of guarded_refused in 1 hour: the rest is left out",
    )
    assert [user for _, user, _ in found[21:]] == ["bob", "alice"]
    assert (await verify(trail)).sound


async def test_a_network_with_a_thousand_names(trail: Trail) -> None:
    for number in range(150):
        await refuse(trail, f"user{number}", Origin(f"2001:db8::1:{number:x}"))
    count = Counter(event for event, _, _ in await entries(trail))
    assert count == {"guarded_refused": 100, "not_recorded": 1}


async def test_a_thousand_networks_and_one_name(trail: Trail) -> None:
    for number in range(150):
        await refuse(trail, "alice", Origin(f"203.0.113.{number}"))
    count = Counter(event for event, _, _ in await entries(trail))
    assert count == {"guarded_refused": 100, "not_recorded": 1}
    # A refusal that takes a proof is told apart from those that take a name.
    await refuse(trail, "alice", HOME, "second_factor_stale")
    assert (await entries(trail))[-1][2] == "second_factor_stale"


async def test_it_goes_on_when_the_time_is_over(trail: Trail) -> None:
    clock = trail._clock
    assert isinstance(clock, Clock)
    for _ in range(100):
        await refuse(trail, "alice", HOME)
    clock.turn(3661)
    for _ in range(100):
        await refuse(trail, "alice", HOME)
    count = Counter(event for event, _, _ in await entries(trail))
    assert count == {"guarded_refused": 40, "not_recorded": 2}


async def test_the_most_that_strangers_write_in_a_day(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = RATIONS[Event.GUARDED_REFUSED]._replace(all=Tier(30, 86400))
    monkeypatch.setattr(rationing, "RATIONS", {Event.GUARDED_REFUSED: small})
    for number in range(60):
        await refuse(trail, f"user{number}", Origin(f"10.0.{number}.1"))
    count = Counter(event for event, _, _ in await entries(trail))
    assert count == {"guarded_refused": 30, "not_recorded": 1}


@pytest.mark.parametrize("event", sorted(set(Event) - set(RATIONS)))
async def test_what_takes_a_second_factor_is_always_recorded(trail: Trail, event: Event) -> None:
    rations = Rations(trail.store, trail._clock)
    for _ in range(500):
        assert await rations.spent(event, "alice", HOME, "") == (None, [])
