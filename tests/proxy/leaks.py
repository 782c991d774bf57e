"""What must not be left over: connections, tasks, descriptors, errors nobody heard of."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from typing import Any

from gateway.proxy.forwarder import Forwarder


class Watch:
    """What is open and running now; what is more at the end has leaked."""

    def __init__(self) -> None:
        self._tasks = asyncio.all_tasks()
        self._descriptors = open_descriptors()
        self._unheard: list[str] = []
        asyncio.get_running_loop().set_exception_handler(self._hear)

    def _hear(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._unheard.append(f"{context['message']}: {context.get('exception')!r}")

    async def nobody_is_served(self, forwarder: Forwarder) -> None:
        """The clients have left, the upstream is still there: only idle connections may be."""
        await settle(lambda: not forwarder.clients)
        assert not forwarder.clients, "a client connection was left open"
        pool = forwarder.shared.pool
        await settle(lambda: pool.open == set(pool.idle))
        assert pool.open == set(pool.idle), "an upstream connection hangs"
        assert all(c.exchange is None for c in pool.idle), "an idle connection is used"

    async def nothing_is_left(self, forwarder: Forwarder) -> None:
        """The forwarder has stopped."""
        pool = forwarder.shared.pool
        await settle(lambda: not pool.open)
        assert not pool.open, "an upstream connection was left open"
        await settle(lambda: asyncio.all_tasks() <= self._tasks)
        assert asyncio.all_tasks() <= self._tasks, "a task was left running"
        await settle(lambda: open_descriptors() <= self._descriptors)
        left = open_descriptors() - self._descriptors
        assert not left, "a descriptor was left open"
        gc.collect()  # tasks and futures complain when they are collected; see conftest.py
        assert not self._unheard


def open_descriptors() -> set[tuple[str, str]]:
    """Sockets and pipes of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        if target.startswith(("socket:", "pipe:")):
            found.add((name, target))
    return found


async def settle(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something has become true, at most so long."""
    for _ in range(int(seconds * 100)):
        if true():
            return
        await asyncio.sleep(0.01)
