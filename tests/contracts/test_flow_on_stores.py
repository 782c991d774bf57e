"""Two gateways on one store behave as one, on every backend: logins, codes, ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.administration import Admin
from gateway.core.errors import Refusal
from gateway.core.throttle.limits import NETWORK
from gateway.stores import open_store
from tests.core.world import Clock, Person, World, caller, earned, wrong_code
from tests.factors.authenticator import SecurityKey


@pytest.fixture
async def pair(store_url: str) -> AsyncIterator[tuple[World, World]]:
    """Two gateways with a connection each."""
    clock = Clock()
    stores = [await open_store(store_url, clock) for _ in range(2)]
    yield World(stores[0], clock), World(stores[1], clock)
    for store in stores:
        await store.close()


async def test_a_login_begun_at_one_is_finished_at_the_other(pair: tuple[World, World]) -> None:
    here, there = pair
    alice = Person("alice")
    await here.enrol(alice)
    begun = await here.flow.entering.begin("alice", earned("alice"), alice.caller)
    passed = await there.prove(begun.cookie, "totp", there.code(alice), alice.caller, remember=True)
    session = await here.session(passed.session_cookie)
    assert session.upstream == passed.held.session
    assert await here.flow.earned.verified(passed.held.issued[0].credential)
    await there.flow.earned.end(passed.session_cookie, alice.caller)
    assert await here.flow.earned.session(passed.session_cookie) is None
    again = await here.flow.entering.begin(
        "alice", earned("alice"), alice.caller, device_cookie=passed.device_cookie
    )
    assert again.step == "passed"


async def test_one_code_passes_once_at_both(pair: tuple[World, World]) -> None:
    alice = Person("alice")
    await pair[0].enrol(alice)
    code = pair[0].code(alice)

    async def attempt(world: World) -> bool:
        begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
        try:
            await world.prove(begun.cookie, "totp", code, alice.caller)
        except Refusal:
            return False
        return True

    passed = await asyncio.gather(*(attempt(world) for world in pair for _ in range(2)))
    assert sum(passed) == 1


async def test_one_recovery_code_passes_once_at_both(pair: tuple[World, World]) -> None:
    alice = Person("alice")
    await pair[0].enrol(alice)
    answers = await asyncio.gather(
        *(
            world.flow.at_once.prove("alice", alice.codes[0], (), alice.caller)
            for world in pair
            for _ in range(5)
        ),
        return_exceptions=True,
    )
    assert answers.count("recovery") == 1


async def test_wrong_codes_are_counted_together(pair: tuple[World, World]) -> None:
    alice, mallory = Person("alice"), caller("203.0.113.5")
    await pair[0].enrol(alice)
    answers = []
    for number in range(NETWORK[0].limit + 1):
        world = pair[number % 2]
        with pytest.raises(Refusal) as refused:
            await world.flow.at_once.prove("alice", wrong_code(alice, world.clock()), (), mallory)
        answers.append(refused.value.slug)
    assert answers == ["otp_invalid"] * NETWORK[0].limit + ["throttled"]


async def test_a_reset_at_one_ends_sessions_at_the_other(pair: tuple[World, World]) -> None:
    here, there = pair
    passed = await here.enrol(Person("alice"))
    reset = await Admin(there.flow.services).reset("alice", "lost")
    assert await here.flow.earned.session(passed.session_cookie) is None
    with pytest.raises(Refusal, match="invite_required"):
        await here.enrol(Person("alice"))
    await here.enrol(Person("alice"), invitation=reset.invitation.link.rpartition("/")[2])


async def test_a_challenge_of_one_is_answered_at_the_other(pair: tuple[World, World]) -> None:
    here, there = pair
    alice, key = Person("alice"), SecurityKey()
    session = await here.session((await here.enrol(alice)).session_cookie)
    options = await here.flow.enrolling.webauthn(session, "blue key")
    await there.flow.enrolling.confirm_webauthn(session, key.create(options), alice.caller)
    ticket, asked = here.flow.passkeys.ask()
    assert await there.flow.passkeys.login(ticket, key.get(asked), alice.caller)
