"""The store in Redis, for several gateways behind a load balancer.

Knows keys and stored forms; connections are in `client`, Lua in `scripts`.
Needs Redis 6.2 (XTRIM MINID) or a server that speaks like it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, cast

from gateway.core.clock import Clock
from gateway.core.copying import CountRow, Row
from gateway.core.store import (
    PAGE,
    Append,
    Count,
    Delete,
    Key,
    Put,
    Record,
    StoreStep,
    StoreUnavailable,
)
from gateway.stores.address import other_layout, read_redis
from gateway.stores.redis import scripts
from gateway.stores.redis.calls import ScriptCall, call_of, ends_in
from gateway.stores.redis.client import RedisClient
from gateway.stores.redis.copying import Rows
from gateway.stores.redis.ends import Ends
from gateway.stores.redis.places import log_of, place_of, shared

_MARK: Final = "ig:store"
_LAYOUT: Final = "ig:layout"
LAYOUT: Final = 1
"""The number of how records lie in Redis; the next one needs a program that moves them."""

PATIENCE: Final = 3.0
"""Seconds after which a call fails."""


def open_redis(url: str, clock: Clock) -> RedisStore:
    return RedisStore(RedisClient(read_redis(url), patience=PATIENCE), clock)


class RedisStore:
    """`gateway.core.store.Store` over a Redis, a Sentinel group or a Cluster.

    A mark in it tells this store from every other: a Redis that was emptied under a running
    gateway is an outage, not a store in which nobody has a second factor.
    """

    def __init__(self, client: RedisClient, clock: Clock) -> None:
        self._client: Final = client
        self._clock: Final = clock
        self._ends: Final = Ends(client, clock)
        self._rows: Final = Rows(self, client, clock)
        self._mark: object = None

    async def get(self, key: Key) -> Record | None:
        if self._mark is None:
            self._mark = await self._marked()
        record = self._record(await self._client.send("GET", place_of(key, "r")))
        if record is None:
            self._check_mark(await self._client.send("GET", _MARK))
        return record

    async def get_many(self, keys: Sequence[Key]) -> list[Record | None]:
        if self._mark is None:
            self._mark = await self._marked()
        *raws, mark = await self._raws([*(place_of(key, "r") for key in keys), _MARK])
        self._check_mark(mark)
        return list(map(self._record, raws))

    async def _raws(self, places: Sequence[str]) -> Sequence[object]:
        if self._client.cluster:
            return await self._client.send_many(("GET", place) for place in places)
        return cast("list[object]", await self._client.send("MGET", *places))

    async def transact(self, steps: Sequence[StoreStep]) -> list[int]:
        done: list[int] = []
        for calls in self._together([await self._call(step) for step in steps]):
            keys, words = [], []
            for call in calls:
                keys += call.keys
                words += [call.name, str(len(call.keys)), str(len(call.words)), *call.words]
            gave = cast("list[bytes | int]", await self._client.run(scripts.TRANSACT, keys, words))
            done += map(int, gave)
            if len(gave) < len(calls):
                break
        return done

    def _together(self, calls: list[ScriptCall]) -> Iterator[list[ScriptCall]]:
        """Neighbours that one script can carry out."""
        if self._client.cluster:
            yield from (list(same) for _, same in groupby(calls, key=lambda call: call.tag))
        elif calls:
            yield calls

    def _check_mark(self, found: object) -> None:
        if found != self._mark:
            raise StoreUnavailable(
                "Redis: it was emptied or exchanged; put its data back, or restart to begin anew"
            )

    async def _marked(self) -> object:
        """The mark, made by whoever comes first.

        Raises:
            StoreUnavailable: another program's layout.
        """
        await self._client.send("SET", _LAYOUT, LAYOUT, "NX")
        found = await self._client.send("GET", _LAYOUT)
        if found != b"%d" % LAYOUT:
            raise StoreUnavailable(f"Redis: {other_layout(_text(found), LAYOUT)}")
        mark = await self._client.send("GET", _MARK)
        if mark is None:
            await self._client.send("SET", _MARK, os.urandom(16).hex(), "NX")
            mark = await self._client.send("GET", _MARK)
        return mark

    async def put(
        self,
        key: Key,
        value: bytes,
        *,
        expires: float | None = None,
        if_version: int | None = None,
        durable: bool = True,  # the server's own persistence decides
    ) -> int | None:
        call = await self._call(Put(key, value, expires, if_version))
        done = await self._client.run(scripts.PUT, call.keys, call.words)
        return None if done is None else int(cast("bytes", done))

    async def delete(self, key: Key, *, if_version: int | None = None) -> bool:
        call = await self._call(Delete(key, if_version))
        return await self._client.run(scripts.DELETE, call.keys, call.words) == 1

    async def claim(self, key: Key, *, expires: float) -> bool:
        return await self.put(key, b"", expires=expires, if_version=0) is not None

    async def items(self, kind: str, owner: str) -> list[tuple[str, Record]]:
        found = await self._client.send("ZRANGE", shared(kind, owner, "i"), 0, -1)
        names = sorted(name.decode() for name in cast("list[bytes]", found))
        if not names:
            return []
        places = [place_of(Key(kind, owner, name), "r") for name in names]
        raws = cast("list[object]", await self._client.send("MGET", *places))
        records = [(name, self._record(raw)) for name, raw in zip(names, raws, strict=True)]
        return [(name, record) for name, record in records if record is not None]

    async def items_of(
        self, kind: str, owners: Sequence[str]
    ) -> dict[str, list[tuple[str, Record]]]:
        keys = await self._keys_of(kind, owners) if owners else []
        raws = await self._raws([place_of(key, "r") for key in keys]) if keys else []
        live: dict[str, list[tuple[str, Record]]] = {}
        for key, raw in zip(keys, raws, strict=True):
            record = self._record(raw)
            if record is not None:
                live.setdefault(key.owner, []).append((key.name, record))
        return live

    async def _keys_of(self, kind: str, owners: Sequence[str]) -> list[Key]:
        indexes = [shared(kind, owner, "i") for owner in owners]
        if self._client.cluster:
            found = await self._client.send_many(("ZRANGE", index, 0, -1) for index in indexes)
            keys = [
                Key(kind, owner, name.decode())
                for owner, names in zip(owners, found, strict=True)
                for name in cast("list[bytes]", names)
            ]
        else:
            both = await self._client.run(scripts.NAMES, indexes)
            places, all = cast("tuple[bytes, list[bytes]]", both)
            keys = [
                Key(kind, owners[int(place) - 1], name.decode())
                for place, name in zip(places.split(), all, strict=True)
            ]
        if len({key.owner for key in keys}) < len(keys):
            order = {owner: at for at, owner in enumerate(owners)}
            keys.sort(key=lambda key: (order[key.owner], key.name))
        return keys

    async def names(
        self, kind: str, owner: str, *, after: str | None = None, limit: int = PAGE
    ) -> list[str]:
        index, start = shared(kind, owner, "i"), "-" if after is None else f"({after}"
        page = await self._client.run(scripts.PAGE_OF_NAMES, [index], [start, str(limit)])
        if page != b"":
            return [name.decode() for name in cast("list[bytes]", page)]
        now = repr(self._clock())
        found = await self._client.send("ZRANGEBYSCORE", index, f"({now}", "+inf")
        names = sorted(name.decode() for name in cast("list[bytes]", found))
        return [name for name in names if after is None or name > after][:limit]

    async def ending(
        self, kind: str, *, before: float, after: str = "", limit: int = PAGE
    ) -> tuple[list[str], str]:
        return await self._ends.page(kind, before=before, after=after, limit=limit)

    async def count(self, key: Key, *, window: float, add: int = 1) -> int:
        call = await self._call(Count(key, window, add))
        return int(cast("int", await self._client.run(scripts.COUNT, call.keys, call.words)))

    async def append(self, log: str, entry: bytes, *, after: int | None = None) -> int | None:
        call = await self._call(Append(log, entry, after))
        done = await self._client.run(scripts.APPEND, call.keys, call.words)
        return None if done is None else int(cast("bytes", done))

    async def read(self, log: str, *, after: int = 0, limit: int = 1000) -> list[tuple[int, bytes]]:
        found = await self._client.send("XRANGE", log_of(log), after + 1, "+", "COUNT", limit)
        return _entries(found)

    async def last(self, log: str) -> tuple[int, bytes] | None:
        found = _entries(await self._client.send("XREVRANGE", log_of(log), "+", "-", "COUNT", 1))
        return found[0] if found else None

    async def trim(self, log: str, *, upto: int) -> None:
        await self._client.send("XTRIM", log_of(log), "MINID", upto + 1)

    def rows(self) -> AsyncIterator[Sequence[Row]]:
        """See `gateway.core.copying.Copyable`."""
        return self._rows.all()

    async def add_counts(self, rows: Sequence[CountRow]) -> None:
        await self._rows.add_counts(rows)

    async def begin_log(self, log: str, after: int) -> None:
        await self._rows.begin_log(log, after)

    async def warnings(self) -> list[str]:
        await self.get(Key("probe", "", ""))
        found = []
        for node, settings in (await self._server_settings()).items():
            found += [f"Redis{node} {text}" for text in _judge(settings)]
        return found

    async def close(self) -> None:
        await self._client.close()

    async def _call(self, step: StoreStep) -> ScriptCall:
        """The call that carries out a step, on one node."""
        ends = ends_in(step) if self._client.cluster else None
        if ends is not None:
            await self._ends.note(*ends)
        return call_of(step, self._clock(), alone=not self._client.cluster)

    def _record(self, raw: object) -> Record | None:
        if raw is None:
            return None
        head, _, value = cast("bytes", raw).partition(b"\n")
        version, _, expires = head.partition(b" ")
        if expires != b"-" and float(expires) <= self._clock():
            return None
        return Record(value, int(version))

    async def _server_settings(self) -> dict[str, dict[str, str]]:
        """The settings that matter, by node (" at host:port", "" outside a Cluster)."""
        nodes: dict[str, dict[str, str]] = {}
        for name in ("appendonly", "save", "maxmemory", "maxmemory-policy"):
            options = {"target_nodes": "primaries"} if self._client.cluster else {}
            try:
                answer = await self._client.send("CONFIG GET", name, **options)
            except StoreUnavailable:  # managed services forbid CONFIG
                return nodes or {"": {}}
            by_node = answer if self._client.cluster else {"": answer}
            for node, pairs in cast("Mapping[str, Mapping[object, object]]", by_node).items():
                place = f" at {node}" if node else ""
                known = nodes.setdefault(place, {})
                known |= {_text(key): _text(value) for key, value in pairs.items()}
        return nodes


def _judge(settings: Mapping[str, str]) -> list[str]:
    found = []
    if "appendonly" not in settings:
        found.append(
            "does not let its settings be read (CONFIG GET);"
            " make sure that persistence is on and maxmemory-policy is noeviction."
        )
        return found
    if settings["appendonly"] != "yes":
        kept = settings.get("save", "")
        found.append(
            "saves snapshots only (appendonly no): what was enrolled since the last one"
            " is lost when it stops; set appendonly yes."
            if kept
            else "has persistence off: every enrolment is lost when it stops; set appendonly yes."
        )
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        found.append(
            f"may drop records when memory is short (maxmemory-policy {policy}),"
            " used codes and throttles among them; set noeviction."
        )
    return found


def _entries(found: object) -> list[tuple[int, bytes]]:
    rows = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
    return [(int(number.partition(b"-")[0]), fields[b"e"]) for number, fields in rows]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
