"""Counting tries in the store. How many there may be, and why, is said in `limits`."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.core.clock import Clock
from gateway.core.errors import Refusal
from gateway.core.http.facts import IPAddress
from gateway.core.store import Key, Store, StoreUnavailable
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


@dataclass(frozen=True, slots=True)
class Ticket:
    """A try that was counted before it was judged. Give it back when it was right."""

    at: float
    keys: tuple[Key, ...]


class Throttle:
    """Counts tries in the store, before they are judged: a hundred at once are a hundred.

    Each count is a list of moments, written over the version it was read in, so it is exact over
    all gateways and says how long to wait. Passwords are counted in `passwords`.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turns = NamedLocks()

    async def begin(self, user_id: str, address: IPAddress | None) -> None:
        """Count a login that will wait for its second factor. Raises Refusal `throttled`."""
        await self._take(_pending(user_id, address), PENDING, self._clock())

    async def reserve(self, user_id: str, address: IPAddress | None, *, known: bool) -> Ticket:
        """Count a try at a guessable factor.

        Args:
            known: whether the person passed a factor from this network before.

        Raises:
            Refusal: `throttled`.
        """
        place = network(address)
        at = self._clock()
        # Without an address there are no networks to tell apart: the person's count decides.
        plan: list[tuple[Key, Sequence[Tier]]] = []
        plan += [(_tries(user_id, _name(place)), NETWORK)] if place else []
        plan += [(_from(place or UNKNOWN), CODES_BY_NETWORK)]
        if not (known and place):
            plan += [(_tries(user_id, "all"), PERSON)]
        if not known:
            plan += [(_from("all"), CODES_OVER_ALL)]
        taken: tuple[Key, ...] = ()
        for key, tiers in plan:
            try:
                await self._take(key, tiers, at)
            except Refusal:
                await self.release(Ticket(at, taken))
                raise
            taken = (*taken, key)
        return Ticket(at, taken)

    async def release(self, ticket: Ticket) -> None:
        """The answer was right: it was no guess."""
        for key in ticket.keys:
            await self._change(key, lambda tries: _without(tries, ticket.at), _LONGEST)

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
            for _ in range(200):
                record = await self._store.get(key)
                now = self._clock()
                before = _recent(_load(record.value), now, life) if record else []
                tries = work(before)
                if tries == before:
                    return
                value = json.dumps(tries, separators=(",", ":")).encode()
                version = record.version if record else 0
                put = self._store.put(key, value, expires=now + life, if_version=version)
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


def _load(value: bytes) -> list[float]:
    return [float(at) for at in json.loads(value)]


def _tries(user_id: str, name: str) -> Key:
    return Key("tries", user_id, name)


def _from(place: str) -> Key:
    return Key("codes", "", place)


def _pending(user_id: str, address: IPAddress | None) -> Key:
    return Key("waits", user_id, _name(network(address)))


def _name(place: str) -> str:
    return "from:" + base64.urlsafe_b64encode(hashlib.sha256(place.encode()).digest()[:15]).decode()


_LONGEST: Final = PERSON[-1].window
