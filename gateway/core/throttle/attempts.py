"""Counting tries in the store. How many there may be, and why, is said in `limits`."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, NamedTuple

from gateway.core.clock import Clock
from gateway.core.errors import Refusal
from gateway.core.http.facts import IPAddress
from gateway.core.store import Expect, Key, Put, Store, StoreUnavailable
from gateway.core.throttle.limits import (
    CHANGES,
    CODES_BY_NETWORK,
    CODES_OVER_ALL,
    NETWORK,
    PENDING,
    PERSON,
    UNGUESSABLE,
    UNKNOWN,
    Tier,
    network,
    throttled,
    wait,
)
from gateway.core.throttle.turns import NamedLocks
from gateway.core.values import dataclass


class Counter(NamedTuple):
    """One count that a try adds to, and what it may come to."""

    key: Key
    tiers: Sequence[Tier]


@dataclass(frozen=True, slots=True)
class Counts:
    """Some counters as they were at one moment, `at`: past tries and versions."""

    at: float
    counters: tuple[Counter, ...] = ()
    tries: tuple[list[float], ...] = ()
    versions: tuple[int, ...] = ()

    def check(self) -> None:
        """Raises Refusal `throttled` where one more try would be too many."""
        waits = (
            wait(t, one.tiers, self.at) for one, t in zip(self.counters, self.tries, strict=True)
        )
        seconds = max(waits, default=0.0)
        if seconds > 0:
            raise throttled(seconds)

    @property
    def last(self) -> bool:
        """Whether one more wrong answer, after the one about to be counted, is the last."""
        return any(
            sum(1 for one in tries if one > self.at - tier.window) == tier.limit - 2
            for counter, tries in zip(self.counters, self.tries, strict=True)
            for tier in counter.tiers
        )

    def held_after(self) -> float:
        """Seconds until another try may be made once this one is counted; 0 for at once."""
        found = zip(self.counters, self.tries, strict=True)
        return max((wait([*t, self.at], one.tiers, self.at) for one, t in found), default=0.0)

    def unchanged(self) -> list[Expect]:
        """That no other try was counted since: a right answer, which counts for none."""
        pairs = zip(self.counters, self.versions, strict=True)
        return [Expect(one.key, version) for one, version in pairs]

    def with_one_more(self, at: float) -> list[Put]:
        """A wrong answer."""
        found = zip(self.counters, self.tries, self.versions, strict=True)
        return [
            Put(one.key, _dump([*tries, at]), self.at + one.tiers[-1].window, version)
            for one, tries, version in found
        ]


class Throttle:
    """Counts tries in the store, each over the version it was judged by: a hundred at once are a
    hundred.

    A count is a list of moments, so it says how long to wait. Who tries a guessable factor reads
    its `counters`, judges, and then either counts a wrong answer over what was read, or has a
    right one take effect only where that still stands; else it is judged anew. So each try has
    its place behind those counted before it, over all gateways, and a right one costs no write.
    Passwords are counted in `passwords`.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turns = NamedLocks()

    async def begin(self, user_id: str, address: IPAddress | None) -> None:
        """Count a login that will wait for its second factor. Raises Refusal `throttled`."""
        await self._take(_pending(user_id, address), PENDING, self._clock())

    def counters(
        self, user_id: str, address: IPAddress | None, *, known: bool
    ) -> tuple[Counter, ...]:
        """Where a try at a guessable factor counts.

        Args:
            known: whether the person passed a factor from this network before.
        """
        place = network(address)
        # Without an address there are no networks to tell apart: the person's count decides.
        found = [Counter(_tries(user_id, _name(place)), NETWORK)] if place else []
        found.append(Counter(_from(place or UNKNOWN), CODES_BY_NETWORK))
        if not (known and place):
            found.append(Counter(_tries(user_id, "all"), PERSON))
        if not known:
            found.append(Counter(_from("all"), CODES_OVER_ALL))
        return tuple(found)

    def turn(self, counters: Sequence[Counter]) -> AbstractAsyncContextManager[object]:
        """One after another within this process, where a try counts."""
        return self._turns.of(counters[-1].key) if counters else nullcontext()

    async def read(self, counters: Sequence[Counter]) -> Counts:
        now = self._clock()
        if not counters:
            return Counts(now)
        records = await self._store.get_many([one.key for one in counters])
        tries = tuple(
            _recent(_load(record.value), now, one.tiers[-1].window) if record else []
            for one, record in zip(counters, records, strict=True)
        )
        versions = tuple(record.version if record else 0 for record in records)
        return Counts(now, tuple(counters), tries, versions)

    async def count(self, counts: Counts) -> None:
        """Count a wrong answer before it is told.

        Raises:
            Refusal: `throttled` where others were counted meanwhile and it is one too many.
        """
        at, taken = counts.at, list[Key]()
        for _ in range(_ROUNDS):
            done = len(await self._store.transact(counts.with_one_more(at)))
            taken += [one.key for one in counts.counters[:done]]
            if done == len(counts.counters):
                return
            counts = await self.read(counts.counters[done:])
            try:
                counts.check()
            except Refusal:
                for key in taken:
                    await self._change(key, lambda tries: _without(tries, at), _LONGEST)
                raise
        raise StoreUnavailable("tries are counted by too many at once")

    async def wasted(self, user_id: str) -> None:
        """Count a wrong answer of a kind that nobody guesses; a right one never comes here.

        Raises:
            Refusal: `throttled` beyond the limit.
        """
        await self._take(Key("wasted", user_id, ""), UNGUESSABLE, self._clock())

    async def change(self, user_id: str) -> None:
        """Count a change of a person's own account. Raises Refusal `throttled`."""
        await self._take(Key("changes", user_id, ""), CHANGES, self._clock())

    async def forget(self, user_id: str) -> int:
        """Forget the wrong codes of a person (`user unlock`); how many counts were dropped."""
        found = await self._store.items("tries", user_id)
        gone = [await self._store.delete(Key("tries", user_id, name)) for name, _ in found]
        return sum(gone)

    async def tries_of(self, ids: Sequence[str]) -> dict[str, int]:
        """Wrong codes in the last 30 days, from networks new to the person, by who had any."""
        found = await self._store.items_of("tries", ids)
        now = self._clock()
        return {
            id: len(_recent(_load(record.value), now, _LONGEST))
            for id, items in found.items()
            for name, record in items
            if name == "all"
        }

    # -- how -------------------------------------------------------------------------------

    async def _take(self, key: Key, tiers: Sequence[Tier], at: float) -> None:
        def work(tries: list[float]) -> list[float]:
            seconds = wait(tries, tiers, at)
            if seconds > 0:
                raise throttled(seconds)
            return [*tries, at]

        await self._change(key, work, tiers[-1].window)

    async def _change(
        self, key: Key, work: Callable[[list[float]], list[float]], life: float
    ) -> None:
        async with self._turns.of(key):
            for _ in range(_ROUNDS):
                record = await self._store.get(key)
                now = self._clock()
                before = _recent(_load(record.value), now, life) if record else []
                tries = work(before)
                if tries == before:
                    return
                version = record.version if record else 0
                put = self._store.put(key, _dump(tries), expires=now + life, if_version=version)
                if await put is not None:
                    return
        raise StoreUnavailable("tries are counted by too many at once")


def _without(tries: list[float], at: float) -> list[float]:
    left = list(tries)
    if at in left:
        left.remove(at)
    return left


def _recent(tries: list[float], now: float, life: float) -> list[float]:
    return sorted(at for at in tries if at > now - life)


def _dump(tries: list[float]) -> bytes:
    return json.dumps(tries, separators=(",", ":")).encode()


def _load(value: bytes) -> list[float]:
    return [float(at) for at in json.loads(value.decode())]


def _tries(user_id: str, name: str) -> Key:
    return Key("tries", user_id, name)


def _from(place: str) -> Key:
    return Key("codes", "", place)


def _pending(user_id: str, address: IPAddress | None) -> Key:
    return Key("waits", user_id, _name(network(address)))


def _name(place: str) -> str:
    return "from:" + base64.urlsafe_b64encode(hashlib.sha256(place.encode()).digest()[:15]).decode()


_ROUNDS: Final = 200
_LONGEST: Final = PERSON[-1].window
