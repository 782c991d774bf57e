"""The store and calls to the index, timed: each call's seconds are noted, and kept apart from what
the gateway itself takes for the request at hand."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from time import perf_counter
from typing import Final, TypeVar

from gateway.core.counters import NOTES, Counted, Counters, Timed, Timings
from gateway.core.http.facts import Field
from gateway.core.http.trace_context import WaitedFor
from gateway.core.store import Key, Record, Store, StoreStep, StoreUnavailable, writes
from gateway.core.upstream import Asking, Call, UpstreamResponse
from gateway.upstreams.client import Calls

T = TypeVar("T")
_MOST: Final = 50  # calls of one request that stand in a trace


def noted(name: str, began: float, seconds: float, *, failed: bool) -> None:
    """The request at hand has waited so long for somebody else."""
    notes = NOTES.get()
    if notes is not None:
        notes.waited += seconds
        if notes.trace is not None and notes.trace.sampled and len(notes.trace.calls) < _MOST:
            notes.trace.calls.append(WaitedFor(name, began, seconds, failed))


class TimedStore:
    """A `Store`: another one, with its times."""

    def __init__(self, store: Store, counters: Counters) -> None:
        self._store: Final = store
        self._reads: Final = counters.times(Timed.STORE, "read")
        self._writes: Final = counters.times(Timed.STORE, "write")
        self._failures: Final = counters.count(Counted.STORE_FAILURES)

    async def _timed(self, times: Timings, work: Awaitable[T]) -> T:
        began = perf_counter()
        failed = False
        try:
            return await work
        except StoreUnavailable:
            self._failures.number += 1
            failed = True
            raise
        finally:
            seconds = perf_counter() - began
            times.took(seconds)
            name = "store write" if times is self._writes else "store read"
            noted(name, began, seconds, failed=failed)

    async def get(self, key: Key) -> Record | None:
        return await self._timed(self._reads, self._store.get(key))

    async def get_many(self, keys: Sequence[Key]) -> list[Record | None]:
        return await self._timed(self._reads, self._store.get_many(keys))

    async def transact(self, steps: Sequence[StoreStep]) -> list[int]:
        times = self._writes if any(map(writes, steps)) else self._reads
        return await self._timed(times, self._store.transact(steps))

    async def put(
        self,
        key: Key,
        value: bytes,
        *,
        expires: float | None = None,
        if_version: int | None = None,
        durable: bool = True,
    ) -> int | None:
        work = self._store.put(key, value, expires=expires, if_version=if_version, durable=durable)
        return await self._timed(self._writes, work)

    async def delete(self, key: Key, *, if_version: int | None = None) -> bool:
        return await self._timed(self._writes, self._store.delete(key, if_version=if_version))

    async def claim(self, key: Key, *, expires: float) -> bool:
        return await self._timed(self._writes, self._store.claim(key, expires=expires))

    async def items(self, kind: str, owner: str) -> list[tuple[str, Record]]:
        return await self._timed(self._reads, self._store.items(kind, owner))

    async def items_of(
        self, kind: str, owners: Sequence[str]
    ) -> dict[str, list[tuple[str, Record]]]:
        return await self._timed(self._reads, self._store.items_of(kind, owners))

    async def names(
        self, kind: str, owner: str, *, after: str | None = None, limit: int = 1000
    ) -> list[str]:
        work = self._store.names(kind, owner, after=after, limit=limit)
        return await self._timed(self._reads, work)

    async def ending(
        self, kind: str, *, before: float, after: str = "", limit: int = 1000
    ) -> tuple[list[str], str]:
        work = self._store.ending(kind, before=before, after=after, limit=limit)
        return await self._timed(self._reads, work)

    async def count(self, key: Key, *, window: float, add: int = 1) -> int:
        work = self._store.count(key, window=window, add=add)
        return await self._timed(self._writes if add else self._reads, work)

    async def append(self, log: str, entry: bytes, *, after: int | None = None) -> int | None:
        return await self._timed(self._writes, self._store.append(log, entry, after=after))

    async def read(self, log: str, *, after: int = 0, limit: int = 1000) -> list[tuple[int, bytes]]:
        return await self._timed(self._reads, self._store.read(log, after=after, limit=limit))

    async def last(self, log: str) -> tuple[int, bytes] | None:
        return await self._timed(self._reads, self._store.last(log))

    async def trim(self, log: str, *, upto: int) -> None:
        await self._timed(self._writes, self._store.trim(log, upto=upto))

    async def warnings(self) -> list[str]:
        return await self._store.warnings()

    async def close(self) -> None:
        await self._store.close()


class TimedAsking:
    """What the gateway itself asks of the index (`Asking`), timed as what is forwarded is."""

    def __init__(self, asking: Asking, counters: Counters) -> None:
        self._asking: Final = asking
        self._times: Final = counters.times(Timed.UPSTREAM)

    async def ask(self, call: Call, fields: tuple[Field, ...] = ()) -> UpstreamResponse:
        began = perf_counter()
        failed = True
        try:
            answer = await self._asking.ask(call, fields)
            failed = False
            return answer
        finally:
            seconds = perf_counter() - began
            self._times.took(seconds)
            noted("upstream question", began, seconds, failed=failed)


class TimedCalls(Calls):
    """The same over `Calls`."""

    def __init__(self, calls: Calls, counters: Counters) -> None:
        self._calls: Final = calls
        self._timed: Final = TimedAsking(calls, counters)

    async def ask(self, call: Call, fields: tuple[Field, ...] = ()) -> UpstreamResponse:
        return await self._timed.ask(call, fields)

    async def close(self) -> None:
        await self._calls.close()
