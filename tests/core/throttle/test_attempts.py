"""How often somebody may try: the arithmetic, the odds, and who is never locked out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal
from gateway.core.http.facts import IPAddress
from gateway.core.login.models import Caller
from gateway.core.notices.events import Notice
from gateway.core.store import Expect, StoreStep
from gateway.core.throttle.attempts import Throttle
from gateway.core.throttle.limits import (
    CODES_BY_NETWORK,
    CODES_OVER_ALL,
    KNOWN_NETWORKS,
    NETWORK,
    PASSWORDS_BY_NETWORK,
    PENDING,
    PERSON,
    UNGUESSABLE,
    Tier,
    network,
    odds,
    wait,
)
from tests.core.world import Person, World, caller, earned, wrong_code

TIERS = (Tier(2, 60), Tier(3, 3600))


@pytest.mark.parametrize(
    ("tries", "seconds"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([990.0], 0, id="one"),
        pytest.param([980.0, 990.0], 40, id="two in a minute"),
        pytest.param([939.0, 990.0], 0, id="one of two has left the minute"),
        pytest.param([940.0, 990.0], 0, id="one of two leaves now"),
        pytest.param([100.0, 500.0, 900.0], 2700, id="three in an hour"),
        pytest.param([100.0, 980.0, 990.0], 2700, id="the longer wait counts"),
        pytest.param([100.0, 200.0, 980.0, 990.0], 2800, id="over the limit"),
    ],
)
def test_the_wait_follows_from_past_tries(tries: list[float], seconds: float) -> None:
    assert wait(tries, TIERS, 1000.0) == seconds


@given(st.lists(st.floats(0, 40 * 86400), max_size=200))
def test_after_the_wait_a_try_is_free_again(tries: list[float]) -> None:
    now = 40 * 86400.0
    seconds = wait(sorted(tries), PERSON, now)
    assert wait(sorted(tries), PERSON, now + seconds + 0.001) == 0


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (None, ""),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
    ],
)
def test_what_counts_as_one_place(address: str | None, place: str) -> None:
    assert network(ip_address(address) if address else None) == place


def test_the_limits_and_odds_that_the_documentation_states() -> None:
    page = Path(__file__).parents[3] / "docs/security.md"
    text = " ".join(page.read_text("utf-8").replace("**", "").split())
    month, steps = PERSON[-1].limit, ("5 minutes", "an hour", "a day", "30 days")
    assert [tier.window for tier in PERSON] == [300, 3600, 86400, 30 * 86400]
    assert [tier.window for tier in NETWORK] == [tier.window for tier in PERSON]
    each = [f"{tier.limit} in {step}" for tier, step in zip(PERSON, steps, strict=True)]
    alone = [str(tier.limit) for tier in NETWORK]
    assert [tier.window for tier in CODES_BY_NETWORK] == [300, 86400]
    assert [tier.window for tier in CODES_OVER_ALL] == [300]
    assert [tier.window for tier in PENDING] == [300, 86400]
    everywhere = month + KNOWN_NETWORKS * NETWORK[-1].limit
    for stated in (
        f"limited to {_listed(each)}; from one network to {_listed(alone)}.",
        f"1 in {round(1 / odds(month), -2):,.0f} in a month with one device",
        f"in all {KNOWN_NETWORKS} networks the person last logged in from has "
        f"1 in {round(1 / odds(everywhere), -2):,.0f}.",
        "one network has {} wrong codes in 5 minutes and {} in a day.".format(
            *(tier.limit for tier in CODES_BY_NETWORK)
        ),
        f"After {CODES_OVER_ALL[0].limit} wrong codes in 5 minutes from everywhere",
        "limited to {:,} in 5 minutes and {:,} in a day.".format(*(t.limit for t in PENDING)),
    ):
        assert stated in text, stated
    # All five devices one person may have, and a year of it:
    assert odds(month, 5) < 1 / 500
    assert odds(month * 365 // 30) < 0.0044


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


async def wrong(
    throttle: Throttle, user: str, address: IPAddress | None, *, known: bool = False
) -> None:
    """A wrong code; raises Refusal `throttled` instead where it is one too many."""
    counts = await throttle.read(throttle.counters(user, address, known=known))
    counts.check()
    await throttle.count(counts)


async def throttled(throttle: Throttle, address: IPAddress, *, known: bool = False) -> bool:
    try:
        await wrong(throttle, "alice", address, known=known)
    except Refusal as refusal:
        assert refusal.slug == "throttled"
        assert refusal.retry_after
        return True
    return False


async def test_no_more_guesses_than_stated_get_through_in_a_month(world: World) -> None:
    """Guessing as fast as it is allowed to, from as many networks as one likes."""
    throttle = Throttle(world.store, world.clock)
    through, number, end = 0, 0, world.clock() + PERSON[-1].window
    while world.clock() < end:
        for _ in range(4):  # four tries from each address, then on to the next
            through += not await throttled(throttle, ip_address(0x0A000000 + number))
        number += 1
        world.clock.turn(4 * 3600)
    assert through == PERSON[-1].limit


async def test_a_hundred_guesses_at_once_are_a_hundred(world: World) -> None:
    throttle = Throttle(world.store, world.clock)
    address = ip_address("192.0.2.66")
    held = await asyncio.gather(*(throttled(throttle, address) for _ in range(60)))
    assert held.count(False) <= NETWORK[0].limit


async def guess_password(world: World, user: str, secret: str, by: Caller) -> None:
    """A password that the index refuses."""
    async with await world.flow.proofs.trying(user, secret, by) as attempt:
        await attempt.wrong()


# -- in a login ------------------------------------------------------------------------------


async def guess(world: World, victim: Person, address: str, times: int) -> list[str]:
    """Mallory, who has the password, types codes from an address; the answers."""
    mallory = caller(address, "curl/8")
    answers: list[str] = []
    for _ in range(times):
        begun = await world.flow.entering.begin(victim.name, earned(victim.name), mallory)
        try:
            await world.prove(begun.cookie, "totp", wrong_code(victim, world.clock()), mallory)
        except Refusal as refusal:
            answers.append(refusal.slug)
    return answers


async def test_wrong_codes_are_held_back_and_told(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    answers = await guess(world, alice, "203.0.113.5", 8)
    assert answers == ["otp_invalid"] * 5 + ["throttled"] * 3
    # How many of them become mails, the queue of notices decides.
    assert world.ledger.notices.count((Notice.WRONG_FACTOR, "alice")) == 5
    assert world.ledger.names().count(Event.FACTOR_REFUSED) == 5
    assert world.ledger.names().count(Event.THROTTLED) == 1


async def test_the_owner_gets_in_while_somebody_guesses_elsewhere(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    await guess(world, alice, "203.0.113.5", 10)
    await world.login(alice)
    await world.login(alice, caller=caller("198.51.100.7"))


async def test_many_networks_cannot_keep_the_owner_from_a_known_one(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    await world.login(alice)
    for number in range(12):
        await guess(world, alice, f"203.0.113.{number}", 4)
    with pytest.raises(Refusal, match="throttled"):
        await world.login(alice, caller=caller("198.51.100.7"))
    await world.login(alice)


async def test_a_recovery_code_works_while_codes_are_held_back(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    for number in range(12):
        await guess(world, alice, f"203.0.113.{number}", 4)
    elsewhere = caller("198.51.100.7")
    begun = await world.flow.entering.begin("alice", earned("alice"), elsewhere)
    assert await world.prove(begun.cookie, "recovery", alice.codes[0], elsewhere)


async def test_an_attack_on_everybody_holds_back_only_new_networks(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    throttle = Throttle(world.store, world.clock)
    for number in range(CODES_OVER_ALL[0].limit):
        await wrong(throttle, f"user{number}", ip_address(0x0A000000 + number))
    with pytest.raises(Refusal, match="throttled"):
        await world.login(alice, caller=caller("198.51.100.7"))
    await world.login(alice)


@pytest.mark.parametrize("kinds", [("recovery", "webauthn"), ("nonsense", "")])
async def test_wrong_answers_that_are_no_guesses_hold_nobody_back(
    world: World, kinds: tuple[str, str]
) -> None:
    """They fill no store either: a lock-out is one entry, and a right code still passes."""
    alice, mallory = Person("alice"), Person("mallory", caller("203.0.113.5"))
    await world.enrol(alice)
    await world.enrol(mallory)
    before = len(world.ledger.events)
    begun = await world.flow.entering.begin("mallory", earned("mallory"), mallory.caller)
    slugs = []
    for number in range(CODES_OVER_ALL[0].limit):
        with pytest.raises(Refusal) as caught:
            await world.prove(
                begun.cookie, kinds[number % 2], "AAAA-BBBB-CCCC-DDDD", mallory.caller
            )
        slugs.append(caught.value.slug)
    limit = UNGUESSABLE[0].limit
    assert slugs == ["otp_invalid"] * limit + ["throttled"] * (len(slugs) - limit)
    written = [event for event, _, _ in world.ledger.events[before:]]
    assert written == [Event.FACTOR_REFUSED] * limit + [Event.THROTTLED]
    await world.login(alice, caller=caller("198.51.100.7"))
    await world.login(alice, caller=mallory.caller)
    assert await world.prove(begun.cookie, "recovery", mallory.codes[0], mallory.caller)


async def test_a_day_of_wrong_answers_by_everybody_leaves_a_bounded_trail(world: World) -> None:
    """One stolen password, every kind of factor, a network of one's own for each try."""
    alice = Person("alice")
    await world.enrol(alice)
    before = len(world.ledger.events)
    for number in range(300):
        world.clock.turn(288)
        mallory = caller(str(ip_address(0x0A000000 + number * 256)))
        begun = await world.flow.entering.begin("alice", earned("alice"), mallory)
        kind = ("totp", "recovery", "webauthn")[number % 3]
        answer = wrong_code(alice, world.clock()) if kind == "totp" else "AAAA-BBBB-CCCC-DDDD"
        with pytest.raises(Refusal):
            await world.prove(begun.cookie, kind, answer, mallory)
    written = [event for event, _, _ in world.ledger.events[before:]]
    refused, held = written.count(Event.FACTOR_REFUSED), written.count(Event.THROTTLED)
    assert 0 < refused <= PERSON[2].limit + UNGUESSABLE[1].limit + 5
    assert 0 < held <= 24 and refused + held == len(written)


