"""Wrong passwords from one network: the arithmetic, and the count over several gateways."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Caller
from gateway.core.store import Key, Record
from gateway.core.throttle import guesses
from gateway.core.throttle.guesses import Guesses, TriedPassword
from gateway.core.throttle.known_good import HALF_LIFE, LIFE
from gateway.core.throttle.limits import PASSWORDS_BY_NETWORK, PASSWORDS_OF_ONE_NAME, SPARED
from gateway.core.throttle.passwords import Guessing
from tests.core.world import World, caller

LIMIT, WINDOW = PASSWORDS_BY_NETWORK[0]
DAILY = PASSWORDS_BY_NETWORK[1].limit
NOW = 1_800_000_000.0
NAT = caller("203.0.113.5")


def wrong(at: float, who: str, what: str) -> TriedPassword:
    return TriedPassword(at, who, what, 0, wrong=True)


tried = st.lists(
    st.builds(
        wrong, st.floats(NOW - 90_000, NOW), st.sampled_from("abcd"), st.text("xyz", min_size=8)
    ),
    max_size=80,
    unique_by=lambda guess: guess.what,
).map(lambda found: tuple(sorted(found)))


@given(tried, st.sampled_from("abcde"))
def test_after_the_wait_a_password_may_be_tried_and_not_before(found: Guesses, who: str) -> None:
    seconds = guesses.delay(found, who, NOW)
    assert 0 <= seconds <= guesses.LIFE
    assert guesses.delay(found, who, NOW + seconds + 0.001) == 0
    if seconds > 1:
        assert guesses.delay(found, who, NOW + seconds - 0.5) > 0


def test_the_wait_is_until_the_oldest_leaves() -> None:
    found = tuple(wrong(NOW - 200 + second, "a", str(second)) for second in range(LIMIT))
    assert guesses.delay(found, "a", NOW) == WINDOW - 200
    assert guesses.delay(found, "b", NOW) == 0


def test_the_wait_of_a_third_is_until_the_noisy_one_counts_for_less() -> None:
    noisy = [wrong(NOW - 100 + second, "noisy", f"n{second}") for second in range(LIMIT)]
    room = LIMIT - PASSWORDS_OF_ONE_NAME[0]
    other = [wrong(NOW - 50, "other", f"o{number}") for number in range(room)]
    found = tuple(sorted([*noisy, *other]))
    assert guesses.delay(found, "third", NOW) == WINDOW - 100 + room


@pytest.mark.parametrize("names", [1, 2, 3, 30, 200])
def test_a_network_has_no_more_than_stated(names: int) -> None:
    """Guessing as fast as it is allowed, with as many names as one likes, for a day."""
    found: Guesses = ()
    now, through = NOW, Counter[int]()
    for number in range(4000):
        window = int((now - NOW) // WINDOW)
        try:
            found = guesses.taken(found, f"name {number % names}", f"{number}", now)
        except Refusal as refusal:
            assert refusal.retry_after
            now += refusal.retry_after / 3
            if now > NOW + guesses.LIFE - 1:
                break
        else:
            found = guesses.told_wrong(found, "", f"{number}", now)
            through[window] += 1
    over = LIMIT - PASSWORDS_OF_ONE_NAME[0]
    assert max(through.values()) <= LIMIT + over
    assert through.total() <= DAILY + DAILY - PASSWORDS_OF_ONE_NAME[1]
    if names in (1, 30, 200):
        assert through[0] == LIMIT


def test_one_name_leaves_the_others_some() -> None:
    found = tuple(wrong(NOW, "noisy", str(number)) for number in range(LIMIT))
    for number in range(LIMIT - PASSWORDS_OF_ONE_NAME[0]):
        found = guesses.taken(found, "other", f"o{number}", NOW)
    with pytest.raises(Refusal, match="throttled"):
        guesses.taken(found, "third", "t", NOW)


def test_what_one_gateway_takes_back_another_may_have_seen_refused() -> None:
    """An open route says yes to any password: its yes must not take back the no of another."""
    here = guesses.taken((), "a", "x", NOW)
    both = guesses.taken(here, "a", "x", NOW)
    assert len(both) == 1 and both[0].asking == 2
    assert guesses.let_go(both, "x")[0].asking == 1
    assert guesses.let_go(guesses.told_wrong(both, "a", "x", NOW), "x")[0].wrong
    late = guesses.told_wrong(guesses.let_go(here, "x"), "a", "x", NOW)
    assert late[0].wrong
    assert guesses.told_right(late, "x") == ()


@given(tried)
def test_what_is_stored_is_read_as_it_was(found: Guesses) -> None:
    kept = tuple(guess for guess in found if guess.at > NOW - guesses.LIFE)
    assert guesses.load(guesses.dump(found), NOW) == kept


def test_the_documentation_states_these_numbers() -> None:
    page = Path(__file__).parents[3] / "docs/security.md"
    text = " ".join(page.read_text("utf-8").replace("**", "").split())
    over = LIMIT - PASSWORDS_OF_ONE_NAME[0], DAILY - PASSWORDS_OF_ONE_NAME[1]
    for stated in (
        f"{LIMIT} different wrong passwords in 5 minutes and {DAILY} in a day",
        f"counts for at most {PASSWORDS_OF_ONE_NAME[0]} ({PASSWORDS_OF_ONE_NAME[1]} in a day)",
        f"at most {LIMIT + over[0]} in 5 minutes and {DAILY + over[1]} in a day",
        f"{SPARED:,} different wrong ones",
    ):
        assert stated in text, stated


# -- over the store ------------------------------------------------------------------------------


async def guess(
    world: World, user: str, secret: str, by: Caller = NAT, *, says: bool = False
) -> bool:
    """Whether a password was let through to the index, which says that."""
    try:
        async with await world.flow.proofs.trying(user, secret, by) as attempt:
            await asyncio.sleep(0)
            await (attempt.right() if says else attempt.wrong())
    except Refusal as refusal:
        assert refusal.slug == "throttled"
        return False
    return True


async def test_two_hundred_at_once_through_two_gateways(world: World) -> None:
    worlds = (world, world.other())
    told = await asyncio.gather(*(guess(worlds[n % 2], "alice", f"{n}") for n in range(200)))
    assert sum(told) == LIMIT


async def test_the_same_at_once_is_one(world: World) -> None:
    worlds = (world, world.other())
    told = await asyncio.gather(*(guess(worlds[n % 2], "alice", "stale") for n in range(100)))
    assert all(told)
    assert sum([await guess(world, "alice", f"{n}") for n in range(LIMIT)]) == LIMIT - 1


async def test_a_right_one_takes_nothing_and_is_spared(world: World) -> None:
    for _ in range(LIMIT + 5):
        assert await guess(world, "alice", "right", says=True)
    assert sum([await guess(world, "alice", f"{n}") for n in range(LIMIT + 5)]) == LIMIT
    assert await guess(world, "alice", "right", says=True)
    world.clock.turn(LIFE - 1)
    assert await guess(world, "alice", "right", says=True)


async def test_one_that_is_spared_is_settled_for_half_of_that_time(world: World) -> None:
    """And then asked about again, so that it is known without a gap."""
    guessing = world.flow.guessing
    mark = guessing.mark(NAT.address, "alice", "right")
    assert not guessing.settled(mark)
    assert await guess(world, "alice", "right", says=True)
    assert guessing.settled(mark)
    world.clock.turn(HALF_LIFE)
    assert guessing.spared(mark) and not guessing.settled(mark)
    elsewhere = guessing.mark(caller("192.0.2.1").address, "alice", "right")
    assert not guessing.settled(elsewhere)


async def test_a_wrong_one_is_settled_as_long_as_it_need_not_be_counted(world: World) -> None:
    guessing = world.flow.guessing
    mark = guessing.mark(NAT.address, "alice", "wrong")
    assert await guess(world, "alice", "wrong")
    world.clock.turn(LIFE - 1)
    assert guessing.settled(mark)
    world.clock.turn(1)
    assert not guessing.settled(mark)


async def test_nothing_is_settled_where_nothing_is_spared_any_more(world: World) -> None:
    guessing = world.flow.guessing
    mark = guessing.mark(NAT.address, "alice", "right")
    for number in range(LIMIT + SPARED):
        await guess(world, "alice", f"{number}")
    guessing.known.judged(mark.full, right=True)
    assert not guessing.settled(mark)


async def test_it_is_spared_only_where_it_was_right(world: World) -> None:
    """Else its owner's being there would tell everybody elsewhere whether a guess is right."""
    assert await guess(world, "alice", "right", caller("192.0.2.1"), says=True)
    for number in range(LIMIT):
        await guess(world, "alice", f"{number}")
    assert not await guess(world, "alice", "right", says=True)


