"""The audit trail over a store: one chain for all gateways that share it.

Each entry carries a keyed hash over itself and the hash of the entry before, so none can be
changed, left out or moved without the key. A head record with a keyed hash of its own says how
far the chain had come, so its end cannot be cut off. What retention removes is told in the
chain itself.

Accepted risk: who can write to the store can put back an older state of all of it, head record
included. Against that, keep the head that `verify` prints somewhere else and compare.

Knows the store, the keys and the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.core.audit import entry as entries
from gateway.core.audit.entry import (
    HEAD,
    LONGEST,
    START,
    Entry,
    Head,
    HeadSeen,
    NotAuthentic,
    Trimmed,
    short,
)
from gateway.core.audit.events import OF_FILES, Beside, Event, Happened, Origin
from gateway.core.audit.rationing import RATIONS, Rations
from gateway.core.clock import Clock, timestamp
from gateway.core.counters import Counted, Counters
from gateway.core.crypto.keyring import KeyRing
from gateway.core.http.request_id import at_hand
from gateway.core.store import Append, Count, Key, Put, Store, StoreStep, StoreUnavailable

LOG: Final = "audit"
OF_USER: Final = "audit-of"
DAY: Final = 86400.0
SHOWN_FOR: Final = 90 * DAY

_TRIES: Final = 200
_PAGE: Final = 500
SHOWN: Final = 1000
"""A person's own entries that are kept for them; older ones are in the trail only."""
_LATELY: Final = 10_000
_KINDS: Final = frozenset({"totp", "webauthn", "recovery", "device"})
_OUTCOMES: Final = {
    Event.LOGIN: "passed",
    Event.STEP_UP: "passed",
    Event.FACTOR_REFUSED: "refused",
    Event.THROTTLED: "throttled",
}
_PRUNE_EVERY: Final = 50
_PRUNE_MOST: Final = 200


class _End(NamedTuple):
    """What the next entry follows, and the head as it was then."""

    number: int
    mac: str
    head: HeadSeen | None


class _Link(NamedTuple):
    """An entry (without its hash), how it is stored, and its hash."""

    entry: Entry
    raw: bytes
    mac: str


