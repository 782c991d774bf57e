"""Entries of the trail that nobody waits for: written soon, many in one step.

An upload is not held up by the trail, and goes on where the store is away. What waits then is
bounded; what does not fit is counted, and the count is recorded once the store is back. A
process that is killed loses what it has not written yet, which is milliseconds' worth.
Knows the trail and the clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final

from gateway.core.audit.events import Event, Happened, Origin
from gateway.core.audit.trail import Trail
from gateway.core.clock import Clock
from gateway.core.store import StoreUnavailable

ROOM: Final = 10_000
"""Entries that wait at most."""
FIRST_WAIT: Final = 0.5
"""Seconds before the store is tried again; then twice as many, up to a limit."""
_AT_ONCE: Final = 200
LONGEST_WAIT: Final = 30.0

Finish = Callable[[], Awaitable[Happened]]
"""Gives the entry, with what has to be asked of the store. Raises StoreUnavailable."""

_log = logging.getLogger("gateway.audit")


class LateEntries:
    """One for a process. lost: how many there was no room for, and that is not recorded yet."""

    def __init__(self, trail: Trail, clock: Clock, *, room: int = ROOM) -> None:
        self._trail: Final = trail
        self._clock: Final = clock
        self._room: Final = room
        self._waiting: Final[deque[Finish]] = deque()
        self._batch: list[Happened] = []
        self._unsure = False  # some of the batch may be in the trail already
        self._task: asyncio.Task[None] | None = None
        self.lost = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._batch)

    def put(self, finish: Finish) -> None:
        """Have an entry written. Never raises, and waits for nothing."""
        if self.waiting >= self._room:
            if not self.lost:
                _log.error("%d entries of the trail wait for the store, no more fit", self.waiting)
            self.lost += 1
            return
        self._waiting.append(finish)
        if self._task is None or self._task.done():
            # It goes on for others, so not in the name of the request that came first.
            self._task = asyncio.get_running_loop().create_task(self._write(), context=Context())

    async def close(self, within: float = 5.0) -> None:
        """Write what still waits; what is not written by then is lost, and the log says so."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=within)
            self._task.cancel()
        if self.waiting or self.lost:
            _log.error("%d entries of the trail are lost", self.waiting + self.lost)

    async def _write(self) -> None:
        failed = 0
        while self._waiting or self._batch or self.lost:
            try:
                await self._write_some()
                failed = 0
            except StoreUnavailable as error:
                if not failed:
                    _log.error("uploads go on and are not in the trail yet: %s", error)
                await asyncio.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2**failed))
                failed = min(failed + 1, 10)

    async def _write_some(self) -> None:
        while self._waiting and len(self._batch) < _AT_ONCE:
            finish = self._waiting[0]
            try:
                found = await finish()
            except StoreUnavailable:
                raise
            except Exception:
                _log.exception("an entry of the trail could not be made")
                self._waiting.popleft()
                continue
            self._waiting.popleft()
            self._batch.append(found)
        if self.lost and not self._batch:  # behind those that there was room for
            said = f"{self.lost} uploads or downloads while the store was away"
            self._batch = [Happened(self._clock(), Event.NOT_RECORDED, "", Origin(), detail=said)]
            self.lost = 0
        if self._unsure:
            self._batch = await self._trail.missing(self._batch)
        self._unsure = True
        await self._trail.record_all(self._batch)
        self._batch, self._unsure = [], False
