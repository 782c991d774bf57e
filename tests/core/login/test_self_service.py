"""The security pages' side: adding, renaming and removing factors, and what ends with each."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal
from gateway.core.login.models import Enrolment, Session, Step
from gateway.core.notices.events import Notice
from gateway.core.throttle.limits import CHANGES
from tests.core.world import Person, Phone, World, caller, earned
from tests.factors.authenticator import SecurityKey


async def enrolled(world: World, name: str = "alice") -> tuple[Person, Session]:
    person = Person(name)
    passed = await world.enrol(person)
    return person, await world.session(passed.session_cookie)


async def add_key(world: World, session: Session, key: SecurityKey, name: str) -> Session:
    options = await world.flow.enrolling.webauthn(session, name)
    done = await world.flow.enrolling.confirm_webauthn(session, key.create(options), caller())
    return await world.session(done.cookie)


async def add_phone(world: World, session: Session, name: str) -> tuple[Phone, Session]:
    offer = await world.flow.enrolling.totp(session, name)
    phone = Phone(offer.uri)
    world.clock.turn(30)
    done = await world.flow.enrolling.confirm_totp(session, phone.code(world.clock()), caller())
    return phone, await world.session(done.cookie)


async def test_the_overview_shows_what_there_is(world: World) -> None:
    alice, session = await enrolled(world)
    key = SecurityKey()
    session = await add_key(world, session, key, "blue key")
    await world.login(alice, remember=True)
    seen = await world.flow.manage.overview(session)
    assert [(row.kind, row.name, row.passkey) for row in seen.factors] == [
        ("totp", "phone", False),
        ("webauthn", "blue key", True),
    ]
    assert seen.recovery_left == 10
    assert [row.current for row in seen.sessions] == [False, True]
    assert [row.device for row in seen.sessions] == ["Firefox on Linux"] * 2
    assert [row.device for row in seen.devices] == ["Firefox on Linux"]
    assert seen.required_from is None


async def test_a_new_factor_ends_everything_else(world: World) -> None:
    alice, session = await enrolled(world)
    other = await world.login(alice, remember=True)
    mine = await world.flow.earned.verified(session.upstream) if session.upstream else None
    assert mine
    phone, after = await add_phone(world, session, "tablet")
    assert after.id != session.id
    assert session.upstream
    assert await world.flow.earned.verified(session.upstream), "the acting session goes on"
    assert await world.flow.earned.session(other.session_cookie) is None
    assert await world.flow.earned.verified(other.held.issued[0].credential) is None
    begun = await world.flow.entering.begin(
        "alice", earned("alice"), alice.caller, device_cookie=other.device_cookie
    )
    assert begun.step == "verify"
    world.clock.turn(30)
    await world.prove(begun.cookie, "totp", phone.code(world.clock()), alice.caller)
    assert Event.FACTOR_ADDED in world.ledger.names()
    assert (Notice.FACTOR_ADDED, "alice") in world.ledger.notices


@pytest.mark.parametrize("how", ["old", "by a remembered device"])
async def test_every_change_needs_a_factor_of_the_last_two_minutes(world: World, how: str) -> None:
    alice, session = await enrolled(world)
    world.clock.turn(30)
    passed = await world.login(alice, remember=True)
    if how == "old":
        world.clock.turn(121)
    else:  # logged in, but no factor was shown, however young the device's own is
        begun = await world.flow.entering.begin(
            "alice", earned("alice"), caller(), device_cookie=passed.device_cookie
        )
        assert begun.step is Step.PASSED
        session = await world.session(begun.cookie)
    manage, enrolling = world.flow.manage, world.flow.enrolling
    device = (await manage.overview(session)).factors[0]
    for change in (
        enrolling.totp(session, "x"),
        enrolling.webauthn(session, "x"),
        enrolling.recovery(session, caller()),
        world.flow.approving.approve(session, "x", "42", caller()),
        manage.rename(session, "totp", device.id, "x", caller()),
        manage.remove(session, "totp", device.id, caller()),
        manage.remember(session, caller()),
    ):
        with pytest.raises(Refusal, match="step_up_required") as refused:
            await change
        assert "2 minutes" in refused.value.text
    for unfinished in (
        enrolling.confirm_totp(session, "000000", caller()),
        enrolling.confirm_webauthn(session, "{}", caller()),
    ):
        with pytest.raises(Refusal, match="enrolment_expired"):
            await unfinished  # nothing was begun while the factor was young


async def test_what_a_young_factor_began_is_finished_later(world: World) -> None:
    """To scan a picture and to type a code takes its time."""
    _, session = await enrolled(world)
    offer = await world.flow.enrolling.totp(session, "tablet")
    world.clock.turn(600)
    code = Phone(offer.uri).code(world.clock())
    added = await world.flow.enrolling.confirm_totp(session, code, caller())
    assert await world.session(added.cookie)


async def test_a_further_factor_comes_without_recovery_codes(world: World) -> None:
    """Codes are shown only for a factor shown for them."""
    alice, _ = await enrolled(world)
    for code in alice.codes:
        begun = await world.flow.entering.begin("alice", earned("alice"), caller())
        passed = await world.prove(begun.cookie, "recovery", code, caller())
    session = await world.session(passed.session_cookie)
    offer = await world.flow.enrolling.totp(session, "tablet")
    world.clock.turn(30)
    code = Phone(offer.uri).code(world.clock())
    added = await world.flow.enrolling.confirm_totp(session, code, caller())
    assert (added.codes, bool(added.cookie)) == ((), True)


async def test_removing_a_device(world: World) -> None:
    alice, session = await enrolled(world)
    key = SecurityKey()
    session = await add_key(world, session, key, "blue key")
    first = (await world.flow.manage.overview(session)).factors[0]
    cookie = await world.flow.manage.remove(session, "totp", first.id, caller())
    session = await world.session(cookie)
    assert [row.name for row in (await world.flow.manage.overview(session)).factors] == ["blue key"]
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    assert (await world.pending(begun)).kinds == ("webauthn", "recovery")
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.prove(begun.cookie, "totp", world.code(alice), alice.caller)
    assert (Notice.FACTOR_REMOVED, "alice") in world.ledger.notices


@pytest.mark.parametrize("enrolment", [Enrolment.REQUIRED, Enrolment.INVITE])
async def test_the_last_factor_stays_where_one_is_required(
    world: World, enrolment: Enrolment
) -> None:
    _, session = await enrolled(world)
    strict = world.other(enrolment=enrolment)
    device = (await strict.flow.manage.overview(session)).factors[0]
    with pytest.raises(Refusal, match="last_factor"):
        await strict.flow.manage.remove(session, "totp", device.id, caller())
    assert (await strict.flow.manage.overview(session)).factors == (device,)


async def test_the_last_factor_takes_the_recovery_codes_along(world: World) -> None:
    _, session = await enrolled(world)
    free = world.other(enrolment=Enrolment.OPTIONAL)
    device = (await free.flow.manage.overview(session)).factors[0]
    cookie = await free.flow.manage.remove(session, "totp", device.id, caller())
    seen = await free.flow.manage.overview(await world.session(cookie))
    assert (seen.factors, seen.recovery_left) == ((), 0)


async def test_renaming_ends_nothing_but_the_old_cookie(world: World) -> None:
    alice, session = await enrolled(world)
    other = await world.login(alice)
    device = (await world.flow.manage.overview(session)).factors[0]
    cookie = await world.flow.manage.rename(session, "totp", device.id, " Old  phone ", caller())
    session = await world.session(cookie)
    assert (await world.flow.manage.overview(session)).factors[0].name == "Old phone"
    assert await world.flow.earned.session(other.session_cookie)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("", "unusable_label"),
        ("  ", "unusable_label"),
        ("a\x00b", "unusable_label"),
        ("\u202eevil", "unusable_label"),
        ("x" * 61, "unusable_label"),
        ("TABLET", "name_taken"),
    ],
)
async def test_names_that_are_refused(world: World, name: str, slug: str) -> None:
    _, session = await enrolled(world)
    _, session = await add_phone(world, session, "tablet")
    device = (await world.flow.manage.overview(session)).factors[0]
    with pytest.raises(Refusal, match=slug):
        await world.flow.manage.rename(session, "totp", device.id, name, caller())
    with pytest.raises(Refusal, match=slug):
        await world.flow.enrolling.totp(session, name)
    with pytest.raises(Refusal, match=slug):
        await world.flow.enrolling.webauthn(session, name)


async def test_another_persons_device_cannot_be_touched(world: World) -> None:
    _, alices = await enrolled(world, "alice")
    _, bobs = await enrolled(world, "bob")
    device = (await world.flow.manage.overview(bobs)).factors[0]
    for change in (
        world.flow.manage.rename(alices, "totp", device.id, "mine", caller()),
        world.flow.manage.remove(alices, "totp", device.id, caller()),
    ):
        with pytest.raises(Refusal, match="no_such_factor"):
            await change
    await world.flow.manage.end_session(alices, bobs.id, caller())
    assert [row.id for row in (await world.flow.manage.overview(bobs)).sessions] == [bobs.id]


async def test_an_old_session_value_changes_nothing(world: World) -> None:
    """A page that was rendered before another change must not act on what it saw."""
    _, session = await enrolled(world)
    _, after = await add_phone(world, session, "tablet")
    device = (await world.flow.manage.overview(after)).factors[0]
    with pytest.raises(Refusal, match="pending_expired"):
        await world.flow.manage.remove(session, "totp", device.id, caller())
    with pytest.raises(Refusal, match="enrolment_expired"):
        await world.flow.enrolling.totp(session, "third")
    assert device in (await world.flow.manage.overview(after)).factors


async def test_there_is_a_limit_of_devices(world: World) -> None:
    _, session = await enrolled(world)
    for number in range(4):
        _, session = await add_phone(world, session, f"phone {number}")
        session = replace(session, proved_at=world.clock())
    with pytest.raises(Refusal, match="too_many_factors") as refused:
        await world.flow.enrolling.totp(session, "sixth")
    assert "5 devices" in refused.value.text


async def test_sessions_are_ended_one_by_one_or_all(world: World) -> None:
    alice, session = await enrolled(world)
    cookies = [(await world.login(alice)).session_cookie for _ in range(3)]
    first = await world.session(cookies[0])
    await world.flow.manage.end_session(session, first.id, caller())
    assert [bool(await world.flow.earned.session(one)) for one in cookies] == [False, True, True]
    await world.flow.manage.end_others(session, caller())
    seen = await world.flow.manage.overview(session)
    assert [row.current for row in seen.sessions] == [True]
    assert world.ledger.names().count(Event.SESSION_ENDED) == 3


# -- recovery codes --------------------------------------------------------------------------


async def lets_in(world: World, person: Person, code: str) -> bool:
    begun = await world.flow.entering.begin(person.name, earned(person.name), person.caller)
    try:
        await world.prove(begun.cookie, "recovery", code, person.caller)
    except Refusal as refusal:
        assert refusal.slug == "otp_invalid"
        return False
    return True


async def test_new_recovery_codes_replace_the_old_at_once(world: World) -> None:
    """Whether or not the page with the new ones is ever finished."""
    alice, session = await enrolled(world)
    other = await world.login(alice, remember=True)
    shown = await world.flow.enrolling.recovery(session, caller())
    assert len(set(shown.codes)) == 10
    assert await world.flow.earned.session(other.session_cookie) is None
    assert not await lets_in(world, alice, alice.codes[0])
    assert await lets_in(world, alice, shown.codes[4])
    assert world.ledger.names().count(Event.RECOVERY_CODES_MADE) == 2, "at enrolment, and now"
    assert world.ledger.notices.count((Notice.RECOVERY_CODES_MADE, "alice")) == 1


async def unconfirmed(world: World) -> tuple[Person, Session, tuple[str, ...]]:
    alice, session = await enrolled(world)
    shown = await world.flow.enrolling.recovery(session, caller())
    return alice, await world.session(shown.cookie), shown.codes


async def test_new_codes_are_confirmed_by_one_of_them_or_the_tick(world: World) -> None:
    alice, session, codes = await unconfirmed(world)
    assert not (await world.flow.manage.overview(session)).recovery_confirmed
    with pytest.raises(Refusal, match="recovery_unconfirmed"):
        await world.flow.enrolling.finish(session, caller(), code=alice.codes[0])
    done = await world.flow.enrolling.finish(session, caller(), code=codes[4].lower())
    after = await world.session(done.cookie)
    assert after.id != session.id
    assert (await world.flow.manage.overview(after)).recovery_confirmed
    assert await lets_in(world, alice, codes[4]), "typing it to confirm does not use it up"


async def test_using_one_of_the_new_codes_confirms_them(world: World) -> None:
    alice, session, codes = await unconfirmed(world)
    assert await lets_in(world, alice, codes[0])
    seen = await world.flow.manage.overview(session)
    assert (seen.recovery_left, seen.recovery_confirmed) == (9, True)


async def test_every_login_leads_over_unconfirmed_codes(world: World) -> None:
    """By code, by remembered device, by passkey; and no more once they are confirmed."""
    alice, session = await enrolled(world)
    key = SecurityKey()
    session = await add_key(world, session, key, "blue key")
    shown = await world.flow.enrolling.recovery(session, caller())
    session = await world.session(shown.cookie)

    async def logins() -> list[str]:
        held = earned("alice", "/alice/dev")
        begun = await world.flow.entering.begin("alice", held, alice.caller)
        first = await world.prove(
            begun.cookie, "totp", world.code(alice), alice.caller, remember=True
        )
        again = await world.flow.entering.begin(
            "alice", held, alice.caller, device_cookie=first.device_cookie
        )
        ticket, options = world.flow.passkeys.ask()
        alone = await world.flow.passkeys.login(
            ticket, key.get(options), caller(), goto="/alice/dev"
        )
        assert again.held
        return [first.held.goto, again.held.goto, alone.held.goto]

    assert await logins() == ["/+auth/?next=/alice/dev"] * 3
    await world.flow.enrolling.finish(session, caller(), saved=True)
    assert await logins() == ["/alice/dev"] * 3


async def test_new_codes_can_be_made_again_and_the_first_are_void(world: World) -> None:
    alice, session, first = await unconfirmed(world)
    again = await world.flow.enrolling.recovery(session, caller())
    session = await world.session(again.cookie)
    assert not set(first) & set(again.codes)
    with pytest.raises(Refusal, match="recovery_unconfirmed"):
        await world.flow.enrolling.finish(session, caller(), code=first[0])
    await world.flow.enrolling.finish(session, caller(), code=again.codes[0])
    assert not await lets_in(world, alice, first[0])


async def test_codes_of_a_first_enrolment_are_shown_until_it_is_finished(world: World) -> None:
    """Nothing is in force before: neither the phone nor any code. A form sent twice at once makes
    no others."""
    begun = await world.flow.entering.begin("alice", earned("alice"), caller())
    who = await world.pending(begun)
    offer = await world.flow.enrolling.totp(who, "phone")
    code = Phone(offer.uri).code(world.clock())
    sent = [world.flow.enrolling.confirm_totp(who, code, caller()) for _ in range(3)]
    answers = await asyncio.gather(*sent, return_exceptions=True)
    (codes,) = [one.codes for one in answers if not isinstance(one, BaseException)]
    assert {str(one) for one in answers if isinstance(one, Refusal)} == {"enrolment_expired"}
    waiting = await world.flow.unfinished.unsaved(who)
    assert waiting is not None
    assert (waiting.device, waiting.codes) == ("phone", codes)
    assert (await world.flow.entering.begin("alice", earned("alice"), caller())).step == "enrol"
    done = await world.flow.enrolling.finish(who, caller(), code=codes[0])
    assert done.passed
    session = await world.session(done.passed.session_cookie)
    assert (await world.flow.manage.overview(session)).recovery_confirmed


async def test_two_who_make_codes_at_once_leave_one_set(world: World) -> None:
    alice, session = await enrolled(world)
    made = await asyncio.gather(
        *(world.flow.enrolling.recovery(session, caller()) for _ in range(5)),
        return_exceptions=True,
    )
    shown = [one for one in made if not isinstance(one, BaseException)]
    assert len(shown) == 1
    assert {one.slug for one in made if isinstance(one, Refusal)} == {"enrolment_expired"}
    assert await lets_in(world, alice, shown[0].codes[0])


# -- enrolment -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skew", "words"),
    [
        (-120, "about 2 minutes slow"),
        (120, "about 2 minutes fast"),
        (-60, "about 1 minute slow"),
        (-600, "about 10 minutes slow"),
    ],
)
async def test_a_phone_whose_clock_is_off_is_told(world: World, skew: int, words: str) -> None:
    begun = await world.flow.entering.begin("alice", earned("alice"), caller())
    who = await world.pending(begun)
    offer = await world.flow.enrolling.totp(who, "phone")
    slow = Phone(offer.uri, skew)
    with pytest.raises(Refusal, match="clock_off") as refused:
        await world.flow.enrolling.confirm_totp(who, slow.code(world.clock()), caller())
    assert words in refused.value.text
    right = Phone(offer.uri)
    assert (await world.flow.enrolling.confirm_totp(who, right.code(world.clock()), caller())).codes


async def test_an_offer_can_be_shown_again_and_a_new_one_voids_it(world: World) -> None:
    begun = await world.flow.entering.begin("alice", earned("alice"), caller())
    who = await world.pending(begun)
    first = await world.flow.enrolling.totp(who, "phone")
    assert await world.flow.enrolling.offered(who) == first
    second = await world.flow.enrolling.totp(who, "phone")
    assert first.secret != second.secret
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.flow.enrolling.confirm_totp(who, Phone(first.uri).code(world.clock()), caller())


async def test_the_code_that_confirmed_is_no_login(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    assert alice.phone
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.prove(begun.cookie, "totp", alice.phone.code(world.clock()), alice.caller)


async def test_a_half_enrolment_locks_nobody_out(world: World) -> None:
    """Broken off at each step; the next login starts over."""
    for steps in range(3):
        begun = await world.flow.entering.begin("alice", earned("alice"), caller())
        assert begun.step == "enrol"
        who = await world.pending(begun)
        if steps > 0:
            offer = await world.flow.enrolling.totp(who, "phone")
        if steps > 1:
            code = Phone(offer.uri).code(world.clock())
            await world.flow.enrolling.confirm_totp(who, code, caller())
    await world.enrol(Person("alice"))


async def test_a_key_enrols_a_person_at_the_first_login(world: World) -> None:
    alice, key = Person("alice"), SecurityKey()
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    who = await world.pending(begun)
    options = await world.flow.enrolling.webauthn(who, "blue key")
    shown = await world.flow.enrolling.confirm_webauthn(who, key.create(options), alice.caller)
    done = await world.flow.enrolling.finish(who, alice.caller, code=shown.codes[9])
    assert done.passed
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    pending = await world.pending(begun)
    assert pending.kinds == ("webauthn", "recovery")
    asked = await world.flow.at_once.ask(pending, "webauthn")
    assert await world.prove(begun.cookie, "webauthn", key.get(asked), alice.caller)


async def test_a_challenge_for_a_new_key_is_burnt_by_a_wrong_answer(world: World) -> None:
    _, session = await enrolled(world)
    options = await world.flow.enrolling.webauthn(session, "blue key")
    evil = SecurityKey(origin="https://evil.example").create(options)
    with pytest.raises(Refusal, match="key_refused"):
        await world.flow.enrolling.confirm_webauthn(session, evil, caller())
    with pytest.raises(Refusal, match="enrolment_expired"):
        await world.flow.enrolling.confirm_webauthn(
            session, SecurityKey().create(options), caller()
        )


async def test_an_answer_cannot_be_given_twice(world: World) -> None:
    alice, session = await enrolled(world)
    key = SecurityKey(counts=False)
    session = await add_key(world, session, key, "blue key")
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    pending = await world.pending(begun)
    answer = key.get(await world.flow.at_once.ask(pending, "webauthn"))
    await world.prove(begun.cookie, "webauthn", answer, alice.caller)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    await world.flow.at_once.ask(await world.pending(begun), "webauthn")
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.prove(begun.cookie, "webauthn", answer, alice.caller)


async def test_a_wrong_answer_burns_the_challenge(world: World) -> None:
    alice, session = await enrolled(world)
    key = SecurityKey()
    await add_key(world, session, key, "blue key")
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    asked = await world.flow.at_once.ask(await world.pending(begun), "webauthn")
    evil = key.get(asked, origin="https://evil.example")
    for answer in (evil, key.get(asked)):
        with pytest.raises(Refusal, match="otp_invalid"):
            await world.prove(begun.cookie, "webauthn", answer, alice.caller)


async def test_the_options_exclude_keys_that_are_there(world: World) -> None:
    _, session = await enrolled(world)
    session = await add_key(world, session, SecurityKey(), "blue key")
    options = json.loads(await world.flow.enrolling.webauthn(session, "red key"))
    seen = await world.flow.manage.overview(session)
    assert [one["id"] for one in options["excludeCredentials"]] == [seen.factors[1].id]


async def test_an_account_is_changed_so_often_a_day(world: World) -> None:
    """Each change is recorded and told; removing is always possible."""
    alice = Person("alice")
    passed = await world.enrol(alice)
    session = await world.session(passed.session_cookie)
    (phone,) = (await world.flow.manage.overview(session)).factors
    cookie = passed.session_cookie
    for number in range(CHANGES[0].limit):
        session = await world.session(cookie)
        cookie = await world.flow.manage.rename(
            session, "totp", phone.id, f"phone {number}", alice.caller
        )
    session = await world.session(cookie)
    with pytest.raises(Refusal, match="throttled"):
        await world.flow.manage.rename(session, "totp", phone.id, "x", alice.caller)
    with pytest.raises(Refusal, match="throttled"):
        await world.flow.enrolling.recovery(session, alice.caller)
    with pytest.raises(Refusal, match="throttled"):
        await world.flow.enrolling.totp(session, "tablet")
    with pytest.raises(Refusal, match="last_factor"):
        await world.flow.manage.remove(session, "totp", phone.id, alice.caller)
    assert world.ledger.names().count(Event.FACTOR_RENAMED) == CHANGES[0].limit
