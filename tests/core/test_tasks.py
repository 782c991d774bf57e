"""Ending tasks, also such as lose a cancellation."""

from __future__ import annotations

import asyncio

from gateway.core.tasks import cancelled


async def test_a_lost_cancellation_comes_again() -> None:
    lost: list[str] = []

    async def loses(times: int) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if len(lost) == times:
                    raise
                lost.append("one")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError

    async def ends() -> None:
        return

    tasks = [asyncio.create_task(one) for one in (loses(2), fails(), ends())]
    await asyncio.sleep(0.01)
    await cancelled(tasks)
    assert all(task.done() for task in tasks)
    assert lost == ["one", "one"]
    assert isinstance(tasks[1].exception(), ValueError)
    await cancelled(tasks)
    await cancelled([])
