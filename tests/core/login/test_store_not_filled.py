"""What somebody without a second factor can write into the store is bounded."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.core.crypto.signing import SKEW
from gateway.core.errors import Refusal
from gateway.core.login.models import Step
from gateway.core.throttle.limits import PASSWORDS_BY_NETWORK, PENDING
from tests.core.login.test_self_service import add_key, enrolled
from tests.core.world import Clock, Person, World, caller, earned, token_of
from tests.factors.authenticator import SecurityKey

MALLORY = caller("203.0.113.5", "curl/8")


def rows(tmp_path: Path) -> int:
    """Everything in the store's file, whatever its tables are called."""
    with sqlite3.connect(tmp_path / "state.db") as file:
        tables = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return sum(file.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in tables)


async def test_asking_for_passkey_challenges_writes_nothing(world: World, tmp_path: Path) -> None:
    await world.flow.services.reachable()
    before = rows(tmp_path)
    asked = {world.flow.passkeys.ask()[0] for _ in range(500)}
    assert len(asked) == 500
    assert rows(tmp_path) == before


async def answer_junk(world: World, times: int) -> list[str]:
    slugs: list[str] = []
    for _ in range(times):
        ticket, _ = world.flow.passkeys.ask()
        with pytest.raises(Refusal) as refused:
            await world.flow.passkeys.login(ticket, "{}", MALLORY)
        slugs.append(refused.value.slug)
    return slugs


async def test_answering_them_is_limited_for_each_address(world: World, tmp_path: Path) -> None:
    limit = PASSWORDS_BY_NETWORK[0].limit
    slugs = await answer_junk(world, limit)
    assert set(slugs) == {"otp_invalid"}
    before = rows(tmp_path)
    assert set(await answer_junk(world, 50)) == {"throttled"}
    assert rows(tmp_path) <= before + 1, "at the most one entry that says so"


async def test_a_wrong_key_counts_like_a_wrong_password(world: World) -> None:
    key = SecurityKey(verifies=False)
    _, session = await enrolled(world)
    await add_key(world, session, key, "blue key")
    ticket, options = world.flow.passkeys.ask()
    with pytest.raises(Refusal, match="otp_invalid"):
        await world.flow.passkeys.login(ticket, key.get(options), MALLORY)
    for number in range(PASSWORDS_BY_NETWORK[0].limit - 1):
        await (await world.flow.proofs.trying(f"user{number}", "wrong", MALLORY)).wrong()
    with pytest.raises(Refusal, match="throttled"):
        await world.flow.proofs.trying("alice", "wrong", MALLORY)
    await world.flow.proofs.trying("alice", "wrong", caller())


@pytest.mark.parametrize(
    ("turned", "slug"),
    [(0.0, "otp_invalid"), (299.0, "otp_invalid"), (301.0, "pending_expired")],
)
async def test_a_ticket_has_its_time(world: World, turned: float, slug: str) -> None:
    ticket, _ = world.flow.passkeys.ask()
    world.clock.turn(turned)
    with pytest.raises(Refusal, match=slug):
        await world.flow.passkeys.login(ticket, "{}", caller())


async def test_a_used_ticket_stays_used_for_gateways_whose_clock_is_behind(world: World) -> None:
    key = SecurityKey(counts=False)
    _, session = await enrolled(world)
    await add_key(world, session, key, "blue key")
    ticket, options = world.flow.passkeys.ask()
    answer = key.get(options)
    assert await world.flow.passkeys.login(ticket, answer, caller())
    world.clock.turn(world.limits.challenge + SKEW)
    behind = World(world.store, Clock(world.clock() - SKEW), world.limits)
    with pytest.raises(Refusal, match="pending_expired"):
        await behind.flow.passkeys.login(ticket, answer, caller())


# -- with the password -------------------------------------------------------------------------


async def test_logins_that_wait_are_limited_for_person_and_network(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    for _ in range(PENDING[0].limit):
        assert (
            await world.flow.entering.begin("alice", earned("alice"), MALLORY)
        ).step is Step.VERIFY
    with pytest.raises(Refusal, match="throttled"):
        await world.flow.entering.begin("alice", earned("alice"), MALLORY)
    await world.login(alice)
    assert (await world.flow.entering.begin("bob", earned("bob"), MALLORY)).step is Step.ENROL
    world.clock.turn(PENDING[0].window + 10)
    assert (await world.flow.entering.begin("alice", earned("alice"), MALLORY)).step is Step.VERIFY


async def test_logins_that_wait_are_limited_for_a_day_too(world: World) -> None:
    await world.enrol(Person("alice"))
    slow, day = PENDING
    passed = 0
    for _ in range(day.limit // slow.limit + 2):
        for _ in range(slow.limit + 1):
            try:
                await world.flow.entering.begin("alice", earned("alice"), MALLORY)
            except Refusal as refusal:
                assert refusal.slug == "throttled"
                break
            passed += 1
        world.clock.turn(2 * slow.window)
    assert passed == day.limit


async def test_command_lines_that_wait_are_limited_and_still_told_of_the_code(
    world: World,
) -> None:
    """Another user agent each time would be another record each time."""
    await enrolled(world)
    waiting = []
    for number in range(PENDING[0].limit + 20):
        client = caller("203.0.113.5", f"agent {number}")
        with pytest.raises(Refusal, match="otp_required") as refused:
            await world.flow.at_once.prove("alice", None, (token_of("alice"),), client)
        waiting.append("approve" in refused.value.detail)
    assert waiting == [True] * PENDING[0].limit + [False] * 20
    assert len(await world.store.items("approval", "alice")) == PENDING[0].limit
