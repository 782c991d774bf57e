"""The courier: takes notices off the queue and gives them to their channels.

One runs in every worker. It blocks nothing and nothing waits for it. Knows the queue and the
channels' one method; the rules of claims and retries are in `gateway.core.notice_queue`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.core.notice_queue import CLAIMED_FOR, Letter, NoticeQueue
from gateway.core.store import StoreUnavailable

log = logging.getLogger(__name__)

_LIMIT: Final = CLAIMED_FOR / 4


class Undelivered(Exception):
    """A delivery failed and is worth another try. The text names no address and no secret."""


class Undeliverable(Exception):
    """This notice cannot be delivered, now or later (no address, say)."""


class Channel(Protocol):
    """One way of delivery."""

    @property
    def name(self) -> str: ...

    async def deliver(self, letter: Letter) -> None:
        """Raises Undelivered or Undeliverable."""
        ...


class Courier:
    """Works off the queue until it is cancelled.

    Args:
        every: seconds between two looks at the queue (what other gateways queued, what is due
            again); what this process queues is delivered at once.
    """

    def __init__(
        self, queue: NoticeQueue, channels: Sequence[Channel], *, every: float = 10.0
    ) -> None:
        self._queue: Final = queue
        self._channels: Final = tuple(channels)
        self._every: Final = every
        self._wake: Final = asyncio.Event()
        queue.queued = self._wake.set

    async def run(self) -> None:
        """Never returns; cancel the task to end it. A cut-off delivery is done again later."""
        while self._channels:
            self._wake.clear()
            try:
                await self.work()
            except StoreUnavailable as error:
                log.warning("notices wait: %s", error)
            try:
                async with asyncio.timeout(self._every):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def work(self) -> int:
        """Deliver what is due, channel by channel side by side; how many were delivered.

        Raises:
            StoreUnavailable
        """
        return sum(await asyncio.gather(*(self._work(channel) for channel in self._channels)))

    async def _work(self, channel: Channel) -> int:
        delivered = 0
        for listed in await self._queue.due(channel.name):
            letter = await self._queue.take(listed)
            if letter is not None and await self._deliver(channel, letter):
                delivered += 1
        return delivered

    async def _deliver(self, channel: Channel, letter: Letter) -> bool:
        what = f"notice {letter.id} ({letter.notice}) by {channel.name}"
        try:
            async with asyncio.timeout(_LIMIT):
                await channel.deliver(letter)
        except Undeliverable as error:
            log.warning("%s given up: %s", what, error)
            await self._queue.done(letter)
            return False
        except Exception as error:
            # Whatever a server or a library does, the notice stays in the queue.
            why = str(error) if isinstance(error, Undelivered) else type(error).__name__
            wait = await self._queue.failed(letter)
            log.warning("%s not delivered, again in %d s: %s", what, wait, why)
            return False
        await self._queue.done(letter)
        return True
