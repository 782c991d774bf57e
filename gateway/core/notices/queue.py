"""The queue of notices: who may deliver what, and when it is tried again.

Lives in the store, so nothing queued is lost with a process, and every gateway on the store may
deliver. A delivery is claimed for a while; whoever dies with a claim leaves the notice to the
next one. So a notice arrives at least once, and twice only where a process died between the
delivery and its record; both arrivals carry the same id.

How many notices of a kind a person gets is limited here, whoever causes them. The last one says
that it is the last, so nothing is kept quiet by flooding.

Knows the store and the clock; knows no way of delivery.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Final

from gateway.core.audit.events import Origin
from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.notices.events import REPORTS, Notice
from gateway.core.store import Key, Record, Store
from gateway.core.throttle.limits import Tier

QUEUE: Final = "notice"
CLAIM: Final = "notice-claim"
GIVEN_UP_AFTER: Final = 3 * 86400.0
CLAIMED_FOR: Final = 120.0
UNSURE_TRIES: Final = 3
"""So often a notice is sent again that may have arrived."""

DAY: Final = 86400
FEW: Final = (Tier(1, 300), Tier(4, DAY))
MOST: Final = (Tier(20, DAY),)
LIMITS: Final = MappingProxyType({Notice.WRONG_FACTOR: FEW, Notice.WRONG_STEP_UP: FEW})
"""Notices of one kind to one person: these kinds take no second factor to cause; else `MOST`."""

_LINGER: Final = 86400.0
_FIRST_WAIT: Final = 15.0
_LONGEST_WAIT: Final = 3600.0
_LONGEST_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice on its way over one channel.

    time: when it happened, seconds since the epoch. tries: deliveries that failed so far.
    unsure: those among them that may have arrived. due: not before this moment.
    address: where mail goes, "" for the address the person has by then.
    last: there were so many that no more of the kind follow today.
    link: see `Notifier.notify`; sealed in the store.
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
    unsure: int = 0
    address: str = ""
    last: bool = False
    link: str = field(default="", repr=False)


class NoticeQueue:
    """Queues notices (`gateway.core.notices.events.Notifier`) and hands them out for delivery.

    Args:
        channels: names of the ways of delivery; a notice is queued once for each.
        queued: called after something was queued, to wake a courier of this process.
        ring: seals links; without one a notice goes without its link.
        reports_to: the mail address of an administrator, who gets what people report besides;
            "" for none.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        *,
        channels: tuple[str, ...] = (),
        queued: Callable[[], None] | None = None,
        ring: KeyRing | None = None,
        reports_to: str = "",
    ) -> None:
        self._reports_to: Final = reports_to
        self._store: Final = store
        self._clock: Final = clock
        self._random: Final = random
        self.channels: Final = channels
        self.queued = queued
        self._ring: Final = ring

    async def notify(
        self,
        notice: Notice,
        user: str,
        origin: Origin,
        *,
        detail: str = "",
        address: str = "",
        link: str = "",
    ) -> None:
        """See `Notifier`. Raises StoreUnavailable."""
        if not self.channels:
            return
        left = await self._left(notice, user)
        if left is None:
            return
        now = self._clock()
        seen = Origin(origin.address[:_LONGEST_TEXT], origin.user_agent[:_LONGEST_TEXT])
        letter = Letter(
            id=self._random(16).hex(),
            channel="",
            notice=notice,
            user=user,
            origin=seen,
            detail=detail[:_LONGEST_TEXT],
            time=now,
            due=now,
            address=address,
            last=left == 0,
            link=link,
        )
        letters = [replace(letter, channel=channel) for channel in self.channels]
        if notice in REPORTS and self._reports_to and "mail" in self.channels:
            id, to = self._random(16).hex(), self._reports_to
            letters.append(replace(letter, channel="mail", id=id, address=to))
        await asyncio.gather(*(self._put(letter, if_version=0) for letter in letters))
        if self.queued is not None:
            self.queued()

    async def _left(self, notice: Notice, user: str) -> int | None:
        """How many more of the kind may follow this one today; None where it is one too many."""
        left, tiers = 0, LIMITS.get(notice, MOST)
        keys = [Key("told", user, f"{notice}/{tier.window}") for tier in tiers]
        for key, tier in zip(keys, tiers, strict=True):
            # Read first: what is left out must not keep the next one away.
            if await self._store.count(key, window=tier.window, add=0) >= tier.limit:
                return None
        for key, tier in zip(keys, tiers, strict=True):
            left = tier.limit - await self._store.count(key, window=tier.window)
            if left < 0:  # several at once
                return None
        return left

    async def due(self, channel: str) -> list[Letter]:
        """What waits for delivery now, the oldest first."""
        now = self._clock()
        found = [
            self._read(name, channel, record)
            for name, record in await self._store.items(QUEUE, channel)
        ]
        waiting = [letter for letter in found if letter is not None and letter.due <= now]
        return sorted(waiting, key=lambda letter: letter.time)

    async def waiting(self) -> int:
        """How many wait, due or not; those beyond a page of the store are not counted."""
        names = [await self._store.names(QUEUE, channel) for channel in self.channels]
        return sum(map(len, names))

    async def take(self, letter: Letter) -> Letter | None:
        """Claim a letter before its delivery; None when somebody else has it."""
        claim = Key(CLAIM, letter.channel, letter.id)
        if not await self._store.claim(claim, expires=self._clock() + CLAIMED_FOR):
            return None
        record = await self._store.get(Key(QUEUE, letter.channel, letter.id))
        fresh = None if record is None else self._read(letter.id, letter.channel, record)
        if fresh is None:  # delivered between the listing and the claim
            return None
        if fresh.due > self._clock():  # put back meanwhile
            await self._store.delete(claim)
            return None
        return fresh

    async def hold(self, letter: Letter) -> None:
        """Keep the claim of a delivery that takes its time."""
        claim = Key(CLAIM, letter.channel, letter.id)
        await self._store.put(claim, b"", expires=self._clock() + CLAIMED_FOR)

    async def done(self, letter: Letter) -> None:
        """It was delivered, or never will be. The claim stays, for those who listed it before."""
        await self._store.delete(Key(QUEUE, letter.channel, letter.id))

    async def failed(self, letter: Letter, *, unsure: bool = False) -> float | None:
        """It was not delivered, or nobody knows: put it back.

        Returns:
            Seconds until it is due again; None where it was tried for long enough, and stays
            claimed until it is `done`.
        """
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**letter.tries)
        later = replace(
            letter,
            tries=letter.tries + 1,
            unsure=letter.unsure + unsure,
            due=self._clock() + wait,
        )
        if later.unsure >= UNSURE_TRIES or later.due >= letter.time + GIVEN_UP_AFTER:
            return None
        await self._put(later, if_version=letter.version)
        await self._store.delete(Key(CLAIM, letter.channel, letter.id))
        return wait

    async def _put(self, letter: Letter, *, if_version: int) -> None:
        fields = asdict(letter)
        for name in ("id", "channel", "version", "link"):
            del fields[name]
        if letter.link and self._ring is not None:
            sealed = self._ring.seal(QUEUE, letter.id, letter.link.encode())
            fields["link"] = b64encode(sealed).decode()
        await self._store.put(
            Key(QUEUE, letter.channel, letter.id),
            json.dumps(fields).encode(),
            expires=letter.time + GIVEN_UP_AFTER + _LINGER,
            if_version=if_version,
        )

    def _read(self, id: str, channel: str, record: Record) -> Letter | None:
        """A letter from the store; its link is left out where none of the keys opens it."""
        letter = _read(id, channel, record)
        sealed = json.loads(record.value).get("link", "") if letter is not None else ""
        if letter is None or not sealed or self._ring is None:
            return letter
        try:
            link = self._ring.open(QUEUE, id, b64decode(sealed)).decode()
        except SealBroken:
            return letter
        return replace(letter, link=link)


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
            unsure=int(fields.get("unsure", 0)),
            address=str(fields.get("address", "")),
            last=bool(fields.get("last", False)),
        )
    except (ValueError, KeyError, TypeError):
        return None
