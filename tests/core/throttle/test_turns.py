"""Locks by name: one at a time, in order, whoever gives up."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.throttle.turns import NamedLocks


async def test_one_after_another_in_the_order_they_came() -> None:
    locks, seen, inside = NamedLocks(), list[int](), list[int]()

    async def one(number: int) -> None:
        async with locks.of("name"):
            inside.append(number)
            assert len(inside) == 1
            await asyncio.sleep(0)
            inside.remove(number)
            seen.append(number)

    await asyncio.gather(*map(one, range(20)))
    assert seen == list(range(20))
    assert not locks._held


async def test_other_names_do_not_wait() -> None:
    locks = NamedLocks()
    async with locks.of("one"), locks.of(("another", "")):
        assert len(locks._held) == 2
    assert not locks._held


@pytest.mark.parametrize("when", ["while it waits", "as its turn comes"])
async def test_who_gives_up_keeps_nobody_waiting(when: str) -> None:
    locks, seen = NamedLocks(), list[str]()

    async def one(name: str) -> None:
        async with locks.of("name"):
            seen.append(name)

    first = locks.of("name")
    await first.__aenter__()
    tasks = [asyncio.create_task(one(name)) for name in ("second", "third")]
    await asyncio.sleep(0)
    if when == "as its turn comes":
        await first.__aexit__(None, None, None)
        tasks[0].cancel()
    else:
        tasks[0].cancel()
        await asyncio.sleep(0)
        await first.__aexit__(None, None, None)
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert seen == ["third"]
    assert not locks._held


async def test_an_error_passes_the_turn_on() -> None:
    locks = NamedLocks()
    with pytest.raises(ValueError, match="inside"):
        async with locks.of("name"):
            raise ValueError("inside")
    assert not locks._held
