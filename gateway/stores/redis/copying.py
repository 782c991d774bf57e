"""Rows of a Redis store, for moves: reads the names of all keys, so not for a request's way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import cast

from gateway.core.clock import Clock
from gateway.core.copying import CountRow, EntryRow, LogRow, RecordRow, Row
from gateway.core.store import PAGE, Key, Store
from gateway.stores.redis.client import RedisClient
from gateway.stores.redis.places import EVERY_KEY, log_of, place_of, read_place, shared


class Rows:
    def __init__(self, store: Store, client: RedisClient, clock: Clock) -> None:
        self._store = store
        self._client = client
        self._clock = clock

    async def all(self) -> AsyncIterator[Sequence[Row]]:
        """See `gateway.core.copying.Copyable.rows`."""
        seen = set[bytes]()
        logs = []
        async for places in self._client.scan(EVERY_KEY):
            for place in places:
                if place in seen:
                    continue
                found = read_place(place)
                if found is None:
                    continue
                seen.add(place)
                kind, owner, part, name = found
                if part == "log":
                    logs.append(name)
                elif part == "i" and (records := await self._records(kind, owner)):
                    yield records
                elif part == "c" and (counts := await self._counts(Key(kind, owner, name))):
                    yield counts
        for log in logs:
            async for page in self._log(log):
                yield page

    async def _records(self, kind: str, owner: str) -> list[RecordRow]:
        """Those of one owner, in pages unless some of them end."""
        found, after = [], None
        ends = dict(await self._ends(kind, owner))
        while names := await self._store.names(kind, owner, after=after):
            after = names[-1]
            keys = [Key(kind, owner, name) for name in names]
            for key, record in zip(keys, await self._store.get_many(keys), strict=True):
                if record is not None:
                    found.append(RecordRow(key, record.value, ends.get(key.name)))
            if len(names) < PAGE:
                break
        return found

    async def _ends(self, kind: str, owner: str) -> list[tuple[str, float]]:
        """The names that end, with their ends."""
        words = (shared(kind, owner, "i"), "-inf", "(inf", "WITHSCORES")
        flat = cast("list[bytes]", await self._client.send("ZRANGEBYSCORE", *words))
        return [
            (name.decode(), float(ends)) for name, ends in zip(flat[::2], flat[1::2], strict=True)
        ]

    async def _counts(self, key: Key) -> list[CountRow]:
        place = place_of(key, "c")
        left, flat = await self._client.send_many([("PTTL", place), ("HGETALL", place)])
        expires = self._clock() + cast("int", left) / 1000
        buckets = cast("dict[bytes, bytes]", flat)
        return [
            CountRow(key, float(until), int(events), expires) for until, events in buckets.items()
        ]

    async def _log(self, log: str) -> AsyncIterator[Sequence[Row]]:
        page = await self._store.read(log, limit=PAGE)
        info = cast("dict[str, object]", await self._client.send("XINFO STREAM", log_of(log)))
        last = int(_text(info["last-generated-id"]).partition("-")[0])
        yield [LogRow(log, page[0][0] - 1 if page else last)]
        while page:
            yield [EntryRow(log, number, entry) for number, entry in page]
            page = await self._store.read(log, after=page[-1][0], limit=PAGE)

    async def add_counts(self, rows: Sequence[CountRow]) -> None:
        for row in rows:
            place = place_of(row.key, "c")
            left = max(1, int((row.expires - self._clock()) * 1000))
            await self._client.send("HSET", place, repr(row.until), row.events)
            await self._client.send("PEXPIRE", place, left)

    async def begin_log(self, log: str, after: int) -> None:
        if after:
            place, number = log_of(log), f"{after}-0"
            await self._client.send("XADD", place, number, "e", "")
            await self._client.send("XDEL", place, number)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