class Trail:
    """Records events (`gateway.core.audit.events.AuditSink`) and gives them back.

    Args:
        retention: seconds after which `tidy` removes an entry; None keeps them for ever.
        counters: where events are counted, those beyond their ration, too.
    """

    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        clock: Clock,
        *,
        retention: float | None = None,
        counters: Counters | None = None,
    ) -> None:
        self.store: Final = store
        self.ring: Final = ring
        self.head: Final = Head(store, ring)
        self._clock: Final = clock
        self._retention: Final = retention
        self._counters: Final = counters or Counters()
        self._rations: Final = Rations(store, clock)
        self._lock: Final = asyncio.Lock()  # one after another here saves lost races below

    async def record(
        self,
        event: Event,
        user: str,
        origin: Origin,
        *,
        factor: str = "",
        detail: str = "",
        project: str = "",
        also: Sequence[Beside] = (),
        first: Sequence[StoreStep] = (),
        then: Sequence[Put] = (),
        last: Sequence[StoreStep] = (),
    ) -> list[int] | None:
        """See `AuditSink`. What is recorded beside an entry is not rationed. Its request is the one
        that is being worked on."""
        for one in (Beside(event, factor), *also):
            self._count(one.event, one.factor)
        happened = Happened(
            *(self._clock(), event, user, origin, factor, detail, project), request=at_hand()
        )
        async with self._lock:
            return await self._recorded(happened, also, first, then, last)

    async def record_all(self, happened: Sequence[Happened]) -> None:
        """Append entries, in one step those that are not rationed.

        Raises:
            StoreUnavailable: how many of them are recorded, nobody knows (`missing`).
        """
        for one in happened:
            self._count(one.event, one.factor)
        free = [one for one in happened if one.event not in RATIONS]
        async with self._lock:
            if free:
                await self._append(free)
            for one in happened:
                if one.event in RATIONS:
                    await self._recorded(one)

    async def missing(self, happened: Sequence[Happened]) -> list[Happened]:
        """Those of some entries, which were to be recorded lately, that are not in the trail.

        Raises:
            StoreUnavailable
        """
        last = await self.store.last(LOG)
        after = 0 if last is None else max(0, last[0] - _LATELY)
        there = set()
        async for raw in self.lines(after=after):
            try:
                there.add(_identity(entries.parse(raw)))
            except NotAuthentic:
                continue
        return [one for one in happened if _identity(_cut(one)) not in there]

    def _count(self, event: Event, factor: str) -> None:
        self._counters.counted(Counted.EVENTS, event)
        outcome = _OUTCOMES.get(event)
        if outcome and factor:
            kind = factor.partition(" ")[0]
            self._counters.counted(Counted.FACTORS, kind if kind in _KINDS else "other", outcome)

    async def tidy(self) -> int:
        """Remove what is older than the retention, and say so in the chain.

        Returns:
            How many entries went. Done at most once a day, by one of the gateways.
        """
        now = self._clock()
        if self._retention is None:
            return 0
        if not await self.store.claim(Key("audit", "", "tidied"), expires=now + DAY):
            return 0
        old: Entry | None = None
        count = 0
        async for raw in self.lines(until=now - self._retention, whole=False):
            old = entries.parse(raw)
            count += 1
        if old is None:
            return 0
        days = self._retention / DAY
        said = f"{count} entries older than {days:g} days removed"
        trimmed = Trimmed(old.number, old.mac)
        told = Happened(now, Event.RETENTION, "", Origin(), detail=said)
        async with self._lock:
            await self._append([told], trimmed=trimmed)
        await self.store.trim(LOG, upto=old.number)
        return count

    async def of_user(self, user_id: str, since: float) -> list[Entry]:
        """A person's entries of the last 90 days, about the last `SHOWN` at most, newest first.

        They come from a copy kept beside the log for each person, so nothing else is read;
        what does not carry the right hash is left out.

        Args:
            since: seconds since the epoch.
        """
        found = []
        for _, record in await self.store.items(OF_USER, user_id):
            try:
                entry = entries.read(record.value, self.ring)
            except NotAuthentic:
                continue
            if entry.time >= since and entry.user == user_id:
                found.append(entry)
        return sorted(found, key=lambda entry: entry.number, reverse=True)

    async def lines(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        after: int = 0,
        whole: bool = True,
    ) -> AsyncIterator[bytes]:
        """Stored entries, oldest first, each one line of JSON without its line end.

        Args:
            since, until: seconds since the epoch; from `since` on, before `until`.
            after: only entries with a higher number.
            whole: go on behind an entry that is not before `until` (clocks differ); else stop.
        """
        while page := await self.store.read(LOG, after=after, limit=_PAGE):
            for number, raw in page:
                after = number
                try:
                    time = entries.parse(raw).time
                except NotAuthentic:
                    # Exported as it is; `verify` is what complains.
                    if since is None and until is None:
                        yield raw
                    continue
                if until is not None and time >= until:
                    if not whole:
                        return
                    continue
                if since is None or time >= since:
                    yield raw

    async def _recorded(
        self,
        happened: Happened,
        also: Sequence[Beside] = (),
        first: Sequence[StoreStep] = (),
        then: Sequence[Put] = (),
        last: Sequence[StoreStep] = (),
    ) -> list[int] | None:
        """See `record`. Under the lock."""
        one = happened
        instead, counts = await self._rations.spent(one.event, one.user, one.origin, one.detail)
        if instead is not None:
            one = replace(
                one, event=Event.NOT_RECORDED, factor="", detail=instead, project="", transfer=None
            )
        said = [] if instead == "" else [one]
        for beside in also:
            event, factor, (project, detail) = beside
            said.append(replace(one, event=event, factor=factor, detail=detail, project=project))
        if said:
            return await self._append(said, first, [*counts, *then], last)
        steps = [*first, *then, *last]
        done = await self.store.transact(steps) if steps else []
        return None if len(done) < len(first) else done[len(first) + len(then) :]

    async def _append(
        self,
        happened: Sequence[Happened],
        first: Sequence[StoreStep] = (),
        then: Sequence[Put | Count] = (),
        last: Sequence[StoreStep] = (),
        *,
        trimmed: Trimmed | None = None,
    ) -> list[int] | None:
        """Append entries, between everything that goes along (`record`). The head comes behind
        them: it may be behind the chain where a gateway dies in between, and never ahead. Under
        the lock."""
        for attempt in range(0 if self.head.unmoved() is None else -1, _TRIES):
            unmoved = self.head.unmoved() if attempt < 0 else None
            seen = unmoved or (None if attempt % 2 else await self.head.seen())
            end = _End(seen.number, seen.mac, seen) if seen else await self._last()
            links = self._linked(happened, end, trimmed)
            newest, _, mac = links[-1]
            before = [*self.head.expected(unmoved), *first]
            steps = [*before]
            for entry, raw, _ in links:
                steps += [Append(LOG, raw, after=entry.number - 1), *_copy(entry, raw)]
            steps += [*then, *self.head.moved(end.head, newest.number, mac)]
            done = await self.store.transact([*steps, *last])
            if len(done) < len(before):
                if unmoved and not done:
                    self.head.left(None)
                    continue
                return None
            # Another gateway may have been faster, and in a Cluster between two of them, too.
            appended = [step for step in steps[len(before) : len(done)] if isinstance(step, Append)]
            happened, first = happened[len(appended) :], ()
            if not happened:
                break
        else:
            raise StoreUnavailable("the audit log moves on faster than it can be written")
        if len(done) < len(steps):  # another gateway moved the head meanwhile
            self.head.left(None)
            await self.head.move(newest.number, mac)
        elif isinstance(steps[-1], Put) and steps[-1].key == HEAD:
            self.head.left(HeadSeen(newest.number, mac, done[len(steps) - 1]))
        copied = newest.user and newest.event not in OF_FILES
        if copied and any(one.entry.number % _PRUNE_EVERY == 0 for one in links):
            await self._prune(newest.user)
        return done[len(steps) :]

    def _linked(
        self, happened: Sequence[Happened], end: _End, trimmed: Trimmed | None
    ) -> list[_Link]:
        """The entries that follow an end."""
        found, number, mac = list[_Link](), end.number, end.mac
        for one in happened:
            number += 1
            entry = _entry(_cut(one), number, mac, trimmed)
            raw, mac = entries.write(entry, self.ring)
            found.append(_Link(entry, raw, mac))
        return found

    async def _last(self) -> _End:
        """The end of the log itself, where the head is behind it or cannot be relied on."""
        head = await self.head.seen()  # first: it never is ahead of the entries then
        last = await self.store.last(LOG)
        if last is None:
            await self.head.begin()
            head = await self.head.seen()
            return _End(0, head.mac if head else START, head)
        if head is not None and head.number >= last[0]:
            # Where the end was cut off, what follows names the entry that is gone, so that
            # nothing written later closes the gap.
            return _End(last[0], head.mac, head)
        try:
            return _End(last[0], entries.parse(last[1]).mac, head)
        except NotAuthentic:
            # Somebody wrote here. Recording goes on, and `verify` names the place.
            return _End(last[0], START, head)

    async def _prune(self, user_id: str) -> None:
        """Keep a person's page short: who writes much comes by here often."""
        names = [name for name, _ in await self.store.items(OF_USER, user_id)]
        for name in names[:-SHOWN][:_PRUNE_MOST]:
            await self.store.delete(Key(OF_USER, user_id, name))


