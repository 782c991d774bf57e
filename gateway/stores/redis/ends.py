"""Who has records that end soon, by time: a sorted set for each kind that is swept.

A record and its entry here may lie on different nodes of a Cluster, where no step writes both.
The entry holds an end that is at most the true one: it is only lowered, before the record is
written, and `page` puts right what has come too early. What is missing nevertheless, because an
earlier version wrote the record, is found twice a day among the names of all keys.
"""

from __future__ import annotations

from typing import Final, cast

from gateway.core.clock import Clock
from gateway.stores.redis import scripts
from gateway.stores.redis.client import RedisClient
from gateway.stores.redis.places import ends_of, every_index, owner_in, shared

# In seconds; well below the day for which the records of sessions and devices outlive their end.
_COMPLETE_EVERY: Final = 12 * 3600


class Ends:
    def __init__(self, client: RedisClient, clock: Clock) -> None:
        self._client: Final = client
        self._clock: Final = clock

    async def note(self, kind: str, owner: str, ends: float) -> None:
        """To be done before a record with this end is written, where its script does not."""
        await self._client.send("ZADD", ends_of(kind), "LT", repr(float(ends)), owner)

    async def page(
        self, kind: str, *, before: float, after: str, limit: int
    ) -> tuple[list[str], str]:
        """See `gateway.core.store.Store.ending`."""
        if await self._client.send("GET", f"{ends_of(kind)}:completed") is None:
            await self._complete(kind)
        found = await self._after(kind, after, before, limit)
        if not found:
            return [], ""
        now = f"({self._clock()!r}"
        soonest = await self._client.send_many(
            ("ZRANGEBYSCORE", shared(kind, owner, "i"), now, "+inf", "WITHSCORES", "LIMIT", 0, 1)
            for owner, _ in found
        )
        due, moves = [], list[str | bytes]()
        for (owner, known), rows in zip(found, soonest, strict=True):
            ends = cast("list[bytes]", rows)[1] if rows else b"-"
            if ends != b"-" and float(ends) <= float(known):
                due.append(owner)
            else:  # it comes again, in its place, if that is on a page to come
                moves += (owner, known, ends)
        if moves:
            await self._client.run(scripts.MOVE_ENDS, [ends_of(kind)], moves)
        owner, known = found[-1]
        return due, f"{known.decode()} {owner}"

    async def _after(
        self, kind: str, after: str, before: float, limit: int
    ) -> list[tuple[str, bytes]]:
        """Owners with the ends that the index has of them, from a mark on."""
        start, _, last = after.partition(" ")
        offset = 0
        while True:
            words = (start or "-inf", repr(before), "WITHSCORES", "LIMIT", offset, limit)
            raw = await self._client.send("ZRANGEBYSCORE", ends_of(kind), *words)
            flat = cast("list[bytes]", raw)
            rows = [
                (owner.decode(), ends) for owner, ends in zip(flat[::2], flat[1::2], strict=True)
            ]
            later = [
                (owner, ends)
                for owner, ends in rows
                if not start or (float(ends), owner) > (float(start), last)
            ]
            if later or len(rows) < limit:
                return later
            offset += limit

    async def _complete(self, kind: str) -> None:
        """Put owners into the index of ends who are not there: those of an earlier version, or
        of a crash. Their end is looked up when the index is read next."""
        async for found in self._client.scan(every_index(kind)):
            if found:
                pairs = [word for index in found for word in ("0", owner_in(index))]
                await self._client.send("ZADD", ends_of(kind), "NX", *pairs)
        await self._client.send("SET", f"{ends_of(kind)}:completed", "1", "EX", _COMPLETE_EVERY)