async def test_being_spared_is_no_way_to_guess(world: World) -> None:
    assert await guess(world, "alice", "right", says=True)
    for number in range(LIMIT + SPARED):
        await guess(world, "alice", f"{number}")
    assert not await guess(world, "alice", "right", says=True)


async def test_a_wrong_one_that_becomes_right(world: World) -> None:
    assert await guess(world, "alice", "new")
    assert await guess(world, "alice", "new", says=True)
    assert sum([await guess(world, "alice", f"{n}") for n in range(LIMIT + 5)]) == LIMIT


async def test_a_failure_between_is_no_guess(world: World) -> None:
    for number in range(LIMIT + 5):
        with pytest.raises(Refusal, match="upstream_unreachable"):
            async with await world.flow.proofs.trying("alice", f"{number}", NAT):
                raise Refusal(Slug.UPSTREAM_UNREACHABLE)
    assert await guess(world, "alice", "another")


async def test_a_client_that_leaves_in_the_middle_is_counted(world: World) -> None:
    async def leave(number: int) -> None:
        async with await world.flow.proofs.trying("alice", f"{number}", NAT):
            raise asyncio.CancelledError

    for number in range(LIMIT):
        with pytest.raises(asyncio.CancelledError):
            await leave(number)
    assert not await guess(world, "alice", "another")


