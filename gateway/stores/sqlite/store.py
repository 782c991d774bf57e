"""The store in one SQLite file, for the workers of one machine.

Knows rows and statements; threads are in `lane`, the file in `sqlite_file`. Reads go over a
connection of their own: in WAL mode they never wait for a write's fsync.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from gateway.core.clock import Clock
from gateway.core.store import Key, Record
from gateway.stores.address import read_sqlite
from gateway.stores.sqlite.file import DatabaseFile
from gateway.stores.sqlite.lane import Job, Lane, T
from gateway.stores.window import bucket_end

_SWEEP: Final = 200
_GET: Final = """SELECT value, version FROM records
 WHERE kind = ? AND owner = ? AND name = ? AND (expires IS NULL OR expires > ?)"""
_DELETE: Final = """DELETE FROM records
 WHERE kind = ? AND owner = ? AND name = ? AND (expires IS NULL OR expires > ?)
 AND (?5 IS NULL OR version = ?5)"""
_ITEMS: Final = """SELECT name, value, version FROM records
 WHERE kind = ? AND owner = ? AND (expires IS NULL OR expires > ?) ORDER BY name"""
_COUNT: Final = """INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?)
 ON CONFLICT DO UPDATE SET events = events + excluded.events"""
_COUNTED: Final = """SELECT coalesce(sum(events), 0) FROM counts
 WHERE kind = ? AND owner = ? AND name = ? AND until > ?"""
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
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        file = DatabaseFile(self.path, patience=self._patience)
        limit = self._patience * 2 + 1
        self._reading = Lane(file, writes=False, limit=limit)
        self._writing = Lane(file, writes=True, limit=limit, chore=self._sweep)

    async def _read(self, job: Job[T]) -> T:
        # A connection must not cross a fork (sqlite.org/howtocorrupt, 2.6).
        if self._pid != os.getpid():
            self._start()
        return await self._reading.run(job)

    async def _write(self, job: Job[T]) -> T:
        if self._pid != os.getpid():
            self._start()
        return await self._writing.run(job)

    async def get(self, key: Key) -> Record | None:
        def job(db: sqlite3.Connection) -> Record | None:
            row = db.execute(_GET, (*key, self._clock())).fetchone()
            return None if row is None else Record(row[0], row[1])

        return await self._read(job)

    async def put(
        self,
        key: Key,
        value: bytes,
        *,
        expires: float | None = None,
        if_version: int | None = None,
    ) -> int | None:
        def job(db: sqlite3.Connection) -> int | None:
            if if_version is not None:
                row = db.execute(_GET, (*key, self._clock())).fetchone()
                if if_version != (0 if row is None else row[1]):
                    return None
            version = _next_version(db)
            db.execute(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)",
                (*key, value, version, expires),
            )
            return version

        return await self._write(job)

    async def delete(self, key: Key, *, if_version: int | None = None) -> bool:
        def job(db: sqlite3.Connection) -> bool:
            done = db.execute(_DELETE, (*key, self._clock(), if_version))
            return done.rowcount == 1

        return await self._write(job)

    async def claim(self, key: Key, *, expires: float) -> bool:
        return await self.put(key, b"", expires=expires, if_version=0) is not None

    async def items(self, kind: str, owner: str) -> list[tuple[str, Record]]:
        def job(db: sqlite3.Connection) -> list[tuple[str, Record]]:
            rows = db.execute(_ITEMS, (kind, owner, self._clock()))
            return [(name, Record(value, version)) for name, value, version in rows]

        return await self._read(job)

    async def count(self, key: Key, *, window: float, add: int = 1) -> int:
        def job(db: sqlite3.Connection) -> int:
            now = self._clock()
            if add:
                until = bucket_end(now, window)
                db.execute(_COUNT, (*key, until, add, until + window))
            (total,) = db.execute(_COUNTED, (*key, now - window)).fetchone()
            return int(total)

        return await (self._write(job) if add else self._read(job))

    async def append(self, log: str, entry: bytes, *, after: int | None = None) -> int | None:
        def job(db: sqlite3.Connection) -> int | None:
            row = db.execute("SELECT last FROM logs WHERE log = ?", (log,)).fetchone()
            last = 0 if row is None else int(row[0])
            if after is not None and after != last:
                return None
            db.execute("INSERT OR REPLACE INTO logs VALUES (?, ?)", (log, last + 1))
            db.execute("INSERT INTO entries VALUES (?, ?, ?)", (log, last + 1, entry))
            return last + 1

        return await self._write(job)

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

        return await self._read(job)

    async def trim(self, log: str, *, upto: int) -> None:
        def job(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM entries WHERE log = ? AND number <= ?", (log, upto))

        await self._write(job)

    async def warnings(self) -> list[str]:
        await self.last("")  # so that the file is there
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & 0o077:
            return [f"{self.path} can be read by other users (mode {mode:04o}): chmod 600 it."]
        return []

    async def close(self) -> None:
        if self._pid == os.getpid():
            await self._reading.close()
            await self._writing.close()

    def _sweep(self, db: sqlite3.Connection) -> bool:
        """Remove a few expired rows, so that no caller waits long for the lock."""
        now = self._clock()
        return _SWEEP in [db.execute(sweep, (now, _SWEEP)).rowcount for sweep in _SWEEPS]


def _next_version(db: sqlite3.Connection) -> int:
    """One sequence for all records, so a key deleted and made again never repeats one."""
    (number,) = db.execute(
        "UPDATE meta SET number = number + 1 WHERE name = 'version' RETURNING number"
    ).fetchone()
    return int(number)
