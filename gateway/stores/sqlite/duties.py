"""What the lanes do: one reads, one writes, one waits for the disk.

Knows connections and transactions; knows no threads, and nothing of what the jobs do. The writer
runs what has queued up in one transaction, so that one fsync acknowledges many writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar, cast

from gateway.stores.sqlite.file import DatabaseFile, HeldConnection
from gateway.stores.sqlite.lane import Lane
from gateway.stores.sqlite.log import Doubt, Log

T = TypeVar("T")
Job: TypeAlias = Callable[[sqlite3.Connection], T]
Jobs: TypeAlias = Lane[Job[object]]


async def carried(lane: Jobs, job: Job[T]) -> T:
    """What a job gave in a lane. Raises StoreUnavailable."""
    return cast("T", await lane.run(job))


class Reads:
    """Runs a job on a connection that only reads."""

    most: Final = 1

    def __init__(self, file: DatabaseFile) -> None:
        self._held: Final = HeldConnection(file, writes=False)

    def attempt(self, things: list[Job[object]]) -> list[object]:
        connection = self._held.get()
        try:
            return [job(connection) for job in things]
        except sqlite3.Error:
            self._held.drop()
            raise

    def end(self) -> None:
        self._held.drop()


class Writes:
    """Runs jobs in one transaction that is on the disk at its end."""

    most: Final = 64

    def __init__(self, file: DatabaseFile, doubt: Doubt) -> None:
        self._doubt: Final = doubt
        self._held: Final = HeldConnection(file, writes=True)

    def attempt(self, things: list[Job[object]]) -> list[object]:
        connection = self._held.get()
        try:
            self._doubt.settle(connection)
            return within(lambda db: [job(db) for job in things], connection)
        except sqlite3.Error as error:
            # After an I/O error nothing is known of the connection's state; a fresh one
            # recovers from the log, and an unfinished transaction is undone.
            self._held.drop()
            self._doubt.about(error)
            raise

    def end(self) -> None:
        self._held.drop()


class Syncs:
    """Waits until what was written to a log is on the disk."""

    most: Final = 1000

    def __init__(self, doubt: Doubt) -> None:
        self._doubt: Final = doubt

    def attempt(self, things: list[Log]) -> list[object]:
        for log in dict.fromkeys(things):
            self._doubt.sync(log)
        return [None] * len(things)

    def end(self) -> None:
        pass


def within(job: Job[T], db: sqlite3.Connection) -> T:
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
