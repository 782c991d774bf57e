"""Ending what runs beside everything else. Knows nothing of what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

_AGAIN: Final = 0.5  # seconds


async def cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until all have ended, whatever they raise.

    They are cancelled again as long as they go on: before Python 3.12 `asyncio.wait_for`, which
    libraries use, loses a cancellation that comes when what it waits for is just done (gh-86296).
    """
    every = set(tasks)
    left = {task for task in every if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
    await asyncio.gather(*every, return_exceptions=True)
