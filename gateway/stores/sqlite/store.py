"""The store in one SQLite file, for the workers of one machine.

Knows rows and statements; threads are in `lane`, the file in `file`. Reads go over connections of
their own: in WAL mode they never wait for a write's fsync. What looks at a few rows only, or writes
a few, is done by the event loop itself (`inline`).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from gateway.core.clock import Clock
from gateway.core.copying import CountRow, Restored, Restoring, Row
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
    writes,
)
from gateway.stores.address import read_sqlite
from gateway.stores.sqlite import copying
from gateway.stores.sqlite.duties import Job, Reads, Syncs, T, Writes, carried
from gateway.stores.sqlite.file import SWEPT_ONES, DatabaseFile, snapshot
from gateway.stores.sqlite.inline import Inline
from gateway.stores.sqlite.lane import Lane
from gateway.stores.sqlite.log import Doubt
from gateway.stores.sqlite.steps import carry_out

_SWEEP: Final = 200
_GET: Final = """SELECT value, version FROM records
 WHERE kind = ? AND owner = ? AND name = ? AND (expires IS NULL OR expires > ?)"""
_OF_MANY: Final = """SELECT owner, value, version FROM records
 WHERE kind = ? AND owner IN ({}) AND name = ? AND (expires IS NULL OR expires > ?)"""
_FEW: Final = 20  # records that are as quickly read one by one, and steps that are soon done
_ITEMS: Final = """SELECT name, value, version FROM records
 WHERE kind = ? AND owner = ? AND (expires IS NULL OR expires > ?) ORDER BY name"""
_ITEMS_OF: Final = """SELECT owner, name, value, version FROM records
 WHERE kind = ? AND owner IN ({}) AND (expires IS NULL OR expires > ?) ORDER BY owner, name"""
_NAMES: Final = """SELECT name FROM records WHERE kind = ? AND owner = ? AND name {} ?
 AND (expires IS NULL OR expires > ?) ORDER BY name LIMIT ?"""
_DUE: Final = """SELECT DISTINCT expires, owner FROM records
 WHERE {} AND kind = ?1 AND expires > ?2 AND (expires, owner) > (?3, ?4) AND expires <= ?5
 ORDER BY expires, owner LIMIT ?6"""
_ENDING: Final = _DUE.format(SWEPT_ONES)
_SWEEPS: Final = (
    """DELETE FROM records WHERE (kind, owner, name) IN
 (SELECT kind, owner, name FROM records WHERE expires <= ? LIMIT ?)""",
    """DELETE FROM counts WHERE (kind, owner, name, until) IN
 (SELECT kind, owner, name, until FROM counts WHERE expires <= ? LIMIT ?)""",
)


def open_sqlite(url: str, clock: Clock) -> SqliteStore:
    return SqliteStore(read_sqlite(url), clock)


class SqliteStore:
    """`gateway.core.store.Store` over one file.

    Args:
        patience: seconds to wait for another process's lock; any call is over after
            twice that and a second.
    """

    def __init__(self, path: Path, clock: Clock, *, patience: float = 4.0) -> None:
        self.path: Final = path.absolute()
        self._clock: Final = clock
        self._patience: Final = patience
        self._process: int | None = None  # that uses it
        file, doubt = DatabaseFile(self.path, patience=patience), Doubt()
        limit = patience * 2 + 1
        self._reading: Final = Lane(Reads(file), name=self.path, limit=limit)
        self._writing: Final = Lane(
            Writes(file, doubt), name=self.path, limit=limit, chore=self._sweep
        )
        self._syncing: Final = Lane(Syncs(doubt), name=self.path, limit=limit)
        self._inline: Final = Inline(file, doubt, self._reading, self._writing, self._syncing)

    async def _look(self, job: Job[T]) -> T:
        """Read a few rows."""
        self._not_forked()
        return await self._inline.run(job)

    async def _read(self, job: Job[T]) -> T:
        self._not_forked()
        return await carried(self._reading, job)

    async def _write(self, job: Job[T]) -> T:
        self._not_forked()
        return await carried(self._writing, job)

    def _not_forked(self) -> None:
        """SQLite cannot be carried across a fork (sqlite.org/howtocorrupt, 2.6): a child takes its
        parent's locks for its own, with new connections, too. Raises StoreUnavailable."""
        process = os.getpid()
        if self._process is None:
            self._process = process
        if self._process != process:
            raise StoreUnavailable(f"{self.path}: it was in use before this process was forked")

    async def get(self, key: Key) -> Record | None:
        return await self._look(lambda db: _get(db, key, self._clock()))

    async def get_many(self, keys: Sequence[Key]) -> list[Record | None]:
        def job(db: sqlite3.Connection) -> list[Record | None]:
            now = self._clock()
            if len(keys) < _FEW or len({(kind, name) for kind, _, name in keys}) > 1:
                return [_get(db, key, now) for key in keys]
            owners, (kind, _, name) = [key.owner for key in keys], keys[0]
            query = _OF_MANY.format(",".join("?" * len(owners)))
            rows = db.execute(query, (kind, *owners, name, now))
            found = {owner: Record(value, version) for owner, value, version in rows}
            return [found.get(owner) for owner in owners]

        return await (self._look(job) if len(keys) < _FEW else self._read(job))

    async def transact(self, steps: Sequence[StoreStep]) -> list[int]:
        return await self._transact(steps, durable=True)

    async def _transact(self, steps: Sequence[StoreStep], *, durable: bool) -> list[int]:
        def job(db: sqlite3.Connection) -> list[int]:
            return carry_out(db, steps, self._clock())

        if not any(map(writes, steps)):
            return await self._look(job)
        if len(steps) > _FEW:
            return await self._write(job)
        self._not_forked()
        return await self._inline.write(job, durable=durable)

    async def put(
        self,
        key: Key,
        value: bytes,
        *,
        expires: float | None = None,
        if_version: int | None = None,
        durable: bool = True,
    ) -> int | None:
        steps = [Put(key, value, expires, if_version)]
        return next(iter(await self._transact(steps, durable=durable)), None)

    async def delete(self, key: Key, *, if_version: int | None = None) -> bool:
        return bool(await self.transact([Delete(key, if_version)]))

    async def claim(self, key: Key, *, expires: float) -> bool:
        return await self.put(key, b"", expires=expires, if_version=0) is not None

    async def items(self, kind: str, owner: str) -> list[tuple[str, Record]]:
        def job(db: sqlite3.Connection) -> list[tuple[str, Record]]:
            rows = db.execute(_ITEMS, (kind, owner, self._clock()))
            return [(name, Record(value, version)) for name, value, version in rows]

        return await self._read(job)

    async def items_of(
        self, kind: str, owners: Sequence[str]
    ) -> dict[str, list[tuple[str, Record]]]:
        def job(db: sqlite3.Connection) -> dict[str, list[tuple[str, Record]]]:
            found: dict[str, list[tuple[str, Record]]] = {}
            query = _ITEMS_OF.format(",".join("?" * len(owners)))
            rows = db.execute(query, (kind, *owners, self._clock()))
            for owner, name, value, version in rows:
                found.setdefault(owner, []).append((name, Record(value, version)))
            return found

        return await self._read(job)

    async def names(
        self, kind: str, owner: str, *, after: str | None = None, limit: int = PAGE
    ) -> list[str]:
        def job(db: sqlite3.Connection) -> list[str]:
            query = _NAMES.format(">=" if after is None else ">")
            return [
                n for (n,) in db.execute(query, (kind, owner, after or "", self._clock(), limit))
            ]

        return await self._read(job)

    async def ending(
        self, kind: str, *, before: float, after: str = "", limit: int = PAGE
    ) -> tuple[list[str], str]:
        ends, _, owner = after.partition(" ")

        def job(db: sqlite3.Connection) -> list[tuple[float, str]]:
            mark = (float(ends or "-inf"), owner)
            return db.execute(_ENDING, (kind, self._clock(), *mark, before, limit)).fetchall()

        found = await self._read(job)
        last = f"{found[-1][0]!r} {found[-1][1]}" if len(found) == limit else ""
        return [whose for _, whose in found], last

    async def count(self, key: Key, *, window: float, add: int = 1) -> int:
        (total,) = await self.transact([Count(key, window, add)])
        return total

    async def append(self, log: str, entry: bytes, *, after: int | None = None) -> int | None:
        return next(iter(await self.transact([Append(log, entry, after)])), None)

    async def read(self, log: str, *, after: int = 0, limit: int = 1000) -> list[tuple[int, bytes]]:
        def job(db: sqlite3.Connection) -> list[tuple[int, bytes]]:
            return db.execute(
                "SELECT number, entry FROM entries WHERE log = ? AND number > ?"
                " ORDER BY number LIMIT ?",
                (log, after, limit),
            ).fetchall()

        return await self._read(job)

    async def last(self, log: str) -> tuple[int, bytes] | None:
        def job(db: sqlite3.Connection) -> tuple[int, bytes] | None:
            row = db.execute(
                "SELECT number, entry FROM entries WHERE log = ? ORDER BY number DESC LIMIT 1",
                (log,),
            ).fetchone()
            return None if row is None else (row[0], row[1])

        return await self._look(job)

    async def trim(self, log: str, *, upto: int) -> None:
        def job(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM entries WHERE log = ? AND number <= ?", (log, upto))

        await self._write(job)

    async def rows(self) -> AsyncIterator[Sequence[Row]]:
        """See `gateway.core.copying.Copyable`."""
        now = self._clock()
        key: Key | None = None
        while records := await self._read(partial(copying.records, after=key, now=now)):
            yield records
            key = records[-1].key
        bucket: CountRow | None = None
        while counts := await self._read(partial(copying.counts, after=bucket, now=now)):
            yield counts
            bucket = counts[-1]
        for log in await self._read(copying.logs):
            yield [log]
            after = log.after
            while entries := await self._read(partial(copying.entries, log=log.log, after=after)):
                yield entries
                after = entries[-1].number

    async def add_counts(self, rows: Sequence[CountRow]) -> None:
        await self._write(lambda db: copying.add_counts(db, rows))

    async def begin_log(self, log: str, after: int) -> None:
        await self._write(lambda db: copying.begin_log(db, log, after))

    async def backup(self, target: str) -> None:
        """See `gateway.core.copying.Backed`."""
        await self.last("")  # so that the file is there
        await asyncio.to_thread(snapshot, self.path, Path(target))

    async def restore(self, source: str, plan: Restoring) -> Restored:
        file = DatabaseFile(self.path, patience=self._patience)
        return await asyncio.to_thread(copying.restore, file, Path(source), plan)

    async def warnings(self) -> list[str]:
        await self.last("")  # so that the file is there
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & 0o077:
            return [f"{self.path} can be read by other users (mode {mode:04o}): chmod 600 it."]
        return []

    async def close(self) -> None:
        if self._process in (None, os.getpid()):
            self._inline.close()
            await self._reading.close()
            await self._writing.close()
            await self._syncing.close()

    def _sweep(self, db: sqlite3.Connection) -> bool:
        """Remove a few expired rows, so that no caller waits long for the lock."""
        now = self._clock()
        return _SWEEP in [db.execute(sweep, (now, _SWEEP)).rowcount for sweep in _SWEEPS]


def _get(db: sqlite3.Connection, key: Key, now: float) -> Record | None:
    row = db.execute(_GET, (*key, now)).fetchone()
    return None if row is None else Record(row[0], row[1])
