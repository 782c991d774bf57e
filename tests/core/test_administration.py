"""What an administrator does for people, and what is recorded of it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from gateway.core.administration import Admin, Lacking, Resealed, lacking, reseal
from gateway.core.administration import Person as Listed
from gateway.core.audit.events import Event
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal
from gateway.core.login.flow import SWEEP_EVERY
from gateway.core.login.models import Enrolment
from gateway.core.notices.events import Notice
from gateway.core.store import Key, Store, StoreUnavailable
from gateway.core.throttle.limits import PERSON
from gateway.factors import make_factors
from tests.core.world import (
    START,
    Person,
    Phone,
    World,
    caller,
    earned,
    token_of,
    wrong_code,
)


@pytest.fixture
def admin(world: World) -> Admin:
    return Admin(world.flow.services)


async def people_of(admin: Admin) -> list[Listed]:
    return [person async for page in admin.people() for person in page]


async def test_an_enrolled_person_can_log_in(world: World, admin: Admin) -> None:
    made = await admin.enrol("Alice")
    alice = Person("alice", phone=Phone(made.uri), codes=made.codes)
    await world.login(alice)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    await world.prove(begun.cookie, "recovery", made.codes[3], alice.caller)
    assert made.secret not in repr(made)
    assert world.ledger.names()[:2] == [Event.ENROLLED, Event.RECOVERY_CODES_MADE]


async def test_nobody_is_enrolled_over_what_they_have(world: World, admin: Admin) -> None:
    await world.enrol(Person("alice"))
    for work in (admin.enrol("ALICE"), admin.invite("alice")):
        with pytest.raises(Refusal, match="already_enrolled"):
            await work


async def test_a_reset_takes_everything_away(world: World, admin: Admin) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    passed = await world.login(alice, remember=True)
    begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    reset = await admin.reset("Alice", "phone in the lake")
    assert reset.gone == 1
    assert reset.invitation.expires == world.clock() + world.limits.invitation
    assert reset.invitation.link not in repr(reset)
    assert await world.flow.earned.session(passed.session_cookie) is None
    assert await world.flow.earned.verified(passed.held.issued[0].credential) is None
    assert await world.flow.entering.pending(begun.cookie) is None
    with pytest.raises(Refusal, match="invite_required"):
        await world.flow.entering.begin(
            "alice", earned("alice"), alice.caller, device_cookie=passed.device_cookie
        )
    assert world.ledger.names()[-2:] == [Event.RESET, Event.INVITED]
    assert world.ledger.notices[-1] == (Notice.RESET, "alice")
    assert world.ledger.links == [reset.invitation.link]
    seen = await admin.show("alice")
    assert (seen.protected, seen.recovery_left, seen.sessions, seen.devices) == (False, 0, 0, 0)


async def test_who_is_removed_is_forgotten_and_comes_back_by_invitation(
    world: World, admin: Admin
) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    passed = await world.login(alice, remember=True)
    before = await world.flow.services.accounts.get("alice")
    assert await admin.remove("ALICE") == 1
    assert world.ledger.names()[-1] is Event.REMOVED
    assert await world.flow.earned.session(passed.session_cookie) is None
    assert await world.flow.earned.verified(passed.held.issued[0].credential) is None
    assert await people_of(admin) == []
    for work in (admin.show("alice"), admin.reset("alice", "why"), admin.remove("alice")):
        with pytest.raises(Refusal, match="no_such_person"):
            await work
    after = await world.flow.services.accounts.get("alice")
    assert before is not None
    assert after is not None
    assert after.epoch > before.epoch
    assert (after.known, after.agents, after.handle, after.devices) == ((), (), "", ())
    assert await lacking(world.flow.services.accounts, ["Alice", "bob"], now=world.clock()) == (
        Lacking("bob", seen=False),
    )
    with pytest.raises(Refusal, match="invite_required"):
        await world.flow.entering.begin("alice", earned("alice"), alice.caller)
    await admin.invite("alice")
    assert [person.id for person in await people_of(admin)] == ["alice"]
    assert [
        one.user for one in await lacking(world.flow.services.accounts, [], now=world.clock())
    ] == ["alice"]


EVERY_MODE = {
    "required": (Enrolment.REQUIRED, None),
    "not yet": (Enrolment.REQUIRED, START + 9e6),
    "optional": (Enrolment.OPTIONAL, None),
    "invite": (Enrolment.INVITE, None),
}


@pytest.mark.parametrize("mode", EVERY_MODE)
async def test_after_a_reset_only_an_invitation_lets_in_and_sets_up(
    world: World, mode: str
) -> None:
    """Whoever tries a stolen password all the time is refused at every moment, in every way."""
    enrolment, start = EVERY_MODE[mode]
    world = world.other(enrolment=enrolment, required_from=start)
    admin = Admin(world.flow.services)
    made = await admin.enrol("alice")
    begun = await world.flow.entering.begin("alice", earned("alice"), caller())
    passed = await world.prove(begun.cookie, "recovery", made.codes[0], caller())
    session = await world.session(passed.session_cookie)

    async def thief() -> None:
        for invitation in ("", "guessed", stale):
            with pytest.raises(Refusal, match="invite_required"):
                await world.flow.entering.begin(
                    "alice", earned("alice"), caller("203.0.113.9"), invitation=invitation
                )
        for code in (None, made.codes[1], "123456"):
            with pytest.raises(Refusal, match="invite_required"):
                await world.flow.at_once.prove("alice", code, (token_of("alice"),), caller())
        assert await world.flow.earned.session(passed.session_cookie) is None
        with pytest.raises(Refusal, match=r"invite_required|enrolment_expired|step_up_required"):
            await world.flow.enrolling.totp(session, "mine")

    stale = ""
    first = await admin.reset("alice", "lost")
    await thief()
    stale = first.invitation.link.rpartition("/")[2]
    second = await admin.invite("alice")
    await thief()
    world.clock.turn(world.limits.invitation + 1)
    stale = second.link.rpartition("/")[2]
    await thief()
    third = (await admin.reset("alice", "lost again")).invitation
    token = third.link.rpartition("/")[2]
    alice = Person("alice")
    await world.enrol(alice, invitation=token)
    await world.login(alice)


async def test_unlocking_lets_codes_through_again(world: World, admin: Admin) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    for number in range(PERSON[0].limit):
        mallory = caller(f"203.0.113.{number}")
        begun = await world.flow.entering.begin("alice", earned("alice"), mallory)
        with pytest.raises(Refusal, match="otp_invalid"):
            await world.prove(begun.cookie, "totp", wrong_code(alice, world.clock()), mallory)
    assert (await admin.show("alice")).wrong_codes == PERSON[0].limit
    elsewhere = caller("198.51.100.7")
    with pytest.raises(Refusal, match="throttled"):
        await world.login(alice, caller=elsewhere)
    assert await admin.unlock("alice") > 0
    await world.login(alice, caller=elsewhere)
    assert Event.UNLOCKED in world.ledger.names()


async def test_a_list_shows_what_is_shown_of_each(world: World, admin: Admin) -> None:
    for name in ("alice", "bob"):
        await world.login(await enrolled(world, name), remember=name == "bob")
    await admin.invite("carol")
    people = await people_of(admin)
    assert people == [await admin.show(name) for name in ("alice", "bob", "carol")]
    assert [one.sessions for one in people] == [2, 2, 0]
    assert [one.devices for one in people] == [0, 1, 0]
    short = [one async for page in admin.people(logins=False) for one in page]
    assert short == [one._replace(sessions=0, devices=0) for one in people]


async def enrolled(world: World, name: str) -> Person:
    person = Person(name)
    await world.enrol(person)
    return person


UNREADABLE = {
    "of a newer version": b'{"v":2}',
    "no object": b"[]",
    "cut off": b'{"v":1,"id":"bob"',
    "with a part missing": b'{"v":1,"id":"bob","removed":0.0}',
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_an_account_that_cannot_be_read_ends_the_list(
    world: World, admin: Admin, value: bytes
) -> None:
    await admin.enrol("alice")
    await world.store.put(Key("person", "", "bob"), b"")
    await world.store.put(Key("user", "bob", ""), value)
    with pytest.raises(StoreUnavailable):
        await people_of(admin)


async def test_everybody_known_is_listed(world: World, admin: Admin) -> None:
    await world.enrol(Person("alice"))
    await admin.invite("bob")
    free = world.other(required_from=world.clock() + 60)
    await free.flow.entering.begin("carol", earned("carol"), caller())
    await free.flow.at_once.prove("dave", None, (), caller())
    people = await people_of(admin)
    assert [(one.id, one.protected, bool(one.invited_until)) for one in people] == [
        ("alice", True, False),
        ("bob", False, True),
        ("carol", False, False),
        ("dave", False, False),
    ]


async def test_somebody_unknown_is_said_to_be(admin: Admin) -> None:
    for work in (admin.show("nobody"), admin.reset("nobody", "why")):
        with pytest.raises(Refusal, match="no_such_person"):
            await work
    assert await people_of(admin) == []


async def test_a_rotation_can_be_cut_off_and_done_again(world: World, admin: Admin) -> None:
    phones = {}
    for name in ("alice", "bob", "carol"):
        phones[name] = Phone((await admin.enrol(name)).uri)
    world.keys = (("k2", bytes([2]) * 32), *world.keys)
    world.clock.turn(30)
    await world.login(Person("bob", phone=phones["bob"]))
    accounts, factors = world.flow.services.accounts, world.flow.services.factors
    assert await reseal(accounts, factors, now=1.0) == Resealed(3, 3)
    assert await reseal(accounts, factors, now=1.0) == Resealed(3, 0)
    only_new = KeyRing(world.keys[:1], secrets.token_bytes)
    for name, phone in phones.items():
        account = await accounts.get(name)
        assert account
        world.clock.turn(60)
        make_factors(only_new, world.limits)["totp"].check(
            account, phone.code(world.clock()), challenge=b"", now=world.clock()
        )


class Counted:
    """A store that counts what is asked of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.calls = 0

    def __getattr__(self, name: str) -> object:
        self.calls += 1
        return getattr(self.store, name)


LISTS: dict[str, Callable[[World], Awaitable[object]]] = {
    "list": lambda world: people_of(Admin(world.flow.services)),
    "lacking": lambda world: lacking(
        world.flow.services.accounts, ["alice", "nobody"], now=world.clock()
    ),
    "reseal": lambda world: reseal(
        world.flow.services.accounts, world.flow.services.factors, now=world.clock()
    ),
    "sweep": lambda world: world.flow.sweep(),
}


@pytest.mark.parametrize("work", LISTS)
async def test_a_list_costs_as_many_calls_for_many_as_for_few(world: World, work: str) -> None:
    counted = Counted(world.store)
    seen = World(cast("Store", counted), world.clock)
    calls = []
    for names in ("abc", "defghijklmnopqrst"):
        for name in names:
            await world.enrol(Person(name))
            await seen.flow.entering.begin(name, earned(name), caller())
        world.clock.turn(SWEEP_EVERY)
        before = counted.calls
        await LISTS[work](seen)
        calls.append(counted.calls - before)
    assert calls[0] == calls[1] < 10