def _copy(entry: Entry, raw: bytes) -> tuple[Put, ...]:
    """The entry once more beside those of the same person."""
    if not entry.user or entry.event in OF_FILES:
        return ()
    key = Key(OF_USER, entry.user, f"{entry.number:012d}")
    return (Put(key, raw, expires=entry.time + SHOWN_FOR),)


def _cut(happened: Happened) -> Happened:
    """What others wrote is cut."""
    one, origin = happened, happened.origin
    about = (one.user, one.factor, one.detail, one.project, one.request)
    where = (origin.address, origin.user_agent, origin.method, origin.path, origin.rule)
    if max(map(len, about + where)) <= LONGEST:
        return happened
    user, factor, detail, project, request = map(short, about)
    origin = Origin(*map(short, where))
    return replace(
        one,
        user=user, origin=origin, factor=factor, detail=detail, project=project, request=request,
    )  # fmt: skip


def _identity(entry: Entry | Happened) -> tuple[object, ...]:
    """What an entry tells, wherever it stands; no two are alike to the millisecond, by and large,
    and where they are one of them may stand for both."""
    at = timestamp(entry.time)
    about = entry.event, entry.user, entry.origin, entry.factor, entry.detail, entry.project
    return (at, *about, entry.transfer, entry.request)


def _entry(one: Happened, number: int, prev: str, trimmed: Trimmed | None) -> Entry:
    """Its place in the chain given, and its hash not yet."""
    return Entry(
        number=number,
        time=one.time,
        event=str(one.event),
        user=one.user,
        origin=one.origin,
        factor=one.factor,
        detail=one.detail,
        prev=prev,
        mac="",
        trimmed=trimmed,
        project=one.project,
        transfer=one.transfer,
        request=one.request,
    )


async def length(store: Store) -> int:
    """How many entries the trail has."""
    last = await store.last(LOG)
    first = await store.read(LOG, limit=1) if last else ()
    return last[0] - first[0][0] + 1 if last and first else 0
