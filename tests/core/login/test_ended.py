"""Credentials that have ended: what is kept of them, and what goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.login.credentials import KEPT
from gateway.core.login.models import Held, Passed
from gateway.core.store import Key
from gateway.core.upstream import Credential, Issued
from tests.core.world import Person, World, caller

COOKIE = Issued(Credential("", "sid=s3cr3t"), 600.0, "sid=s3cr3t", "sid=; Path=/; Max-Age=0")


def token(name: str) -> Issued:
    return Issued(Credential("alice", f"token {name}"), 36000.0, f"trace {name}")


async def log_in(world: World, person: Person, *issued: Issued) -> Passed:
    held = Held(issued, session=issued[0].credential)
    begun = await world.flow.entering.begin(person.name, held, person.caller)
    return await world.prove(begun.cookie, "totp", world.code(person), person.caller)


async def has_ended(world: World, issued: Issued) -> bool:
    return await world.flow.services.credentials.ended([issued.trace]) is not None


@pytest.fixture
async def alice(world: World) -> Person:
    person = Person("alice")
    await world.enrol(person)
    return person


async def test_one_that_two_sessions_hold_ends_with_the_last(world: World, alice: Person) -> None:
    """Tokens that devpi makes for somebody in one second are equal."""
    one, two = token("same"), token("same")
    first, second = await log_in(world, alice, one), await log_in(world, alice, two)
    await world.flow.earned.end(first.session_cookie, alice.caller)
    assert not await has_ended(world, one)
    assert await world.flow.earned.verified(one.credential)
    await world.flow.earned.end(second.session_cookie, alice.caller)
    assert await has_ended(world, one)
    assert await world.flow.earned.verified(one.credential) is None
    await log_in(world, alice, token("same"))
    assert not await has_ended(world, one), "a later login handed it out anew"


async def test_a_change_of_factors_ends_all_but_that_of_the_session(
    world: World, alice: Person
) -> None:
    mine, other, by_command = token("mine"), token("other"), token("command line")
    passed = await log_in(world, alice, mine)
    await log_in(world, alice, other)
    await world.flow.at_once.prove("alice", world.code(alice), (by_command,), alice.caller)
    session = replace(await world.session(passed.session_cookie), proved_at=world.clock())
    await world.flow.enrolling.recovery(session, alice.caller)
    ended = [await has_ended(world, one) for one in (mine, other, by_command)]
    assert ended == [False, True, True]


async def test_to_end_all_others_ends_what_has_no_session(world: World, alice: Person) -> None:
    mine, by_command = token("mine"), token("command line")
    passed = await log_in(world, alice, mine)
    await world.flow.at_once.prove("alice", world.code(alice), (by_command,), alice.caller)
    session = await world.session(passed.session_cookie)
    assert (await world.flow.manage.overview(session)).logins == 1
    await world.flow.manage.end_others(session, caller())
    assert [await has_ended(world, one) for one in (mine, by_command)] == [False, True]
    assert (await world.flow.manage.overview(session)).logins == 0


async def test_no_renewal_brings_one_back(world: World, alice: Person) -> None:
    mine = token("mine")
    passed = await log_in(world, alice, mine)
    session = await world.session(passed.session_cookie)
    credentials = world.flow.services.credentials
    await credentials.end("alice", session.holds)
    await credentials.renew(
        "alice", session.holds, proved_at=world.clock(), factor="totp", epoch=session.epoch
    )
    assert await has_ended(world, mine)


async def test_one_that_does_not_tell_its_end_is_kept_longer(world: World, alice: Person) -> None:
    """A server may take its cookie for longer than it told the browser."""
    passed = await log_in(world, alice, COOKIE)
    assert await world.flow.earned.verified(COOKIE.credential)
    clears = await world.flow.earned.end(passed.session_cookie, alice.caller)
    assert clears == (COOKIE.clear,)
    world.clock.turn(600 + KEPT - 31)
    assert await has_ended(world, COOKIE)
    world.clock.turn(31)
    assert not await has_ended(world, COOKIE)


async def test_what_was_kept_before_ends_were_kept_counts_on(world: World, alice: Person) -> None:
    mine = token("mine")
    passed = await log_in(world, alice, mine)
    (name,) = (await world.session(passed.session_cookie)).holds
    key = Key("credential", "alice", name)
    value = b'{"proved":%d,"factor":"totp","epoch":1,"expires":%d}'
    now = int(world.clock())
    await world.store.put(key, value % (now, now + 60), expires=now + 60)
    assert await world.flow.earned.verified(mine.credential)
