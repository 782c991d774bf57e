"""The store in Redis, for several gateways behind a load balancer.

Knows keys and stored forms; connections are in `redis_client`, Lua in `redis_scripts`.
Needs Redis 6.2 (XTRIM MINID) or a server that speaks like it.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, cast
from urllib.parse import quote

from gateway.core.clock import Clock
from gateway.core.store import (
    Append,
    Count,
    Delete,
    Expect,
    Key,
    Put,
    Record,
    StoreStep,
    StoreUnavailable,
)
from gateway.stores.address import read_redis
from gateway.stores.redis import scripts
from gateway.stores.redis.client import RedisClient
from gateway.stores.window import bucket_end

# How much longer than its record a key lives, in seconds: room for clocks that differ.
_SLACK: Final = 60.0
_SEQUENCE_TTL: Final = 30 * 86400 * 1000
_MARK: Final = "ig:store"


def open_redis(url: str, clock: Clock) -> RedisStore:
    return RedisStore(RedisClient(read_redis(url), patience=3.0), clock)


class _Call(NamedTuple):
    """A step as its function in `scripts` takes it."""

    name: str
    keys: list[str]
    words: list[str | bytes]

    @property
    def tag(self) -> str:
        """What decides about its node in a Cluster."""
        return self.keys[0].partition("{")[2].partition("}")[0]


class RedisStore:
    """`gateway.core.store.Store` over a Redis, a Sentinel group or a Cluster.

    A mark in it tells this store from every other: a Redis that was emptied under a running
    gateway is an outage, not a store in which nobody has a second factor.
    """

    def __init__(self, client: RedisClient, clock: Clock) -> None:
        self._client: Final = client
        self._clock: Final = clock
        self._mark: object = None

    async def get(self, key: Key) -> Record | None:
        if self._mark is None:
            self._mark = await self._marked()
        record = self._record(await self._client.send("GET", _place(key, "r")))
        if record is None:
            self._check_mark(await self._client.send("GET", _MARK))
        return record

    async def get_many(self, keys: Sequence[Key]) -> list[Record | None]:
        if self._client.cluster:
            return list(await asyncio.gather(*map(self.get, keys)))
        if self._mark is None:
            self._mark = await self._marked()
        found = await self._client.send("MGET", *(_place(key, "r") for key in keys), _MARK)
        *raws, mark = cast("list[object]", found)
        self._check_mark(mark)
        return list(map(self._record, raws))

    async def transact(self, steps: Sequence[StoreStep]) -> list[int]:
        done: list[int] = []
        for calls in self._together(list(map(self._call, steps))):
            keys, words = [], []
            for call in calls:
                keys += call.keys
                words += [call.name, str(len(call.keys)), str(len(call.words)), *call.words]
            gave = cast("list[bytes | int]", await self._client.run(scripts.TRANSACT, keys, words))
            done += map(int, gave)
            if len(gave) < len(calls):
                break
        return done

    def _together(self, calls: list[_Call]) -> Iterator[list[_Call]]:
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
        """The mark, made by whoever comes first."""
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
    ) -> int | None:
        call = self._call(Put(key, value, expires, if_version))
        done = await self._client.run(scripts.PUT, call.keys, call.words)
        return None if done is None else int(cast("bytes", done))

    async def delete(self, key: Key, *, if_version: int | None = None) -> bool:
        call = self._call(Delete(key, if_version))
        return await self._client.run(scripts.DELETE, call.keys, call.words) == 1

    async def claim(self, key: Key, *, expires: float) -> bool:
        return await self.put(key, b"", expires=expires, if_version=0) is not None

    async def items(self, kind: str, owner: str) -> list[tuple[str, Record]]:
        found = await self._client.send("ZRANGE", _shared(kind, owner, "i"), 0, -1)
        names = sorted(name.decode() for name in cast("list[bytes]", found))
        if not names:
            return []
        places = [_place(Key(kind, owner, name), "r") for name in names]
        raws = cast("list[object]", await self._client.send("MGET", *places))
        records = [(name, self._record(raw)) for name, raw in zip(names, raws, strict=True)]
        return [(name, record) for name, record in records if record is not None]

    async def count(self, key: Key, *, window: float, add: int = 1) -> int:
        call = self._call(Count(key, window, add))
        return int(cast("int", await self._client.run(scripts.COUNT, call.keys, call.words)))

    async def append(self, log: str, entry: bytes, *, after: int | None = None) -> int | None:
        call = self._call(Append(log, entry, after))
        done = await self._client.run(scripts.APPEND, call.keys, call.words)
        return None if done is None else int(cast("bytes", done))

    async def read(self, log: str, *, after: int = 0, limit: int = 1000) -> list[tuple[int, bytes]]:
        found = await self._client.send("XRANGE", _log(log), after + 1, "+", "COUNT", limit)
        return _entries(found)

    async def last(self, log: str) -> tuple[int, bytes] | None:
        found = _entries(await self._client.send("XREVRANGE", _log(log), "+", "-", "COUNT", 1))
        return found[0] if found else None

    async def trim(self, log: str, *, upto: int) -> None:
        await self._client.send("XTRIM", _log(log), "MINID", upto + 1)

    async def warnings(self) -> list[str]:
        await self.get(Key("probe", "", ""))
        found = []
        for node, settings in (await self._server_settings()).items():
            found += [f"Redis{node} {text}" for text in _judge(settings)]
        return found

    async def close(self) -> None:
        await self._client.close()

    def _call(self, step: StoreStep) -> _Call:
        now = self._clock()
        match step:
            case Put(key, value, expires, version):
                ends = "-" if expires is None else repr(float(expires))
                ttl = "-" if expires is None else _ttl(expires - now)
                places = [_place(key, "r"), *(_shared(key.kind, key.owner, part) for part in "iv")]
                forget = repr(now - _SLACK)
                written = (key.name, value, ends, repr(now), _number(version), ttl)
                return _Call("put", places, [*written, str(_SEQUENCE_TTL), forget])
            case Delete(key, version):
                places = [_place(key, "r"), _shared(key.kind, key.owner, "i")]
                return _Call("delete", places, [key.name, repr(now), _number(version)])
            case Expect(key, expected):
                return _Call("expect", [_place(key, "r")], [str(expected), repr(now)])
            case Count(key, window, add):
                until = bucket_end(now, window)
                words = (repr(until), str(add), repr(now - window), _ttl(until + window - now))
                return _Call("count", [_place(key, "c")], [*words])
            case Append(log, entry, after):
                return _Call("append", [_log(log)], [entry, _number(after)])

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


def _shared(kind: str, owner: str, part: str) -> str:
    # Quoted, so that no name can end the hash tag or imitate another record's key.
    return f"ig:{{{quote(kind, safe='')}/{quote(owner, safe='')}}}:{part}"


def _place(key: Key, part: str) -> str:
    return f"{_shared(key.kind, key.owner, part)}:{key.name}"


def _log(name: str) -> str:
    return f"ig:log:{{{quote(name, safe='')}}}"


def _number(condition: int | None) -> str:
    return "-" if condition is None else str(condition)


def _ttl(seconds: float) -> str:
    return str(math.ceil((max(seconds, 0.0) + _SLACK) * 1000))


def _entries(found: object) -> list[tuple[int, bytes]]:
    rows = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
    return [(int(number.partition(b"-")[0]), fields[b"e"]) for number, fields in rows]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
