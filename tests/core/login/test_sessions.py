"""Sessions: their ids, their ends, and the credential only their cookie opens."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.audit.events import Event
from gateway.core.crypto.signing import Tickets
from gateway.core.errors import Refusal
from gateway.core.login.flow import SWEEP_EVERY
from gateway.core.login.models import FlowLimits
from gateway.core.login.sessions import CHANGED, CROWDED, IDLE, LINGER, OVER
from gateway.core.store import Key
from tests.core.world import Person, World, earned, token_of


async def test_the_store_alone_opens_no_upstream_credential(world: World) -> None:
    alice = Person("alice")
    passed = await world.enrol(alice)
    session = await world.session(passed.session_cookie)
    assert session.upstream
    ((name, record),) = await world.store.items("session", "alice")
    assert session.upstream.secret.encode() not in record.value
    # With the store and the keys, but another cookie's part, it stays closed.
    other = await world.login(alice)
    tickets = Tickets(world.ring, world.clock, "session", 3600)
    theirs = tickets.read(other.session_cookie)
    assert theirs
    mixed = tickets.make("alice", name, theirs[2])
    assert await world.flow.earned.session(mixed) is None


async def test_a_session_ends_when_idle(world: World) -> None:
    passed = await world.enrol(Person("alice"))
    world.clock.turn(world.limits.idle - 1)
    assert await world.flow.earned.session(passed.session_cookie)
    world.clock.turn(world.limits.idle - 1)
    assert await world.flow.earned.session(passed.session_cookie)
    world.clock.turn(world.limits.idle)
    assert await world.flow.earned.session(passed.session_cookie) is None


async def test_a_session_ends_however_busy(world: World) -> None:
    passed = await world.enrol(Person("alice"))
    end = world.clock() + world.limits.absolute
    while world.clock() < end - 3600:
        world.clock.turn(1800)
        assert await world.flow.earned.session(passed.session_cookie)
    world.clock.turn(3600)
    assert await world.flow.earned.session(passed.session_cookie) is None


async def test_a_step_up_gives_a_new_id_and_ends_the_old(world: World) -> None:
    alice = Person("alice")
    passed = await world.enrol(alice)
    before = await world.session(passed.session_cookie)
    world.clock.turn(3600)
    cookie = await world.step_up(passed.session_cookie, "totp", world.code(alice), alice.caller)
    after = await world.session(cookie)
    assert after.id != before.id
    assert (after.upstream, after.created) == (before.upstream, before.created)
    assert after.proved_at == world.clock()
    assert await world.flow.earned.session(passed.session_cookie) is None
    token = passed.held.issued[0].credential
    verified = await world.flow.earned.verified(token)
    assert verified
    assert verified.proved_at == world.clock()
    assert Event.STEP_UP in world.ledger.names()


async def test_a_step_up_needs_the_persons_own_factor(world: World) -> None:
    alice, bob = Person("alice"), Person("bob")
    passed = await world.enrol(alice)
    await world.enrol(bob)
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.step_up(passed.session_cookie, "totp", world.code(bob), alice.caller)
    assert await world.flow.earned.session(passed.session_cookie)


async def test_two_step_ups_at_once_leave_one_session(world: World) -> None:
    alice = Person("alice")
    passed = await world.enrol(alice)
    answers = await asyncio.gather(
        world.step_up(passed.session_cookie, "totp", world.code(alice), alice.caller),
        world.step_up(passed.session_cookie, "recovery", alice.codes[0], alice.caller),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Refusal", "str"]
    assert len(await world.store.items("session", "alice")) == 1


async def test_a_step_up_makes_no_session_live_longer(world: World) -> None:
    alice = Person("alice")
    passed = await world.enrol(alice)
    cookie, end = passed.session_cookie, world.clock() + world.limits.absolute
    while world.clock() < end - 7200:
        world.clock.turn(3600)
        cookie = await world.step_up(cookie, "totp", world.code(alice), alice.caller)
    world.clock.turn(7200)
    assert await world.flow.earned.session(cookie) is None


async def test_logging_out_ends_the_session_and_what_it_earned(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    passed = await world.login(alice)
    await world.flow.earned.end(passed.session_cookie, alice.caller)
    assert await world.flow.earned.session(passed.session_cookie) is None
    assert await world.flow.earned.verified(passed.held.issued[0].credential) is None
    assert world.ledger.names()[-1] is Event.SESSION_ENDED


async def test_beyond_the_limit_the_longest_unused_ends(world: World) -> None:
    world = world.other(sessions=3)
    alice = Person("alice")
    cookies = [(await world.enrol(alice)).session_cookie]
    for _ in range(4):
        world.clock.turn(60)
        cookies.append((await world.login(alice)).session_cookie)
    alive = [bool(await world.flow.earned.session(cookie)) for cookie in cookies]
    assert alive == [False, False, True, True, True]


async def test_a_changed_password_ends_everything(world: World) -> None:
    alice, bob = Person("alice"), Person("bob")
    await world.enrol(alice)
    of_bob = await world.enrol(bob)
    first = await world.login(alice, remember=True)
    token = first.held.issued[0].credential
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    proof = await world.flow.earned.verified(token)
    assert proof
    fresh = token_of("alice")
    await world.flow.at_once.password_changed("Alice", fresh, proof, alice.caller)
    assert await world.flow.earned.session(first.session_cookie) is None
    assert await world.flow.earned.verified(token) is None
    assert await world.flow.entering.pending(begun.cookie) is None
    again = await world.flow.entering.begin(
        "alice", earned("alice"), alice.caller, device_cookie=first.device_cookie
    )
    assert again.step == "verify"
    carried = await world.flow.earned.verified(fresh.credential)
    assert carried
    assert carried.proved_at == proof.proved_at
    assert await world.flow.earned.session(of_bob.session_cookie)


async def test_anothers_proof_verifies_no_fresh_credential(world: World) -> None:
    alice, root = Person("alice"), Person("root")
    await world.enrol(alice)
    passed = await world.enrol(root)
    session = await world.session(passed.session_cookie)
    fresh = token_of("alice")
    await world.flow.at_once.password_changed("alice", fresh, session, root.caller)
    assert await world.flow.earned.verified(fresh.credential) is None
    assert await world.flow.earned.session(passed.session_cookie)


async def test_a_session_of_another_key_is_none(world: World) -> None:
    passed = await world.enrol(Person("alice"))
    world.keys = (("k9", bytes([9]) * 32),)
    assert await world.flow.earned.session(passed.session_cookie) is None


async def test_sessions_go_on_through_a_rotation(world: World) -> None:
    alice = Person("alice")
    passed = await world.enrol(alice)
    world.keys = (("k2", bytes([2]) * 32), *world.keys)
    session = await world.session(passed.session_cookie)
    assert session.upstream
    assert await world.flow.earned.verified(passed.held.issued[0].credential)
    await world.login(alice)


async def test_an_expired_record_is_gone_from_the_store(world: World) -> None:
    await world.enrol(Person("alice"))
    ((name, _),) = await world.store.items("session", "alice")
    world.clock.turn(FlowLimits().absolute + LINGER)
    assert await world.store.get(Key("session", "alice", name)) is None


# -- ends that nobody asked for ------------------------------------------------------------


def ends(world: World) -> list[tuple[Event, str]]:
    wanted = (Event.SESSION_ENDED, Event.DEVICE_FORGOTTEN)
    told = zip(world.ledger.events, world.ledger.details, strict=True)
    return [(event, detail) for (event, _, _), detail in told if event in wanted]


@pytest.mark.parametrize(("idle", "why"), [(3600.0, IDLE), (10 * 86400.0, OVER)])
async def test_an_end_by_the_clock_is_recorded_once(world: World, idle: float, why: str) -> None:
    world = world.other(idle=idle)
    await world.enrol(Person("alice"))
    world.clock.turn(min(idle, world.limits.absolute) - 1)
    await world.flow.sweep()
    assert ends(world) == []
    for _ in range(2):
        world.clock.turn(SWEEP_EVERY)
        await asyncio.gather(world.flow.sweep(), world.flow.sweep())
    assert ends(world) == [(Event.SESSION_ENDED, why)]
    assert await world.store.items("session", "alice") == []


async def test_a_remembered_device_whose_time_is_over(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    passed = await world.login(alice, remember=True)
    await world.flow.earned.end(passed.session_cookie, alice.caller)
    world.clock.turn(world.limits.remember)
    begun = await world.flow.entering.begin(
        "alice", earned("alice"), alice.caller, device_cookie=passed.device_cookie
    )
    assert begun.step == "verify"
    await world.flow.sweep()
    assert (Event.DEVICE_FORGOTTEN, f"Firefox on Linux: {OVER}") in ends(world)


async def test_a_changed_password_records_what_it_ends(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    passed = await world.login(alice, remember=True)
    proof = await world.session(passed.session_cookie)
    await world.flow.at_once.password_changed("alice", None, proof, alice.caller)
    assert ends(world) == [
        (Event.SESSION_ENDED, CHANGED),
        (Event.SESSION_ENDED, CHANGED),
        (Event.DEVICE_FORGOTTEN, f"Firefox on Linux: {CHANGED}"),
    ]


async def test_the_one_that_was_too_many_is_recorded(world: World) -> None:
    world = world.other(sessions=2)
    alice = Person("alice")
    await world.enrol(alice)
    for _ in range(2):
        world.clock.turn(60)
        await world.login(alice)
    assert ends(world) == [(Event.SESSION_ENDED, CROWDED)]
