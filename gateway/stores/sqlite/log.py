"""Whether the disk has what was written: SQLite's write-ahead log. Knows no rows, no threads."""

from __future__ import annotations

import os
import sqlite3
from typing import Final

from gateway.core.store import StoreUnavailable

_UNSURE: Final = "the disk failed, and what was written last is not surely on it; still trying"


def log_of(db: sqlite3.Connection) -> Log | None:
    """The log of a connection's file; None where the file system allows none, or no look at it."""
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    ((_, _, path),) = db.execute("PRAGMA database_list")
    try:
        return Log(path) if mode == "wal" else None
    except OSError:
        return None


class Log:
    """The log of a file that is open.

    SQLite holds no lock on it, so closing it drops none (sqlite.org/howtocorrupt, 2.2). That it is
    there is on the disk with SQLite's first sync of it.
    """

    def __init__(self, path: str) -> None:
        self._file: Final = os.open(f"{path}-wal", os.O_RDONLY)

    def sync(self) -> None:
        """Wait until the disk has what it holds now. Raises OSError."""
        os.fdatasync(self._file)

    def __del__(self) -> None:
        file: int = getattr(self, "_file", -1)
        if file >= 0:
            os.close(file)


class Doubt:
    """Whether a file's log has a hole on the disk.

    Where a sync fails, the system says so once and takes the pages for written (fsync(2), NOTES).
    Whatever stands behind them in the log would be gone with them after a power cut, so nothing is
    acknowledged any more until all of the log was copied into the file.
    """

    def __init__(self) -> None:
        self.there = False

    def about(self, error: sqlite3.Error) -> None:
        """SQLite failed."""
        code: int = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF == sqlite3.SQLITE_IOERR:
            self.there = True

    def sync(self, log: Log) -> None:
        """Raises OSError, StoreUnavailable."""
        if self.there:
            raise StoreUnavailable(_UNSURE)
        try:
            log.sync()
        except OSError:
            self.there = True
            raise

    def settle(self, db: sqlite3.Connection) -> None:
        """Copy the log into the file, if need be. Raises sqlite3.Error, StoreUnavailable."""
        if self.there:
            busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise StoreUnavailable(_UNSURE)
            self.there = False
