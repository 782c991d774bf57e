"""Ending what runs beside everything else. Knows nothing of what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

_AGAIN: Final = 0.5  # seconds


async def cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until all have ended. Of one that has failed asyncio tells.

    They are cancelled again as long as they go on: before Python 3.12 `asyncio.wait_for`, which
    libraries use, loses a cancellation that comes when what it waits for is just done (gh-86296).
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
