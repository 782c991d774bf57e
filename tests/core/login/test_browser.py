"""Logins in a browser: what leads to a session, and what never does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal
from gateway.core.login.models import Held, Step
from gateway.core.notices.events import Notice
from gateway.core.upstream import Credential, Issued
from tests.core.world import Person, Phone, World, caller, earned, wrong_code


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
    verified = await world.flow.earned.verified(passed.held.issued[0].credential)
    assert verified is not None
    assert (verified.user_id, verified.factor) == ("alice", "totp")
    assert verified.proved_at == world.clock()


async def test_nothing_is_verified_before_the_code(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    held = earned("alice")
    begun = await world.flow.entering.begin("alice", held, alice.caller)
    assert begun.held is None
    assert await world.flow.earned.verified(held.issued[0].credential) is None
    with pytest.raises(Refusal):
        await world.prove(begun.cookie, "totp", wrong_code(alice, world.clock()), alice.caller)
    assert await world.flow.earned.verified(held.issued[0].credential) is None


async def test_a_wrong_code_leaves_the_login_pending(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    begun = await world.flow.entering.begin("alice", earned("alice", "/alice/dev"), alice.caller)
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.prove(begun.cookie, "totp", wrong_code(alice, world.clock()), alice.caller)
    pending = await world.pending(begun)
    assert (pending.step, pending.goto) == (Step.VERIFY, "/alice/dev")
    assert pending.kinds == ("totp", "recovery")
    passed = await world.prove(begun.cookie, "totp", world.code(alice), alice.caller)
    assert passed.held.goto == "/alice/dev"


async def test_a_pending_login_ends_with_its_first_success(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    await world.prove(begun.cookie, "totp", world.code(alice), alice.caller)
    assert await world.flow.entering.pending(begun.cookie) is None
    with pytest.raises(Refusal, match="pending_expired"):
        await world.prove(begun.cookie, "totp", world.code(alice), alice.caller)


async def test_a_pending_login_ends_after_ten_minutes(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    world.clock.turn(601)
    with pytest.raises(Refusal, match="pending_expired"):
        await world.prove(begun.cookie, "totp", world.code(alice), alice.caller)


async def test_one_code_opens_one_of_two_pending_logins(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    begun = [
        await world.flow.entering.begin("alice", earned("alice"), alice.caller) for _ in range(2)
    ]
    code = world.code(alice)
    answers = await asyncio.gather(
        *(world.prove(one.cookie, "totp", code, alice.caller) for one in begun),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Passed", "Refusal"]


async def test_two_right_answers_at_once_open_one_session(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    before = len(await world.store.items("session", "alice"))
    answers = await asyncio.gather(
        world.prove(begun.cookie, "totp", world.code(alice), alice.caller),
        world.prove(begun.cookie, "recovery", alice.codes[0], alice.caller),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Passed", "Refusal"]
    assert len(await world.store.items("session", "alice")) == before + 1


KINDS_OF_COOKIE: list[Callable[[str], str]] = [
    str,
    str.swapcase,
    lambda cookie: cookie[:-1],
    lambda cookie: cookie + "A",
    lambda cookie: cookie.replace(".", ".."),
    lambda cookie: "." + cookie,
    lambda cookie: cookie.partition(".")[0],
]


@pytest.mark.parametrize("change", KINDS_OF_COOKIE)
async def test_a_pending_login_is_never_a_session(
    world: World, change: Callable[[str], str]
) -> None:
    """GHSA-3q28-qjrv-qr39: one cookie taken for the other."""
    alice = Person("alice")
    passed = await world.enrol(alice)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    assert await world.flow.earned.session(change(begun.cookie)) is None
    assert await world.flow.entering.pending(change(passed.session_cookie)) is None
    with pytest.raises(Refusal, match="pending_expired"):
        await world.step_up(change(begun.cookie), "totp", world.code(alice), alice.caller)
    with pytest.raises(Refusal, match="pending_expired"):
        await world.prove(change(passed.session_cookie), "totp", world.code(alice), alice.caller)


@pytest.mark.parametrize("cookie", ["", ".", "a.b", "é", "\x00", "A" * 5000, "e30.e30"])
async def test_junk_is_no_cookie(world: World, cookie: str) -> None:
    assert await world.flow.earned.session(cookie) is None
    assert await world.flow.entering.pending(cookie) is None
    await world.flow.earned.end(cookie, caller())


@pytest.mark.parametrize("kind", ["totp", "recovery", "webauthn", "", "device", "approval"])
@pytest.mark.parametrize("answer", ["", " ", "0", "null"], ids=repr)
async def test_an_empty_answer_passes_nothing(world: World, kind: str, answer: str) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.prove(begun.cookie, kind, answer, alice.caller)


async def test_the_enrolment_step_cannot_be_skipped(world: World) -> None:
    bob = Person("bob")
    begun = await world.flow.entering.begin("bob", earned("bob"), bob.caller)
    assert begun.step is Step.ENROL
    with pytest.raises(Refusal, match="pending_expired"):
        await world.prove(begun.cookie, "totp", "000000", bob.caller)
    who = await world.pending(begun)
    with pytest.raises(Refusal, match="enrolment_expired"):
        await world.flow.enrolling.finish(who, bob.caller, saved=True)
    assert await world.flow.unfinished.unsaved(who) is None


async def test_an_enrolment_login_is_dead_once_the_person_is_enrolled(world: World) -> None:
    """A login that began before (with a stolen password, say) must not enrol a second phone."""
    alice, mallory = Person("alice"), Person("alice", caller("203.0.113.5"))
    begun = await world.flow.entering.begin("alice", earned("alice"), mallory.caller)
    who = await world.pending(begun)
    offer = await world.flow.enrolling.totp(who, "burner")
    await world.enrol(alice)
    assert await world.flow.entering.pending(begun.cookie) is None
    with pytest.raises(Refusal, match="enrolment_expired"):
        await world.flow.enrolling.confirm_totp(
            who, Phone(offer.uri).code(world.clock()), mallory.caller
        )


async def test_nor_can_one_that_only_lacked_its_last_step(world: World) -> None:
    alice, mallory = Person("alice"), Person("alice", caller("203.0.113.5"))
    begun = await world.flow.entering.begin("alice", earned("alice"), mallory.caller)
    who = await world.pending(begun)
    offer = await world.flow.enrolling.totp(who, "burner")
    burner = Phone(offer.uri)
    await world.flow.enrolling.confirm_totp(who, burner.code(world.clock()), mallory.caller)
    await world.enrol(alice)
    with pytest.raises(Refusal, match="enrolment_expired"):
        await world.flow.enrolling.finish(who, mallory.caller, saved=True)
    account = await world.flow.services.accounts.get("alice")
    assert account
    assert [device.name for device in account.totp] == ["phone"]


async def test_a_verify_login_cannot_enrol(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    who = await world.pending(begun)
    with pytest.raises(Refusal, match="pending_expired"):
        await world.flow.enrolling.totp(who, "burner")


async def test_another_persons_code_does_not_finish_a_login(world: World) -> None:
    alice, bob = Person("alice"), Person("bob")
    await world.enrol(alice)
    await world.enrol(bob)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.prove(begun.cookie, "totp", world.code(bob), bob.caller)


async def test_a_hundred_logins_at_once_never_cross(world: World) -> None:
    people = [Person(f"user{number}", caller(f"10.0.{number}.1")) for number in range(20)]
    for person in people:
        await world.enrol(person)
    for _ in range(5):
        world.clock.turn(60)
        codes = {person.name: world_code(world, person) for person in people}

        async def login(person: Person, codes: dict[str, str] = codes) -> None:
            held = earned(person.name, f"/{person.name}")
            begun = await world.flow.entering.begin(person.name, held, person.caller)
            passed = await world.prove(begun.cookie, "totp", codes[person.name], person.caller)
            session = await world.session(passed.session_cookie)
            assert session.user_id == passed.user_id == person.name
            assert session.upstream == held.session
            assert passed.held == held
            assert held.session
            verified = await world.flow.earned.verified(held.session)
            assert verified
            assert verified.user_id == person.name

        await asyncio.gather(*(login(person) for person in people))


def world_code(world: World, person: Person) -> str:
    assert person.phone
    return person.phone.code(world.clock())


async def test_an_answer_for_one_person_verifies_nothing_of_another(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    root = Issued(Credential("root", "root-token"), 36000.0)
    begun = await world.flow.entering.begin("alice", Held(issued=(root,)), alice.caller)
    await world.prove(begun.cookie, "totp", world.code(alice), alice.caller)
    assert await world.flow.earned.verified(root.credential) is None
    assert await world.flow.earned.verified(Credential("alice", "root-token")) is None


async def test_verified_credentials_end_with_the_upstreams_own_time(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    held = earned("alice")
    begun = await world.flow.entering.begin("alice", held, alice.caller)
    world.clock.turn(500)  # the person looks for the phone; the token ages meanwhile
    passed = await world.prove(begun.cookie, "totp", world.code(alice), alice.caller)
    token = passed.held.issued[0].credential
    world.clock.turn(36000 - 530 - 1)
    assert await world.flow.earned.verified(token)
    world.clock.turn(1)
    assert await world.flow.earned.verified(token) is None


@pytest.mark.parametrize("user", ["", "alice\x00", "x" * 201], ids=["empty", "nul", "long"])
async def test_a_credential_that_cannot_be_read_is_not_verified(world: World, user: str) -> None:
    assert await world.flow.earned.verified(Credential(user, "secret")) is None


async def test_a_login_from_a_new_device_is_told(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    await world.login(alice)
    await world.login(alice)
    assert (Notice.NEW_DEVICE, "alice") not in world.ledger.notices
    await world.login(alice, caller=caller("192.0.2.10", "curl/8.5"))
    assert world.ledger.notices.count((Notice.NEW_DEVICE, "alice")) == 1


async def test_a_recovery_code_logs_in_once_and_is_told(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    await world.prove(begun.cookie, "recovery", alice.codes[0].lower(), alice.caller)
    assert (Notice.RECOVERY_CODE_USED, "alice") in world.ledger.notices
    assert Event.RECOVERY_CODE_USED in world.ledger.names()
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.prove(begun.cookie, "recovery", alice.codes[0], alice.caller)
