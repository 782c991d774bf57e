"""What the event loop does itself: handing a short job to a thread takes many times as long.

It reads a few rows, and writes what need not be on the disk (`synchronous=NORMAL`: in WAL mode such
a commit waits for nothing, survives the process, and stays whole or is gone after a power cut).
Nothing here waits: not for a lock, nor while a connection is made, nor again for a disk that was
slow a moment ago, nor for a checkpoint; then a lane does it. Knows connections; knows nothing of
what the jobs do.

Accepted risk: what is not in the system's memory is read from a disk while the loop stands still.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from time import perf_counter
from typing import Final

from gateway.stores.sqlite.file import DatabaseFile, HeldConnection
from gateway.stores.sqlite.lane import Job, Lane, T

_SLOW: Final = 0.005  # seconds; usual are 0.00002 to 0.0001
_REST: Final = 50  # times as long as a slow one took, the loop does not read itself
_IN_A_ROW: Final = 16  # jobs after which others get their turn
_BY_LANE: Final = 64  # of so many writes one is the lane's, which keeps the log short and sweeps


_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 0",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA wal_autocheckpoint = 0",
)


class Inline:
    """Belongs to one event loop.

    Args:
        reading: the lane that reads where the loop must not.
        writing: the one that writes then, and tells whether the disk does not answer.
    """

    def __init__(self, file: DatabaseFile, reading: Lane, writing: Lane) -> None:
        self._file: Final = file
        self._reading: Final = reading
        self._writing: Final = writing
        self._held: HeldConnection | None = None
        self._making = self._closed = False
        self._count = self._written = 0
        self._rests_until = 0.0

    async def run(self, job: Job[T]) -> T:
        """Run a job that looks at a few rows.

        Raises:
            StoreUnavailable: as `Lane.run`.
        """
        done = await self._at_once(job)
        if done is not None:
            return done[0]
        waits = self._making or self._held is not None or self._rests(perf_counter())
        return await (self._reading.run(job) if waits else self._and_connect(job))

    async def write(self, job: Job[T]) -> T:
        """Run a job whose writes need not be durable, in a transaction of its own.

        Raises:
            StoreUnavailable: as `Lane.run`.
        """
        self._written += 1
        if self._written % _BY_LANE:
            done = await self._at_once(partial(_within, job))
            if done is not None:
                return done[0]
        return await self._writing.run(job)

    def _rests(self, now: float) -> bool:
        return now < self._rests_until or self._writing.stuck

    async def _at_once(self, job: Job[T]) -> tuple[T] | None:
        """What a job gave; None where a lane has to do it."""
        self._count += 1
        if self._count % _IN_A_ROW == 0:
            await asyncio.sleep(0)
        began = perf_counter()
        if self._held is None or self._rests(began):
            return None
        try:
            connection = self._held.present()
            if connection is not None:
                return (job(connection),)
            self._drop()
        except (sqlite3.Error, OSError) as error:
            # A lock is somebody's for a moment only; of the rest the lane tells what it is.
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self._drop()
        finally:
            took = perf_counter() - began
            if took > _SLOW:
                self._rests_until = began + took * _REST
        return None

    def close(self) -> None:
        self._closed = True
        self._drop()

    async def _and_connect(self, job: Job[T]) -> T:
        """In the lane, which makes the connection that is missing here, too."""

        def both(db: sqlite3.Connection) -> tuple[T, HeldConnection]:
            result, fresh = job(db), HeldConnection(self._file, writes=True)
            for pragma in _PRAGMAS:
                fresh.get().execute(pragma)
            return result, fresh

        self._making = True
        try:
            result, fresh = await self._reading.run(both)
        finally:
            self._making = False
        self._drop()
        if self._closed:
            fresh.drop()
        else:
            self._held = fresh
        return result

    def _drop(self) -> None:
        if self._held is not None:
            self._held.drop()
            self._held = None


def _within(job: Job[T], db: sqlite3.Connection) -> T:
    """A job in a transaction; nothing of it is left where it fails."""
    db.execute("BEGIN IMMEDIATE")
    try:
        result = job(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return result
