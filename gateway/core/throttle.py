"""Counting tries in the store. How many there may be, and why, stands in `gateway.core.tries`."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.core.clock import Clock
from gateway.core.errors import Refusal
from gateway.core.facts import IPAddress
from gateway.core.store import Key, Store, StoreUnavailable
from gateway.core.tries import (
    CHANGES,
    CODES_BY_NETWORK,
    CODES_OVER_ALL,
    NETWORK,
    PASSWORDS_BY_NETWORK,
    PENDING,
    PERSON,
    UNGUESSABLE,
    UNKNOWN,
    Tier,
    network,
    throttled,
    wait,
)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A try that was counted before it was judged. Give it back when it was right."""

    user_id: str
    at: float
    names: tuple[str, ...]


class Throttle:
    """Counts tries in the store, before they are judged: a hundred at once are a hundred."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    # -- passwords -------------------------------------------------------------------------

    async def admit(self, address: IPAddress | None) -> None:
        """Raises Refusal `throttled` where a network has sent too many wrong passwords."""
        await self._look("password:" + (network(address) or UNKNOWN), PASSWORDS_BY_NETWORK)

    async def refused(self, address: IPAddress | None) -> None:
        await self._add("password:" + (network(address) or UNKNOWN), PASSWORDS_BY_NETWORK)

    async def begin(self, user_id: str, address: IPAddress | None) -> None:
        """Count a login that will wait for its second factor. Raises Refusal `throttled`."""
        name = f"pending:{user_id}/{_name(network(address))}"
        await self._look(name, PENDING)
        await self._add(name, PENDING)

    # -- codes -----------------------------------------------------------------------------

    async def reserve(self, user_id: str, address: IPAddress | None, *, known: bool) -> Ticket:
        """Count a try at a guessable factor.

        Args:
            known: whether the person passed a factor from this network before.

        Raises:
            Refusal: `throttled`.
        """
        place = network(address)
        await self._look("code:" + (place or UNKNOWN), CODES_BY_NETWORK)
        if not known:
            await self._look("code", CODES_OVER_ALL)
        at = self._clock()
        names: tuple[str, ...] = ()
        # Without an address there are no networks to tell apart: the person's count decides.
        plan = [(_name(place), NETWORK)] if place else []
        plan += [] if known and place else [("all", PERSON)]
        for name, tiers in plan:
            try:
                await self._take(user_id, name, tiers, at)
            except Refusal:
                await self.release(Ticket(user_id, at, names))
                raise
            names = (*names, name)
        return Ticket(user_id, at, names)

    async def release(self, ticket: Ticket) -> None:
        """The answer was right: it was no guess."""
        for name in ticket.names:
            await self._change(ticket.user_id, name, lambda tries: _without(tries, ticket.at))

    async def wrong(self, address: IPAddress | None) -> None:
        """The answer was wrong: count it for its network and over all."""
        await self._add("code:" + (network(address) or UNKNOWN), CODES_BY_NETWORK)
        await self._add("code", CODES_OVER_ALL)

    async def wasted(self, user_id: str) -> None:
        """Count a wrong answer of a kind that nobody guesses; a right one never comes here.

        Raises:
            Refusal: `throttled` beyond the limit.
        """
        await self._spend("wasted:" + user_id, UNGUESSABLE)

    async def change(self, user_id: str) -> None:
        """Count a change of a person's own account. Raises Refusal `throttled`."""
        await self._spend("change:" + user_id, CHANGES)

    async def forget(self, user_id: str) -> int:
        """Forget the wrong codes of a person (`user unlock`); how many counts were dropped."""
        found = await self._store.items("tries", user_id)
        gone = [await self._store.delete(Key("tries", user_id, name)) for name, _ in found]
        return sum(gone)

    async def tries(self, user_id: str) -> int:
        """Wrong codes of a person in the last 30 days from networks new to that person."""
        record = await self._store.get(Key("tries", user_id, "all"))
        return len(_recent(_load(record.value), self._clock())) if record else 0

    # -- how -------------------------------------------------------------------------------

    async def _look(self, name: str, tiers: Sequence[Tier]) -> None:
        for tier in tiers:
            seen = await self._store.count(_counter(name, tier), window=tier.window, add=0)
            if seen >= tier.limit:
                raise throttled(tier.window / tier.limit)

    async def _add(self, name: str, tiers: Sequence[Tier]) -> None:
        for tier in tiers:
            await self._store.count(_counter(name, tier), window=tier.window)

    async def _spend(self, name: str, tiers: Sequence[Tier]) -> None:
        await self._look(name, tiers)
        await self._add(name, tiers)

    async def _take(self, user_id: str, name: str, tiers: Sequence[Tier], at: float) -> None:
        def work(tries: list[float]) -> list[float]:
            seconds = wait(tries, tiers, at)
            if seconds > 0:
                raise throttled(seconds)
            return [*tries, at]

        await self._change(user_id, name, work)

    async def _change(
        self, user_id: str, name: str, work: Callable[[list[float]], list[float]]
    ) -> None:
        key = Key("tries", user_id, name)
        for _ in range(200):
            record = await self._store.get(key)
            tries = _recent(_load(record.value), self._clock()) if record else []
            value = json.dumps(work(tries)).encode()
            expires = self._clock() + PERSON[-1].window
            version = record.version if record else 0
            if await self._store.put(key, value, expires=expires, if_version=version) is not None:
                return
        raise StoreUnavailable("tries are counted by too many at once")


def _without(tries: list[float], at: float) -> list[float]:
    left = list(tries)
    if at in left:
        left.remove(at)
    return left


def _recent(tries: list[float], now: float) -> list[float]:
    return sorted(at for at in tries if at > now - PERSON[-1].window)


def _load(value: bytes) -> list[float]:
    return [float(at) for at in json.loads(value)]


def _name(place: str) -> str:
    return "from:" + base64.urlsafe_b64encode(hashlib.sha256(place.encode()).digest()[:15]).decode()


def _counter(name: str, tier: Tier) -> Key:
    return Key("throttle", "", f"{name}/{tier.window}")
