"""Remembered devices, and signing in with a passkey alone."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.errors import Refusal
from gateway.core.login.models import Held, Step
from gateway.core.upstream import Credential
from tests.core.login.test_self_service import add_key, enrolled
from tests.core.world import Person, World, caller, earned
from tests.factors.authenticator import SecurityKey

# -- remembered devices ----------------------------------------------------------------------


async def test_a_remembered_device_needs_no_code(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    first = await world.login(alice, remember=True)
    proved = world.clock()
    world.clock.turn(29 * 86400)
    held = earned("alice", "/alice/dev")
    begun = await world.flow.entering.begin(
        "alice", held, alice.caller, device_cookie=first.device_cookie
    )
    assert (begun.step, begun.held) == (Step.PASSED, held)
    session = await world.session(begun.cookie)
    assert (session.factor, session.proved_at) == ("device", proved)
    verified = await world.flow.earned.verified(held.issued[0].credential)
    assert verified
    assert verified.proved_at == proved, "a guarded act asks for a fresh proof"


async def test_a_device_is_forgotten_after_its_time(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    first = await world.login(alice, remember=True)
    world.clock.turn(world.limits.remember)
    begun = await world.flow.entering.begin(
        "alice", earned("alice"), alice.caller, device_cookie=first.device_cookie
    )
    assert begun.step is Step.VERIFY


async def test_a_device_is_one_persons(world: World) -> None:
    alice, bob = Person("alice"), Person("bob")
    await world.enrol(alice)
    await world.enrol(bob)
    first = await world.login(alice, remember=True)
    begun = await world.flow.entering.begin(
        "bob", earned("bob"), bob.caller, device_cookie=first.device_cookie
    )
    assert begun.step is Step.VERIFY


async def test_a_device_can_be_forgotten(world: World) -> None:
    alice, session = await enrolled(world)
    first = await world.login(alice, remember=True)
    (row,) = (await world.flow.manage.overview(session, device_cookie=first.device_cookie)).devices
    assert row.current
    await world.flow.manage.forget_device(session, row.id, caller())
    begun = await world.flow.entering.begin(
        "alice", earned("alice"), alice.caller, device_cookie=first.device_cookie
    )
    assert begun.step is Step.VERIFY


async def test_remembering_can_be_off(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    first = await world.login(alice, remember=True)
    strict = world.other(remember=0.0)
    begun = await strict.flow.entering.begin(
        "alice", earned("alice"), alice.caller, device_cookie=first.device_cookie
    )
    assert begun.step is Step.VERIFY
    passed = await strict.prove(
        begun.cookie, "totp", world.code(alice), alice.caller, remember=True
    )
    assert passed.device_cookie == ""


@pytest.mark.parametrize("kind", ["session_cookie", "device_cookie"])
async def test_a_devices_cookie_is_no_session_and_the_other_way_round(
    world: World, kind: str
) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    passed = await world.login(alice, remember=True)
    if kind == "device_cookie":
        assert await world.flow.earned.session(passed.device_cookie) is None
        return
    begun = await world.flow.entering.begin(
        "alice", earned("alice"), alice.caller, device_cookie=passed.session_cookie
    )
    assert begun.step is Step.VERIFY


# -- a passkey alone -------------------------------------------------------------------------


async def with_passkey(world: World, key: SecurityKey) -> Person:
    alice, session = await enrolled(world)
    await add_key(world, session, key, "blue key")
    return alice


async def test_a_passkey_signs_in_without_a_name(world: World) -> None:
    key = SecurityKey()
    await with_passkey(world, key)
    ticket, options = world.flow.passkeys.ask()
    passed = await world.flow.passkeys.login(ticket, key.get(options), caller())
    session = await world.session(passed.session_cookie)
    assert (session.user_id, session.factor, session.upstream) == ("alice", "webauthn", None)


async def test_on_a_remembered_device_it_goes_on_with_what_was_earned(world: World) -> None:
    key = SecurityKey()
    alice = await with_passkey(world, key)
    first = await world.login(alice, remember=True)
    token = first.held.issued[0].credential
    world.clock.turn(3600)
    ticket, options = world.flow.passkeys.ask()
    passed = await world.flow.passkeys.login(
        ticket, key.get(options), caller(), device_cookie=first.device_cookie
    )
    session = await world.session(passed.session_cookie)
    assert session.upstream == token
    verified = await world.flow.earned.verified(token)
    assert verified
    assert verified.proved_at == world.clock()


async def test_but_not_with_what_has_ended_at_the_upstream(world: World) -> None:
    key = SecurityKey()
    alice = await with_passkey(world, key)
    first = await world.login(alice, remember=True)
    world.clock.turn(36001)
    ticket, options = world.flow.passkeys.ask()
    passed = await world.flow.passkeys.login(
        ticket, key.get(options), caller(), device_cookie=first.device_cookie
    )
    assert (await world.session(passed.session_cookie)).upstream is None


async def test_a_password_lasts_on_a_remembered_device(world: World) -> None:
    """pypiserver: the credential is the password itself, which nobody hands out again."""
    key = SecurityKey()
    alice = await with_passkey(world, key)
    password = Credential("alice", "correct horse")
    begun = await world.flow.entering.begin("alice", Held(session=password), alice.caller)
    first = await world.prove(begun.cookie, "totp", world.code(alice), alice.caller, remember=True)
    world.clock.turn(20 * 86400)
    ticket, options = world.flow.passkeys.ask()
    passed = await world.flow.passkeys.login(
        ticket, key.get(options), caller(), device_cookie=first.device_cookie
    )
    assert (await world.session(passed.session_cookie)).upstream == password
    assert await world.flow.earned.verified(password) is None, "a password is never verified"


async def test_a_key_that_checks_nobody_does_not_sign_in_alone(world: World) -> None:
    key = SecurityKey(verifies=False)
    await with_passkey(world, key)
    ticket, options = world.flow.passkeys.ask()
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.flow.passkeys.login(ticket, key.get(options), caller())


async def test_a_ticket_is_good_for_one_answer(world: World) -> None:
    key = SecurityKey(counts=False)
    await with_passkey(world, key)
    ticket, options = world.flow.passkeys.ask()
    answer = key.get(options)
    answers = await asyncio.gather(
        *(world.flow.passkeys.login(ticket, answer, caller()) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, Refusal) for one in answers) == 1
    with pytest.raises(Refusal, match="pending_expired"):
        await world.flow.passkeys.login(ticket, answer, caller())


async def test_an_unknown_key_and_junk_look_alike(world: World) -> None:
    await with_passkey(world, SecurityKey())
    stranger = SecurityKey(handle="c3RyYW5nZXI")
    texts = []
    for answer in (stranger.get, lambda options: "{}"):
        ticket, options = world.flow.passkeys.ask()
        with pytest.raises(Refusal) as refused:
            await world.flow.passkeys.login(ticket, answer(options), caller())
        texts.append(refused.value.text)
    assert texts[0] == texts[1]


async def test_a_challenge_for_a_login_is_not_one_for_signing_in(world: World) -> None:
    key = SecurityKey()
    alice = await with_passkey(world, key)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    pending = await world.pending(begun)
    asked = await world.flow.at_once.ask(pending, "webauthn")
    for ticket in (pending.id, "passkey:" + pending.id, ""):
        with pytest.raises(Refusal, match="pending_expired"):
            await world.flow.passkeys.login(ticket, key.get(asked), caller())
