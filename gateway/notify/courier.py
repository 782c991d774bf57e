"""The courier: takes notices off the queue and gives them to their channels.

One runs in every worker. It blocks nothing and nothing waits for it: deliveries go side by side,
so a slow one holds up no other. What is given up is recorded in the audit trail. Knows the queue
and the channels' one method; the rules of claims and retries are in `gateway.core.notices.queue`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.core.audit.events import AuditSink, Event
from gateway.core.notices.queue import CLAIMED_FOR, Letter, NoticeQueue
from gateway.core.store import StoreUnavailable

log = logging.getLogger(__name__)

_AT_ONCE: Final = 8  # deliveries by one channel
_LIMIT: Final = 900.0


class Undelivered(Exception):
    """A delivery failed and is worth another try. The text names no address and no secret.

    unsure: it may have arrived all the same; it is sent again, but only a few times.
    """

    def __init__(self, text: str, *, unsure: bool = False) -> None:
        super().__init__(text)
        self.unsure: Final = unsure


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
        self,
        queue: NoticeQueue,
        channels: Sequence[Channel],
        audit: AuditSink,
        *,
        every: float = 10.0,
    ) -> None:
        self._queue: Final = queue
        self._channels: Final = tuple(channels)
        self._audit: Final = audit
        self._every: Final = every
        self._wake: Final = asyncio.Event()
        self._under_way: Final[dict[tuple[str, str], asyncio.Task[bool]]] = {}
        # Over with, but the store could not be told: never to be sent again from here.
        self._over: Final[dict[tuple[str, str], tuple[Letter, str]]] = {}
        queue.queued = self._wake.set

    async def run(self) -> None:
        """Never returns; cancel the task to end it. A cut-off delivery is done again later."""
        try:
            while self._channels:
                self._wake.clear()
                try:
                    await self._begin()
                except StoreUnavailable as error:
                    log.warning("notices wait: %s", error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await self._wake.wait()
        finally:
            for task in self._under_way.values():
                task.cancel()

    async def work(self) -> int:
        """Deliver what is due and wait for it; how many were delivered.

        Raises:
            StoreUnavailable
        """
        delivered = 0
        while tasks := await self._begin():
            delivered += sum(await asyncio.gather(*tasks))
        return delivered

    async def _begin(self) -> list[asyncio.Task[bool]]:
        """Begin to deliver what is due, as far as there is room."""
        for place, (letter, why) in list(self._over.items()):
            if place not in self._under_way:
                await self._settle(letter, why)
        return [task for channel in self._channels for task in await self._begin_by(channel)]

    async def _begin_by(self, channel: Channel) -> list[asyncio.Task[bool]]:
        begun = []
        for listed in await self._queue.due(channel.name):
            busy = sum(1 for name, _ in self._under_way if name == channel.name)
            if busy >= _AT_ONCE:
                break
            if (channel.name, listed.id) in self._under_way:
                continue
            letter = await self._queue.take(listed)
            if letter is not None:
                begun.append(self._start(channel, letter))
        return begun

    def _start(self, channel: Channel, letter: Letter) -> asyncio.Task[bool]:
        place = (channel.name, letter.id)
        task = asyncio.get_running_loop().create_task(self._deliver(channel, letter))
        self._under_way[place] = task

        def ended(_: asyncio.Task[bool]) -> None:
            del self._under_way[place]
            self._wake.set()

        task.add_done_callback(ended)
        return task

    async def _deliver(self, channel: Channel, letter: Letter) -> bool:
        """Whether it was delivered. Raises nothing: what fails stays in the queue."""
        holding = asyncio.get_running_loop().create_task(self._hold(letter))
        try:
            async with asyncio.timeout(_LIMIT):
                await channel.deliver(letter)
        except Undeliverable as error:
            await self._over_with(letter, str(error))
            return False
        except Exception as error:
            await self._failed(letter, error)
            return False
        finally:
            holding.cancel()
        await self._over_with(letter, "")
        return True

    async def _hold(self, letter: Letter) -> None:
        """Nobody else begins with what is under way here."""
        while True:
            await asyncio.sleep(CLAIMED_FOR / 3)
            with contextlib.suppress(StoreUnavailable):
                await self._queue.hold(letter)

    async def _failed(self, letter: Letter, error: Exception) -> None:
        # Whatever a server or a library does, only words of our own are logged.
        why = str(error) if isinstance(error, Undelivered) else type(error).__name__
        unsure = isinstance(error, Undelivered) and error.unsure
        try:
            wait = await self._queue.failed(letter, unsure=unsure)
        except StoreUnavailable:  # its claim ends, and it is due as before
            log.warning("%s not delivered: %s", _name(letter), why)
            return
        if wait is None:
            await self._over_with(letter, f"{why}, perhaps delivered" if unsure else why)
        else:
            log.warning("%s not delivered, again in %d s: %s", _name(letter), wait, why)

    async def _over_with(self, letter: Letter, why: str) -> None:
        self._over[letter.channel, letter.id] = (letter, why)
        if why:
            log.warning("%s given up: %s", _name(letter), why)
        with contextlib.suppress(StoreUnavailable):
            await self._settle(letter, why)

    async def _settle(self, letter: Letter, why: str) -> None:
        """Take it off the queue; what was given up is recorded first.

        Raises:
            StoreUnavailable: it is tried again before anything else is delivered.
        """
        if why:
            detail = f"{letter.notice} by {letter.channel}: {why}"
            await self._audit.record(
                Event.NOTICE_GIVEN_UP, letter.user, letter.origin, detail=detail
            )
            self._over[letter.channel, letter.id] = (letter, "")
        await self._queue.done(letter)
        self._over.pop((letter.channel, letter.id), None)


def _name(letter: Letter) -> str:
    return f"notice {letter.id} ({letter.notice}) by {letter.channel}"
