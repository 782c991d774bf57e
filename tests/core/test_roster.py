"""Administrators' lists: by pages, by the beginning of a name, and who has no second factor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core import roster
from gateway.core.administration import Admin
from gateway.core.audit.events import Event, Origin
from gateway.core.errors import Refusal
from gateway.core.notices.events import Notice
from gateway.core.roster import Roster
from tests.core.world import Person, World, make_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = make_world(tmp_path)
    yield made
    await made.store.close()


async def people(world: World) -> None:
    """Two with a factor, three that are invited, and one that is gone."""
    admin = Admin(world.flow.services)
    for name in ("al", "alba", "carol", "gone"):
        await admin.invite(name)
    for name in ("alice", "bob"):
        await world.enrol(Person(name))
    await admin.remove("gone")


async def listed(world: World, *, limit: int, **asked: object) -> list[str]:
    """The names on all pages."""
    found, after = list[str](), ""
    for _ in range(50):
        page = await Roster(world.flow.services).page(limit=limit, after=after, **asked)  # type: ignore[arg-type]
        assert len(page.rows) <= limit
        found += [row.id for row in page.rows]
        after = page.after
        if not after:
            return found
    raise AssertionError("the list has no end")


ASKED = {
    "everybody": ({}, ["al", "alba", "alice", "bob", "carol"]),
    "the beginning of a name": ({"begins": "al"}, ["al", "alba", "alice"]),
    "a whole name": ({"begins": "bob"}, ["bob"]),
    "nobody": ({"begins": "z"}, []),
    "without a factor": ({"bare": True}, ["al", "alba", "carol"]),
    "both": ({"bare": True, "begins": "al"}, ["al", "alba"]),
}


@pytest.mark.parametrize(("asked", "names"), ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("limit", [1, 2, 50])
@pytest.mark.parametrize("page", [2, 1000])
async def test_people_are_listed_by_pages(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, object],
    names: list[str],
    limit: int,
    page: int,
) -> None:
    monkeypatch.setattr(roster, "PAGE", page)
    monkeypatch.setattr(roster, "SCANNED", 2)
    await people(world)
    assert await listed(world, limit=limit, **asked) == names


async def test_a_person_is_shown_with_where_they_are_logged_in(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    await world.login(alice, remember=True)
    seen = await Roster(world.flow.services).one("Alice")
    assert (seen.row.id, seen.row.protected, len(seen.row.factors)) == ("alice", True, 1)
    assert (len(seen.sessions), seen.devices) == (2, 1)
    with pytest.raises(Refusal, match="no_such_person"):
        await Roster(world.flow.services).one("nobody")


async def test_an_administrator_ends_every_login_and_is_named(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    passed = await world.login(alice, remember=True)
    admin = Admin(world.flow.services, Origin("192.0.2.99"), "root")
    await admin.end_logins("alice", "left on a train")
    seen = await Roster(world.flow.services).one("alice")
    assert (seen.anywhere, seen.row.protected) == (False, True)
    assert await world.flow.earned.session(passed.session_cookie) is None
    at = world.ledger.names().index(Event.LOGINS_ENDED)
    assert world.ledger.details[at] == "by root: left on a train"
    assert "ended by the administrator" in world.ledger.details
    assert (Notice.LOGINS_ENDED, "alice") in world.ledger.notices
