"""Every key of `second_factor` in a configuration changes what a built gateway does."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from gateway.app.domain import limits_of
from gateway.app.wiring import GatewayWorker, build
from gateway.core.accounts.factor import Enrollable, WrongAnswer
from gateway.core.accounts.records import Account
from gateway.core.errors import Refusal
from gateway.keystore import create_key_file
from gateway.settings.schema import part
from tests.core.world import Clock, Person, World, caller, earned
from tests.factors.authenticator import SecurityKey
from tests.gate.yaml_config import shipped

HOUR, DAY = 3600, 86400
Probe: TypeAlias = Callable[[World, GatewayWorker], Awaitable[object]]


async def first_login(world: World, _: GatewayWorker) -> object:
    """What somebody without a factor meets."""
    try:
        return (await world.flow.entering.begin("bob", earned("bob"), caller())).step.value
    except Refusal as refusal:
        return refusal.slug


async def first_login_a_day_later(world: World, running: GatewayWorker) -> object:
    world.clock.turn(DAY)
    return await first_login(world, running)


async def name_in_the_app(world: World, _: GatewayWorker) -> object:
    person = Person("alice")
    await world.enrol(person)
    assert person.phone
    return "issuer=Some%20index" in person.phone.uri


async def age_on_routes(_: World, running: GatewayWorker) -> object:
    return running.parts.max_age


def session_after(*turns: float) -> Probe:
    """Whether a session lives after these times, each with a request at its end."""

    async def probe(world: World, _: GatewayWorker) -> object:
        passed = await world.enrol(Person("alice"))
        alive = None
        for turn in turns:
            world.clock.turn(turn)
            alive = await world.flow.earned.session(passed.session_cookie)
        return alive is not None

    return probe


async def device_after_two_hours(world: World, _: GatewayWorker) -> object:
    alice = Person("alice")
    await world.enrol(alice)
    passed = await world.login(alice, remember=True)
    if not passed.device_cookie:
        return "not remembered"
    world.clock.turn(2 * HOUR)
    begun = await world.flow.entering.begin(
        "alice", earned("alice"), alice.caller, device_cookie=passed.device_cookie
    )
    return begun.step.value


async def change_after_six_minutes(world: World, _: GatewayWorker) -> object:
    passed = await world.enrol(Person("alice"))
    world.clock.turn(360)
    session = await world.session(passed.session_cookie)
    try:
        world.flow.services.sessions.check_fresh(session)
    except Refusal as refusal:
        return refusal.slug
    return "passes"


async def key_from_another_origin(world: World, _: GatewayWorker) -> object:
    key = SecurityKey(origin="https://other.example.org")
    webauthn, account = world.flow.services.factors["webauthn"], Account("alice", "alice")
    assert isinstance(webauthn, Enrollable)
    offer = webauthn.offer(account, "key", secrets.token_bytes)
    answer = key.create(offer.shown)
    try:
        webauthn.confirm(account, "key", offer.state, answer, now=world.clock(), id="")
    except WrongAnswer:
        return "refused"
    return "accepted"


KEYS: list[tuple[str, object, Probe, object]] = [
    ("enrolment", "required", first_login, "enrol"),
    ("enrolment", "optional", first_login, "passed"),
    ("enrolment", "invite", first_login, "invite_required"),
    ("required_from", "2027-01-15", first_login, "enrol"),
    ("required_from", "2027-01-16", first_login, "passed"),
    ("required_from", "2027-01-16", first_login_a_day_later, "enrol"),
    ("issuer", "Some index", name_in_the_app, True),
    ("issuer", "Another index", name_in_the_app, False),
    ("max_age", "2h", age_on_routes, 2 * HOUR),
    ("remember_device", "off", device_after_two_hours, "not remembered"),
    ("remember_device", "1h", device_after_two_hours, "verify"),
    ("remember_device", "3h", device_after_two_hours, "passed"),
    ("step_up", "5m", change_after_six_minutes, "step_up_required"),
    ("step_up", "10m", change_after_six_minutes, "passes"),
    ("session.idle", "1h", session_after(HOUR - 60, HOUR - 60), True),
    ("session.idle", "1h", session_after(HOUR + 1), False),
    ("session.idle", "3h", session_after(HOUR + 1), True),
    ("session.absolute", "2h", session_after(HOUR, HOUR + 1), False),
    ("session.absolute", "3h", session_after(HOUR, HOUR + 1), True),
    ("webauthn.origins", "https://other.example.org", key_from_another_origin, "accepted"),
    ("webauthn.origins", "https://third.example.org", key_from_another_origin, "refused"),
]


@pytest.mark.parametrize(
    ("key", "value", "probe", "seen"), KEYS, ids=[f"{k}={v}-{s}" for k, v, _, s in KEYS]
)
async def test_a_key_changes_what_happens(
    key: str, value: Any, probe: Probe, seen: object, tmp_path: Path
) -> None:
    create_key_file(tmp_path / "gateway.keys", (("k1", b"k" * 32),))
    changes = {
        "public_url": "https://packages.example.org",
        "store": "sqlite:state.db",
        "keys": "file:gateway.keys",
        f"second_factor.{key}": value,
    }
    settings, clock = shipped(tmp_path, "pypiserver", changes), Clock()
    running = await build(settings, clock)
    world = World(running.store, clock, limits_of(settings))
    world.flow = running.parts.flow
    try:
        assert await probe(world, running) == seen
    finally:
        await running.close()


def leaves(*section: str) -> set[str]:
    """The dotted names of all keys of a section, from its own on."""
    found: set[str] = set()
    for name in part(section)["properties"]:
        inside = (*section, name)
        found |= leaves(*inside) if "properties" in part(inside) else {".".join(inside[1:])}
    return found


def test_no_key_is_forgotten_above() -> None:
    assert {key for key, *_ in KEYS} == leaves("second_factor")
