"""The queue of notices: who may deliver what, and when it is tried again.

Lives in the store, so nothing queued is lost with a process, and every gateway on the store may
deliver. A delivery is claimed for a while; whoever dies with a claim leaves the notice to the
next one. So a notice arrives at least once, and twice only where a process died between the
delivery and its record; both arrivals carry the same id.

Knows the store and the clock; knows no way of delivery.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

from gateway.core.audit import Origin
from gateway.core.clock import Clock, Random
from gateway.core.notices import Notice
from gateway.core.store import Key, Record, Store

QUEUE: Final = "notice"
CLAIM: Final = "notice-claim"
GIVEN_UP_AFTER: Final = 3 * 86400.0
CLAIMED_FOR: Final = 120.0
_FIRST_WAIT: Final = 15.0
_LONGEST_WAIT: Final = 3600.0
_LONGEST_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice on its way over one channel.

    time: when it happened, seconds since the epoch. tries: deliveries that failed so far.
    due: not before this moment.
    """

    id: str
    channel: str
    notice: Notice
    user: str
    origin: Origin
    detail: str
    time: float
    tries: int = 0
    due: float = 0.0
    version: int = 0


class NoticeQueue:
    """Queues notices (`gateway.core.notices.Notifier`) and hands them out for delivery.

    Args:
        channels: names of the ways of delivery; a notice is queued once for each.
        queued: called after something was queued, to wake a courier of this process.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        *,
        channels: tuple[str, ...] = (),
        queued: Callable[[], None] | None = None,
    ) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._random: Final = random
        self.channels: Final = channels
        self.queued = queued

    async def notify(self, notice: Notice, user: str, origin: Origin, *, detail: str = "") -> None:
        """See `Notifier`. Raises StoreUnavailable."""
        if not self.channels:
            return
        now = self._clock()
        seen = Origin(origin.address[:_LONGEST_TEXT], origin.user_agent[:_LONGEST_TEXT])
        id = self._random(16).hex()
        letters = [
            Letter(id, channel, notice, user, seen, detail[:_LONGEST_TEXT], now, due=now)
            for channel in self.channels
        ]
        await asyncio.gather(*(self._put(letter, if_version=0) for letter in letters))
        if self.queued is not None:
            self.queued()

    async def due(self, channel: str) -> list[Letter]:
        """What waits for delivery now, the oldest first."""
        now = self._clock()
        found = [
            _read(name, channel, record) for name, record in await self._store.items(QUEUE, channel)
        ]
        waiting = [letter for letter in found if letter is not None and letter.due <= now]
        return sorted(waiting, key=lambda letter: letter.time)

    async def take(self, letter: Letter) -> Letter | None:
        """Claim a letter before its delivery; None when somebody else has it."""
        claim = Key(CLAIM, letter.channel, letter.id)
        if not await self._store.claim(claim, expires=self._clock() + CLAIMED_FOR):
            return None
        record = await self._store.get(Key(QUEUE, letter.channel, letter.id))
        fresh = None if record is None else _read(letter.id, letter.channel, record)
        if fresh is None:  # delivered between the listing and the claim
            return None
        if fresh.due > self._clock():  # put back meanwhile
            await self._store.delete(claim)
            return None
        return fresh

    async def done(self, letter: Letter) -> None:
        """It was delivered, or never will be. The claim stays, for those who listed it before."""
        await self._store.delete(Key(QUEUE, letter.channel, letter.id))

    async def failed(self, letter: Letter) -> float:
        """It was not delivered: put it back.

        Returns:
            Seconds until it is due again.
        """
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**letter.tries)
        later = replace(letter, tries=letter.tries + 1, due=self._clock() + wait)
        await self._put(later, if_version=letter.version)
        await self._store.delete(Key(CLAIM, letter.channel, letter.id))
        return wait

    async def _put(self, letter: Letter, *, if_version: int) -> None:
        fields = asdict(letter)
        for name in ("id", "channel", "version"):
            del fields[name]
        await self._store.put(
            Key(QUEUE, letter.channel, letter.id),
            json.dumps(fields).encode(),
            expires=letter.time + GIVEN_UP_AFTER,
            if_version=if_version,
        )


def _read(id: str, channel: str, record: Record) -> Letter | None:
    """A letter from the store; None for one of a later program, which may deliver it itself."""
    try:
        fields = json.loads(record.value)
        return Letter(
            id=id,
            channel=channel,
            notice=Notice(fields["notice"]),
            user=fields["user"],
            origin=Origin(**fields["origin"]),
            detail=fields["detail"],
            time=float(fields["time"]),
            tries=int(fields["tries"]),
            due=float(fields["due"]),
            version=record.version,
        )
    except (ValueError, KeyError, TypeError):
        return None