async def test_a_network_that_is_held_back_is_recorded_once(world: World) -> None:
    mallory = caller("203.0.113.5")
    for number in range(PASSWORDS_BY_NETWORK[0].limit):
        await guess_password(world, f"user{number}", "wrong", mallory)
    for number in range(20):
        with pytest.raises(Refusal, match="throttled"):
            await world.flow.proofs.trying("alice", f"guess {number}", mallory)
        with pytest.raises(Refusal, match="throttled"):
            await world.flow.passkeys.login(world.flow.passkeys.ask()[0], "{}", mallory)
    assert world.ledger.events == [(Event.THROTTLED, "", "password")]


async def test_without_addresses_the_persons_count_decides(world: World) -> None:
    """Behind a unix socket without a trusted proxy every caller has the same, no address."""
    alice = Person("alice", caller(None))
    await world.enrol(alice)
    for _ in range(PERSON[0].limit):
        begun = await world.flow.entering.begin("alice", earned("alice"), alice.caller)
        with pytest.raises(Refusal, match="otp_invalid"):
            await world.prove(begun.cookie, "totp", wrong_code(alice, world.clock()), alice.caller)
    with pytest.raises(Refusal, match="throttled"):
        await world.login(alice)


async def test_a_right_code_is_no_guess(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    for _ in range(PERSON[0].limit + 2):
        await world.login(alice, caller=caller("198.51.100.7"))


async def test_a_right_code_behind_too_many_wrong_ones_is_held_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another gateway counts them while this one judges: the right one is not before them."""
    alice, other, original = Person("alice"), world.other(), world.store.transact
    await world.enrol(alice)
    answers: list[str] = []

    async def behind(steps: Sequence[StoreStep]) -> list[int]:
        if any(isinstance(step, Expect) for step in steps) and not answers:
            answers.extend(await guess(other, alice, "198.51.100.7", NETWORK[0].limit))
        return await original(steps)

    monkeypatch.setattr(world.store, "transact", behind)
    with pytest.raises(Refusal, match="throttled"):
        await world.login(alice, caller=caller("198.51.100.7"))
    assert answers == ["otp_invalid"] * NETWORK[0].limit
    world.clock.turn(NETWORK[0].window)
    await world.login(alice, caller=caller("198.51.100.7"))


async def test_wrong_passwords_slow_an_address_and_nobody_else(world: World) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    mallory = caller("203.0.113.5")
    for number in range(30):
        await guess_password(world, "alice", f"guess {number}", mallory)
    with pytest.raises(Refusal, match="throttled"):
        await world.flow.proofs.trying("alice", "one more", mallory)
    await world.flow.proofs.trying("alice", "one more", alice.caller)
    await world.login(alice)


async def test_known_and_unknown_names_leave_the_same_traces(world: World) -> None:
    """A refused password looks the same in the store, whether the name is known or not."""
    await world.enrol(Person("alice"))
    for name in ("alice", "nobody"):
        await guess_password(world, name, "wrong", caller("203.0.113.5"))
    assert await world.store.items("tries", "nobody") == []
    assert await world.store.items("tries", "alice") == []


async def test_all_spellings_of_a_name_share_one_count(world: World) -> None:
    await world.enrol(Person("alice"))
    answers = []
    for name in ("alice", "ALICE", "ａｌｉｃｅ", " alice", "Alice ", "aLiCe"):
        mallory = caller("203.0.113.5")
        begun = await world.flow.entering.begin(name, earned(name), mallory)
        with pytest.raises(Refusal) as refused:
            await world.prove(begun.cookie, "totp", "000000", mallory)
        answers.append(refused.value.slug)
    assert answers == ["otp_invalid"] * 5 + ["throttled"]


async def test_clients_without_an_address_are_counted_as_one_network(world: World) -> None:
    nobody = caller(None)
    for number in range(PASSWORDS_BY_NETWORK[0].limit):
        await guess_password(world, f"user{number}", "wrong", nobody)
    with pytest.raises(Refusal, match="throttled"):
        await world.flow.proofs.trying("alice", "wrong", nobody)
    await world.flow.proofs.trying("alice", "wrong", caller())
    throttle = Throttle(world.store, world.clock)
    for number in range(CODES_BY_NETWORK[0].limit):
        await wrong(throttle, f"user{number}", None)
    with pytest.raises(Refusal):
        await wrong(throttle, "somebody", None)
