"""Reads that the event loop does itself: handing a short one to a thread takes many times as long.

Nothing here waits: not for a lock, nor while a connection is made, nor again for a disk that was
slow a moment ago; then the lane reads. Knows connections; knows nothing of what the jobs do.

Accepted risk: what is not in the system's memory is read from a disk while the loop stands still.
"""

from __future__ import annotations

import asyncio
import sqlite3
from time import perf_counter
from typing import Final

from gateway.stores.sqlite.file import DatabaseFile, HeldConnection
from gateway.stores.sqlite.lane import Job, Lane, T

_SLOW: Final = 0.005  # seconds; usual are 0.00002 to 0.0001
_REST: Final = 50  # times as long as a slow one took, the loop does not read itself
_IN_A_ROW: Final = 16  # reads after which others get their turn


class InlineReads:
    """Belongs to one event loop.

    Args:
        reading: the lane that reads where the loop must not.
        writing: the one that tells whether the disk does not answer.
    """

    def __init__(self, file: DatabaseFile, reading: Lane, writing: Lane) -> None:
        self._file: Final = file
        self._reading: Final = reading
        self._writing: Final = writing
        self._held: HeldConnection | None = None
        self._making = self._closed = False
        self._count = 0
        self._rests_until = 0.0

    async def run(self, job: Job[T]) -> T:
        """Run a job that looks at a few rows.

        Raises:
            StoreUnavailable: as `Lane.run`.
        """
        self._count += 1
        if self._count % _IN_A_ROW == 0:
            await asyncio.sleep(0)
        began = perf_counter()
        if began < self._rests_until or self._writing.stuck:
            return await self._reading.run(job)
        try:
            connection = self._held.present() if self._held is not None else None
            if connection is not None:
                return job(connection)
        except (sqlite3.Error, OSError) as error:
            # A lock is somebody's for a moment only; of the rest the lane tells what it is.
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self._drop()
        finally:
            took = perf_counter() - began
            if took > _SLOW:
                self._rests_until = began + took * _REST
        return await (self._reading.run(job) if self._making else self._and_connect(job))

    def close(self) -> None:
        self._closed = True
        self._drop()

    async def _and_connect(self, job: Job[T]) -> T:
        """In the lane, which makes the connection that is missing here, too."""

        def both(db: sqlite3.Connection) -> tuple[T, HeldConnection]:
            result, fresh = job(db), HeldConnection(self._file, writes=False)
            fresh.get().execute("PRAGMA busy_timeout = 0")
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
