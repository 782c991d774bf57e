"""Codes that come with the request, policies of enrolment, and approvals in the browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace

import pytest

from gateway.core.administration import Admin
from gateway.core.audit.events import Event
from gateway.core.errors import Refusal
from gateway.core.login.approvals import Asked
from gateway.core.login.models import Caller, Enrolment, Step
from gateway.core.notices.events import Notice
from gateway.core.store import Key
from tests.core.world import Person, Phone, World, caller, earned, token_of, wrong_code

TWINE = "twine/6.2 requests/2.32"


def shell(address: str = "192.0.2.10", agent: str = "devpi-client/7.3.0") -> Caller:
    return caller(address, agent)


async def now(world: World, name: str, code: str | None, who: Caller | None = None) -> str:
    return await world.flow.at_once.prove(name, code, (), who or shell())


async def refusal(world: World, name: str, code: str | None, who: Caller | None = None) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await now(world, name, code, who)
    return refused.value


async def test_a_code_in_the_request_verifies_what_was_issued(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    token = token_of("alice")
    factor = await world.flow.at_once.prove("alice", world.code(alice), (token,), shell())
    assert factor == "totp"
    verified = await world.flow.earned.verified(token.credential)
    assert verified
    assert verified.user_id == "alice"


@pytest.mark.parametrize("code", [None, ""], ids=["none", "empty"])
async def test_a_missing_code_is_asked_for(world: World, code: str | None) -> None:
    await world.enrol(Person("alice"))
    assert (await refusal(world, "alice", code)).slug == "otp_required"


async def test_a_wrong_code_verifies_nothing(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    token = token_of("alice")
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.flow.at_once.prove("alice", wrong_code(alice, world.clock()), (token,), shell())
    assert await world.flow.earned.verified(token.credential) is None


async def test_a_recovery_code_works_behind_a_password_too(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    assert await now(world, "alice", alice.codes[0]) == "recovery"
    assert (await refusal(world, "alice", alice.codes[0])).slug == "otp_invalid"


CODES = ["right", "wrong", "none"]


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside another gateway"])
@pytest.mark.parametrize("code", CODES)
async def test_a_right_password_counts_no_more_whatever_the_code(
    world: World, code: str, others: bool
) -> None:
    """Taken back with the entry of the login, or by itself."""
    alice, other, who = Person("alice"), world.other(), shell()
    await world.enrol(alice)
    typed = {"right": world.code(alice), "wrong": wrong_code(alice, world.clock()), "none": None}
    guess = await world.flow.proofs.trying("alice", "alice's password", who)
    logins = world.ledger.names().count(Event.LOGIN)

    async def counted() -> int:
        found = await world.store.get(Key("guesses", "", "192.0.2.10"))
        return len(json.loads(found.value)) if found else 0

    with contextlib.suppress(Refusal):
        async with guess:
            assert await counted() == 1
            guess.passed()
            if others:
                wrong = await other.flow.proofs.trying("bob", "a wrong password", who)
                await wrong.wrong()
            await world.flow.at_once.prove("alice", typed[code], (), who, guess=guess)
            assert await counted() == others + (code != "right" or others)
    assert await counted() == others
    assert world.ledger.names().count(Event.LOGIN) - logins == (code == "right")


POLICIES = [
    pytest.param(Enrolment.REQUIRED, None, "not_enrolled", id="required"),
    pytest.param(Enrolment.INVITE, None, "invite_required", id="by invitation"),
    pytest.param(Enrolment.OPTIONAL, None, "", id="optional"),
    pytest.param(Enrolment.REQUIRED, 60.0, "", id="required from later on"),
    pytest.param(Enrolment.INVITE, 60.0, "", id="by invitation from later on"),
    pytest.param(Enrolment.REQUIRED, -60.0, "not_enrolled", id="required since earlier"),
]


@pytest.mark.parametrize(("enrolment", "starts", "slug"), POLICIES)
async def test_a_person_without_a_factor(
    world: World, enrolment: Enrolment, starts: float | None, slug: str
) -> None:
    start = None if starts is None else world.clock() + starts
    world = world.other(enrolment=enrolment, required_from=start)
    token = token_of("bob")
    if slug:
        refused = await refusal(world, "bob", "123456")
        assert refused.slug == slug
        if slug == "not_enrolled":
            assert "https://packages.example.org/+auth/enrol" in refused.text
        return
    assert await world.flow.at_once.prove("bob", None, (token,), shell()) == ""
    verified = await world.flow.earned.verified(token.credential)
    assert verified
    assert verified.factor == ""
    assert world.ledger.names() == [Event.LOGIN_WITHOUT_FACTOR]
    begun = await world.flow.entering.begin("bob", earned("bob"), shell())
    assert begun.step is Step.PASSED
    assert begun.held
    session = await world.session(begun.cookie)
    assert (session.factor, session.proved_at) == ("", world.clock())


async def test_what_was_earned_without_a_factor_ends_with_the_grace(world: World) -> None:
    world = world.other(required_from=world.clock() + 3600)
    held = earned("bob")
    begun = await world.flow.entering.begin("bob", held, shell())
    seen = await world.flow.manage.overview(await world.session(begun.cookie))
    assert seen.required_from == world.limits.required_from
    world.clock.turn(3599)
    assert await world.flow.earned.session(begun.cookie)
    assert await world.flow.earned.verified(held.issued[0].credential)
    world.clock.turn(1)
    assert await world.flow.earned.session(begun.cookie) is None
    assert await world.flow.earned.verified(held.issued[0].credential) is None
    assert (await world.flow.entering.begin("bob", earned("bob"), shell())).step is Step.ENROL


async def test_optional_means_nothing_for_who_has_a_factor(world: World) -> None:
    world = world.other(enrolment=Enrolment.OPTIONAL)
    admin = Admin(world.flow.services)
    await admin.enrol("alice")
    assert (await refusal(world, "alice", None)).slug == "otp_required"
    begun = await world.flow.entering.begin("alice", earned("alice"), shell())
    assert begun.step is Step.VERIFY


# -- invitations -----------------------------------------------------------------------------


async def invited(world: World, name: str) -> str:
    made = await Admin(world.flow.services).invite(name)
    assert made.link.startswith("https://packages.example.org/+auth/invite/")
    return made.link.rpartition("/")[2]


async def test_an_invitation_lets_its_person_enrol_once(world: World) -> None:
    world = world.other(enrolment=Enrolment.INVITE)
    token = await invited(world, "Alice")
    with pytest.raises(Refusal, match="invite_required"):
        await world.flow.entering.begin("alice", earned("alice"), caller())
    with pytest.raises(Refusal, match="invite_required"):
        await world.flow.entering.begin("bob", earned("bob"), caller(), invitation=token)
    begun = await world.flow.entering.begin("alice", earned("alice"), caller(), invitation=token)
    assert begun.step is Step.ENROL
    alice = Person("alice")
    await finish_enrolment(world, alice, begun.cookie)
    await Admin(world.flow.services).reset("alice", "lost")
    with pytest.raises(Refusal, match="invite_required"):
        await world.flow.entering.begin("alice", earned("alice"), caller(), invitation=token)


async def finish_enrolment(world: World, person: Person, cookie: str) -> None:
    who = await world.flow.entering.pending(cookie)
    assert who
    offer = await world.flow.enrolling.totp(who, "phone")
    person.phone = Phone(offer.uri)
    await world.flow.enrolling.confirm_totp(who, world.code(person), person.caller)
    await world.flow.enrolling.finish(who, person.caller, saved=True)


async def test_an_invitation_ends_after_a_day_or_with_the_next(world: World) -> None:
    world = world.other(enrolment=Enrolment.INVITE)
    first = await invited(world, "alice")
    second = await invited(world, "alice")
    with pytest.raises(Refusal, match="invite_required"):
        await world.flow.entering.begin("alice", earned("alice"), caller(), invitation=first)
    world.clock.turn(86400)
    with pytest.raises(Refusal, match="invite_required"):
        await world.flow.entering.begin("alice", earned("alice"), caller(), invitation=second)


async def test_an_invitation_that_ends_meanwhile_enrols_nobody(world: World) -> None:
    world = world.other(enrolment=Enrolment.INVITE)
    token = await invited(world, "alice")
    begun = await world.flow.entering.begin("alice", earned("alice"), caller(), invitation=token)
    await invited(world, "alice")
    with pytest.raises(Refusal, match="invite_invalid"):
        await finish_enrolment(world, Person("alice"), begun.cookie)
    assert not (await Admin(world.flow.services).show("alice")).protected


async def test_a_password_alone_enrols_nobody_before_the_deadline(world: World) -> None:
    world = world.other(enrolment=Enrolment.INVITE, required_from=world.clock() + 3600)
    begun = await world.flow.entering.begin("alice", earned("alice"), caller())
    assert begun.step is Step.PASSED
    session = await world.session(begun.cookie)
    for offer in (world.flow.enrolling.totp, world.flow.enrolling.webauthn):
        with pytest.raises(Refusal, match="invite_required"):
            await offer(session, "phone")
    token = await invited(world, "alice")
    begun = await world.flow.entering.begin("alice", earned("alice"), caller(), invitation=token)
    await finish_enrolment(world, Person("alice"), begun.cookie)


# -- approvals -------------------------------------------------------------------------------


async def asked(world: World, name: str, who: Caller | None = None) -> Asked:
    """What the command line is told: the end of the address, and the number."""
    refused = await refusal(world, name, None, who)
    assert refused.slug == "otp_required"
    assert "within two minutes" in refused.text
    found = Asked(refused.detail["approve"].rpartition("/")[2], refused.detail["number"])
    assert f"type {found.number} there" in refused.text
    return found


async def test_a_login_without_a_code_can_be_approved_once(world: World) -> None:
    passed = await world.enrol(Person("alice"))
    session = await world.session(passed.session_cookie)
    id = await asked(world, "alice")
    waiting = await world.flow.approving.waiting(session, id.id)
    assert waiting
    assert (waiting.address, waiting.user_agent) == ("192.0.2.10", "devpi-client/7.3.0")
    await world.flow.approving.approve(session, *id, caller())
    assert await now(world, "alice", None) == "approval"
    assert (await refusal(world, "alice", None)).slug == "otp_required"
    assert Event.COMMAND_LINE_APPROVED in world.ledger.names()


async def test_a_number_that_does_not_fit_denies_and_the_person_is_told(world: World) -> None:
    """The address came by mail from whoever started the login: the number did not."""
    session = await world.session((await world.enrol(Person("alice"))).session_cookie)
    for wrong in ("", "other"):
        thief = caller("203.0.113.9", f"devpi-client/7 {wrong}")
        id, number = await asked(world, "alice", thief)
        guess = wrong and str(10 + (int(number) - 9) % 90)
        with pytest.raises(Refusal, match="approval_denied"):
            await world.flow.approving.approve(session, id, guess, caller())
        assert world.ledger.names()[-1] is Event.COMMAND_LINE_DENIED
        assert world.ledger.notices[-1] == (Notice.LOGIN_DENIED, "alice")
        with pytest.raises(Refusal, match="approval_gone"):
            await world.flow.approving.approve(session, id, number, caller())
        for _ in range(2):
            again = await refusal(world, "alice", None, thief)
            assert "approve" not in again.detail, "denied: it waits no more"
        world.clock.turn(100)
    world.clock.turn(21)
    assert (await asked(world, "alice", thief)).id != id


async def test_a_number_is_two_digits_and_another_each_time(world: World) -> None:
    await world.enrol(Person("alice"))
    found = []
    for agent in range(40):
        world.clock.turn(300)
        found.append(await asked(world, "alice", caller(agent=f"devpi-client/{agent}")))
    assert {len(one.number) for one in found} == {2}
    assert len({one.number for one in found}) > 15
    assert len({one.id for one in found}) == 40


async def test_without_a_browser_session_there_is_nothing_to_approve(world: World) -> None:
    passed = await world.enrol(Person("alice"))
    await world.flow.earned.end(passed.session_cookie, caller())
    refused = await refusal(world, "alice", None)
    assert refused.slug == "otp_required"
    assert "/+auth/approve" not in refused.text
    assert "PASSWORD,123456. Or log in at https://packages.example.org/+auth/login " in refused.text


OTHERS = [
    pytest.param(shell("198.51.100.7"), id="another address"),
    pytest.param(shell("192.0.2.11"), id="the address beside it"),
    pytest.param(shell(agent=TWINE), id="another program"),
]


@pytest.mark.parametrize("other", OTHERS)
async def test_an_approval_is_for_one_client(world: World, other: Caller) -> None:
    passed = await world.enrol(Person("alice"))
    session = await world.session(passed.session_cookie)
    await world.flow.approving.approve(session, *(await asked(world, "alice")), caller())
    assert (await refusal(world, "alice", None, other)).slug == "otp_required"
    assert await now(world, "alice", None) == "approval"


async def test_only_the_person_can_approve(world: World) -> None:
    await world.enrol(Person("alice"))
    bob = await world.session((await world.enrol(Person("bob"))).session_cookie)
    id = await asked(world, "alice")
    assert await world.flow.approving.waiting(bob, id.id) is None
    with pytest.raises(Refusal, match="approval_gone"):
        await world.flow.approving.approve(bob, *id, caller())


@pytest.mark.parametrize("seconds", [121], ids=["after two minutes"])
async def test_an_approval_ends(world: World, seconds: float) -> None:
    passed = await world.enrol(Person("alice"))
    session = await world.session(passed.session_cookie)
    late = await asked(world, "alice")
    world.clock.turn(seconds)
    session = replace(session, proved_at=world.clock())
    with pytest.raises(Refusal, match="approval_gone"):
        await world.flow.approving.approve(session, *late, caller())
    await world.flow.approving.approve(session, *(await asked(world, "alice")), caller())
    world.clock.turn(seconds)
    assert (await refusal(world, "alice", None)).slug == "otp_required"


async def test_an_approval_ends_with_a_changed_password(world: World) -> None:
    passed = await world.enrol(Person("alice"))
    session = await world.session(passed.session_cookie)
    await world.flow.approving.approve(session, *(await asked(world, "alice")), caller())
    await world.flow.at_once.password_changed("alice", None, session, caller())
    assert (await refusal(world, "alice", None)).slug == "otp_required"


async def test_approving_needs_a_fresh_proof(world: World) -> None:
    passed = await world.enrol(Person("alice"))
    session = await world.session(passed.session_cookie)
    world.clock.turn(121)
    id = await asked(world, "alice")
    with pytest.raises(Refusal, match="step_up_required"):
        await world.flow.approving.approve(session, *id, caller())


async def test_of_many_tries_at_once_one_passes(world: World) -> None:
    passed = await world.enrol(Person("alice"))
    session = await world.session(passed.session_cookie)
    await world.flow.approving.approve(session, *(await asked(world, "alice")), caller())
    answers = await asyncio.gather(
        *(now(world, "alice", None) for _ in range(10)), return_exceptions=True
    )
    assert answers.count("approval") == 1


async def test_trying_again_and_again_waits_once(world: World) -> None:
    await world.enrol(Person("alice"))
    ids = {await asked(world, "alice") for _ in range(5)}
    assert len(ids) == 1
    assert len(await world.store.items("approval", "alice")) == 1


async def test_first_tries_at_once_wait_together(world: World) -> None:
    """Two gateways, ten tries before any is answered: every address they name is a live one."""
    session = await world.session((await world.enrol(Person("alice"))).session_cookie)
    tries = (asked(each, "alice") for _ in range(5) for each in (world, world.other()))
    ids = set(await asyncio.gather(*tries))
    assert len(ids) == 1
    await world.flow.approving.approve(session, *ids.pop(), caller())
    assert await now(world, "alice", None) == "approval"


async def test_the_last_try_has_its_two_minutes(world: World) -> None:
    session = await world.session((await world.enrol(Person("alice"))).session_cookie)
    id = await asked(world, "alice")
    world.clock.turn(119)
    assert await asked(world, "alice") == id
    world.clock.turn(119)
    session = replace(session, proved_at=world.clock())
    await world.flow.approving.approve(session, *id, caller())
    assert await now(world, "alice", None) == "approval"


async def test_approving_twice_lets_one_try_pass_and_waits_no_longer(world: World) -> None:
    session = await world.session((await world.enrol(Person("alice"))).session_cookie)
    id = await asked(world, "alice")
    await world.flow.approving.approve(session, *id, caller())
    world.clock.turn(100)
    await world.flow.approving.approve(session, *id, caller())
    waiting = await world.flow.approving.waiting(session, id.id)
    assert waiting
    assert (waiting.approved, waiting.expires - world.clock()) == (True, 20)
    assert await now(world, "alice", None) == "approval"
    with pytest.raises(Refusal, match="approval_gone"):
        await world.flow.approving.approve(session, *id, caller())
    assert (await refusal(world, "alice", None)).slug == "otp_required"


async def test_tries_and_approvals_at_once_lose_nothing(world: World) -> None:
    session = await world.session((await world.enrol(Person("alice"))).session_cookie)
    id = await asked(world, "alice")
    await asyncio.gather(
        *(asked(world, "alice") for _ in range(3)),
        world.flow.approving.approve(session, *id, caller()),
    )
    assert await now(world, "alice", None) == "approval"


async def test_another_machine_behind_the_address_may_be_quicker_but_only_once(
    world: World,
) -> None:
    """The accepted risk: it has the right password, the address and the program in common."""
    session = await world.session((await world.enrol(Person("alice"))).session_cookie)
    await world.flow.approving.approve(session, *(await asked(world, "alice")), caller())
    assert await now(world, "alice", None, shell()) == "approval"
    refused = await refusal(world, "alice", None, shell())
    assert refused.slug == "otp_required", "the person notices"


async def test_what_waited_before_the_factors_changed_cannot_pass(world: World) -> None:
    session = await world.session((await world.enrol(Person("alice"))).session_cookie)
    old = await asked(world, "alice")
    await world.flow.approving.approve(session, *old, caller())
    invited = (await Admin(world.flow.services).reset("alice", "lost phone")).invitation
    assert (await refusal(world, "alice", None)).slug == "invite_required"
    again = await world.enrol(Person("alice"), invitation=invited.link.rpartition("/")[2])
    fresh = await world.session(again.session_cookie)
    id = await asked(world, "alice")
    assert id != old
    await world.flow.approving.approve(fresh, *id, caller())
    assert await now(world, "alice", None) == "approval"