async def test_names_that_are_one_share_a_count(world: World) -> None:
    names = ("alice", "ALICE", "ａｌｉｃｅ")
    for number in range(LIMIT):
        assert await guess(world, names[number % 3], f"{number}")
    assert not await guess(world, "Alice", "more")


async def test_nothing_in_the_store_tells_a_password(world: World) -> None:
    await guess(world, "alice", "hunter2hunter2")
    stored = b"".join(record.value for _, record in await world.store.items("guesses", ""))
    assert stored and b"hunter2" not in stored and b"alice" not in stored
    assert len(guesses.load(stored, world.clock())[0].what) == 4


async def test_a_store_that_is_away_is_not_waited_for_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def hang(*_: object) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(3600)

    monkeypatch.setattr(Guessing, "haste", 0.05)
    monkeypatch.setattr(world.store, "get", hang)
    through = 0
    for number in range(LIMIT + 5):
        try:
            attempt = await world.flow.proofs.trying("alice", f"{number}", NAT, hasty=True)
        except Refusal:
            continue
        await attempt.wrong()
        through += 1
    assert (through, asked) == (LIMIT, 1)


async def test_what_others_counted_meanwhile_counts(world: World) -> None:
    """Who was alone for a while writes over what it wrote last, and looks where that is gone."""
    other = world.other()
    for number in range(4):
        assert await guess(world, "alice", f"{number}")
    for number in range(4, LIMIT):
        assert await guess(other, "alice", f"{number}")
    assert not await guess(world, "alice", "one more")


async def test_nobody_is_refused_by_what_was_seen_before(world: World) -> None:
    other = world.other()
    for number in range(LIMIT):
        await world.flow.proofs.trying("alice", f"{number}", NAT)
    for number in range(3):
        assert await guess(other, "alice", f"{number}", says=True)
    assert await guess(world, "alice", "another")


async def test_who_is_alone_reads_it_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read, get = list[str](), world.store.get

    async def counted(key: Key) -> Record | None:
        read.append(key.kind)
        return await get(key)

    monkeypatch.setattr(world.store, "get", counted)
    for number in range(LIMIT):
        assert await guess(world, "alice", f"{number}")
    assert read.count("guesses") == 2
