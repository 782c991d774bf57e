"""Logins in a browser, from the first factor to the session."""

from __future__ import annotations

import pytest

from gateway.core.audit import Event
from gateway.core.errors import Refusal
from gateway.core.flow import Step
from tests.core.world import Person, World, caller, earned, wrong_code


async def test_a_first_login_leads_to_enrolment_and_ends_in_a_session(world: World) -> None:
    alice = Person("alice")
    passed = await world.enrol(alice)
    session = await world.session(passed.session_cookie)
    assert (session.user_id, session.factor) == ("alice", "totp")
    assert session.upstream == passed.held.session
    assert world.ledger.names() == [Event.ENROLLED, Event.RECOVERY_CODES_MADE, Event.LOGIN]


async def test_a_login_with_a_code_verifies_what_was_held_back(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    passed = await world.login(alice)
    token = passed.held.issued[0].credential
    verified = await world.flow.verified(token)
    assert verified is not None
    assert (verified.user_id, verified.factor) == ("alice", "totp")
    assert verified.proved_at == world.clock()


async def test_a_wrong_code_leaves_the_login_pending(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    begun = await world.flow.begin("alice", earned("alice", "/alice/dev"), alice.caller)
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.flow.prove(begun.cookie, "totp", wrong_code(alice, world.clock()), alice.caller)
    pending = await world.pending(begun)
    assert (pending.step, pending.goto, pending.kinds) == (
        Step.VERIFY,
        "/alice/dev",
        ("totp", "recovery"),
    )
    passed = await world.flow.prove(begun.cookie, "totp", world.code(alice), alice.caller)
    assert passed.held.goto == "/alice/dev"
    with pytest.raises(Refusal, match="pending_expired"):
        await world.flow.prove(begun.cookie, "totp", world.code(alice), caller())
