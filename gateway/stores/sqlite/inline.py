"""What the event loop does itself: handing a short job to a thread takes many times as long.

It reads a few rows, and writes a few (`synchronous=NORMAL`: in WAL mode such a commit survives the
process, and stays whole or is gone after a power cut). Where it has to be on the disk, a lane waits
for that; no lock is held meanwhile, and those who come together wait once. Nothing here waits: not
for a lock, nor while a connection is made, nor again for a disk that was slow a moment ago, nor for
a checkpoint; then a lane does it. Knows connections; knows nothing of what the jobs do.

Accepted risk: what is not in the system's memory is read from a disk while the loop stands still,
and SQLite syncs 32 bytes where a log begins anew, behind a checkpoint that the disk has just taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from functools import partial
from time import perf_counter
from typing import Final, Generic, NamedTuple

from gateway.core.store import StoreUnavailable
from gateway.stores.sqlite.duties import Job, Jobs, T, carried, within
from gateway.stores.sqlite.file import DatabaseFile, HeldConnection
from gateway.stores.sqlite.lane import Lane
from gateway.stores.sqlite.log import Doubt, Log, log_of

_SLOW: Final = 0.005  # seconds; usual are 0.00002 to 0.0001
_REST: Final = 50  # times as long as a slow one took, the loop does not read itself
_IN_A_ROW: Final = 16  # jobs after which others get their turn
_BY_LANE: Final = 64
"""Of so many writes one is the lane's, which keeps the log short and sweeps. So is the first one,
which may have to begin the log, on a disk of which nothing is known."""


_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 0",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA wal_autocheckpoint = 0",
)


class _Held(NamedTuple):
    connection: HeldConnection
    log: Log


class _Done(NamedTuple, Generic[T]):
    """What a job gave, and the log that has what it wrote."""

    result: T
    log: Log


class Inline:
    """Belongs to one event loop.

    Args:
        reading: the lane that reads where the loop must not.
        writing: the one that writes then.
        syncing: the one that waits for the disk.
    """

    def __init__(
        self, file: DatabaseFile, doubt: Doubt, reading: Jobs, writing: Jobs, syncing: Lane[Log]
    ) -> None:
        self._file: Final = file
        self._doubt: Final = doubt
        self._reading: Final = reading
        self._writing: Final = writing
        self._syncing: Final = syncing
        self._held: _Held | None = None
        self._making = self._closed = False
        self._logless = False  # there is none that could be synced: the lanes do everything
        self._count = self._written = 0
        self._rests_until = 0.0

    async def run(self, job: Job[T]) -> T:
        """Run a job that looks at a few rows.

        Raises:
            StoreUnavailable: as `Lane.run`.
        """
        done = await self._at_once(job)
        if done is not None:
            return done.result
        waits = self._making or self._logless or self._held is not None
        waits = waits or self._rests(perf_counter())
        return await (carried(self._reading, job) if waits else self._and_connect(job))

    async def write(self, job: Job[T], *, durable: bool) -> T:
        """Run a job that writes a little, in a transaction of its own.

        Args:
            durable: come back when it is on the disk.

        Raises:
            StoreUnavailable: as `Lane.run`.
        """
        turn, self._written = self._written % _BY_LANE, self._written + 1
        if turn and not self._doubt.there:
            done = await self._at_once(partial(within, job))
            if done is not None:
                if durable:
                    await self._synced(done.log)
                return done.result
        return await carried(self._writing, job)

    async def _synced(self, log: Log) -> None:
        try:
            await self._syncing.run(log)
        except StoreUnavailable:
            if self._doubt.there:
                with contextlib.suppress(StoreUnavailable):
                    await carried(self._writing, lambda db: None)  # settles it
            raise

    def _rests(self, now: float) -> bool:
        return now < self._rests_until or self._writing.stuck or self._syncing.stuck

    async def _at_once(self, job: Job[T]) -> _Done[T] | None:
        """What a job gave; None where a lane has to do it."""
        self._count += 1
        if self._count % _IN_A_ROW == 0:
            await asyncio.sleep(0)
        began = perf_counter()
        if self._held is None or self._rests(began):
            return None
        try:
            connection = self._held.connection.present()
            if connection is not None:
                return _Done(job(connection), self._held.log)
            self._drop()
        except sqlite3.Error as error:
            # A lock is somebody's for a moment only; of the rest the lane tells what it is.
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self._doubt.about(error)
                self._drop()
        except OSError:
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

        def both(db: sqlite3.Connection) -> tuple[T, _Held | None]:
            result, fresh = job(db), HeldConnection(self._file, writes=True)
            connection = fresh.get()
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            log = log_of(connection)
            if log is None:
                fresh.drop()
            return result, None if log is None else _Held(fresh, log)

        self._making = True
        try:
            result, fresh = await carried(self._reading, both)
        finally:
            self._making = False
        self._drop()
        if fresh is None:
            self._logless = True
        elif self._closed:
            fresh.connection.drop()
        else:
            self._held, self._written = fresh, 0
        return result

    def _drop(self) -> None:
        if self._held is not None:
            self._held.connection.drop()
            self._held = None
