"""The database file: how it is created, opened and recognised. Knows no records."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from errno import EEXIST
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway.core.store import SWEPT, StoreUnavailable
from gateway.stores.address import other_layout

UPGRADES: Final[tuple[tuple[str, ...], ...]] = ()
"""The statements that lead from each layout to the next one; the first, from number 1 to 2."""

_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema', 1), ('version', 0);
CREATE TABLE records (
  kind TEXT NOT NULL, owner TEXT NOT NULL, name TEXT NOT NULL,
  value BLOB NOT NULL, version INTEGER NOT NULL, expires REAL,
  PRIMARY KEY (kind, owner, name)
) WITHOUT ROWID;
CREATE INDEX records_expires ON records (expires) WHERE expires IS NOT NULL;
CREATE TABLE counts (
  kind TEXT NOT NULL, owner TEXT NOT NULL, name TEXT NOT NULL,
  until REAL NOT NULL, events INTEGER NOT NULL, expires REAL NOT NULL,
  PRIMARY KEY (kind, owner, name, until)
) WITHOUT ROWID;
CREATE INDEX counts_expires ON counts (expires);
CREATE TABLE logs (log TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
  log TEXT NOT NULL, number INTEGER NOT NULL, entry BLOB NOT NULL,
  PRIMARY KEY (log, number)
) WITHOUT ROWID;
"""

SWEPT_ONES: Final = "kind IN ({})".format(", ".join(f"'{kind}'" for kind in sorted(SWEPT)))
"""What a query has to say of records to find them by `records_ends_…`."""

# Made in files of layout 1 that an earlier version wrote, too, which goes on working with it; that
# version's own, over all kinds, made every write of a record dearer.
_ENDS: Final = (
    "DROP INDEX IF EXISTS records_ends",
    f"CREATE INDEX IF NOT EXISTS records_ends_{'_'.join(sorted(SWEPT))}"
    f" ON records (kind, expires) WHERE {SWEPT_ONES}",
)


class DatabaseFile:
    """One SQLite file, shared by the lanes of a process and by the workers of a machine.

    It is created and filled at most once per process: a file that vanishes or is emptied under
    a running gateway is an outage, not an empty store in which nobody has a second factor.

    Args:
        patience: seconds to wait for a lock that another process holds.
        upgrades: see `UPGRADES`.
    """

    def __init__(
        self, path: Path, *, patience: float, upgrades: tuple[tuple[str, ...], ...] = UPGRADES
    ) -> None:
        self.path: Final = path
        self._name: Final = str(path)
        self.layout: Final = 1 + len(upgrades)
        self._upgrades: Final = upgrades
        self._patience: Final = patience
        self._created = False
        self._filled = False
        self._lock: Final = threading.Lock()

    def connect(self, *, writes: bool) -> sqlite3.Connection:
        """Open a connection; blocks for up to `patience`.

        Raises:
            StoreUnavailable, sqlite3.Error, OSError
        """
        with self._lock:
            if not self._created:
                self._create()
            connection = sqlite3.connect(
                f"file:{quote(str(self.path))}?mode=rw",
                uri=True,
                timeout=self._patience,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            if not writes:
                connection.execute("PRAGMA query_only = 1")
            return connection

    def identity(self) -> tuple[int, int]:
        """Which file the path names now.

        SQLite would go on writing to a file that was deleted or replaced, and every
        acknowledged write be lost.

        Raises:
            OSError: there is none.
        """
        status = os.stat(self._name)  # noqa: PTH116 - at every step, and `Path.stat` takes longer
        return status.st_dev, status.st_ino

    def _create(self) -> None:
        # Readable by nobody else from the start; SQLite gives its -wal and -shm the same mode.
        # O_EXCL, because opening and closing a file that another connection of this process
        # has open would drop that connection's locks (sqlite.org/howtocorrupt, 2.2).
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._created = True

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Changing the journal mode does not wait for locks by itself, and several workers
        # start at once.
        deadline = time.monotonic() + self._patience
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.02)
        connection.execute("PRAGMA synchronous = FULL")
        if self._schema(connection) is None:
            if self._filled:
                raise StoreUnavailable("it was emptied; put it back, or restart to begin anew")
            connection.execute("BEGIN IMMEDIATE")
            if self._schema(connection) is None:
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
            connection.execute("COMMIT")
        found = self._schema(connection)
        if found is not None and found < self.layout:
            found = self._upgrade(connection)
        if found != self.layout:
            raise StoreUnavailable(other_layout(found, self.layout))
        for statement in _ENDS:
            connection.execute(statement)
        self._filled = True

    def _upgrade(self, connection: sqlite3.Connection) -> int | None:
        """Bring an older file to this layout in one transaction, keeping a copy beside it.

        Returns:
            The layout that it has now: another process may have been first.
        """
        connection.execute("BEGIN IMMEDIATE")
        try:
            found = self._schema(connection)
            if found is not None and found < self.layout:
                copy = self.path.with_name(f"{self.path.name}.layout-{found}")
                if not copy.exists():
                    snapshot(self.path, copy)
                for statements in self._upgrades[found - 1 :]:
                    for statement in statements:
                        connection.execute(statement)
                connection.execute(
                    "UPDATE meta SET number = ? WHERE name = 'schema'", (self.layout,)
                )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return self._schema(connection)

    def _schema(self, connection: sqlite3.Connection) -> int | None:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        if tables is None:
            return None
        row = connection.execute("SELECT number FROM meta WHERE name = 'schema'").fetchone()
        return None if row is None else int(row[0])


class HeldConnection:
    """A connection that is kept as long as the path names the file it was made to."""

    def __init__(self, file: DatabaseFile, *, writes: bool) -> None:
        self._file: Final = file
        self._writes: Final = writes
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def get(self) -> sqlite3.Connection:
        """Raises StoreUnavailable, sqlite3.Error, OSError."""
        connection = self.present()
        if connection is None:
            self._connection = connection = self._file.connect(writes=self._writes)
            self._identity = self._file.identity()
        return connection

    def present(self) -> sqlite3.Connection | None:
        """It, if there is one, and to the right file. Raises OSError."""
        if self._connection is not None and self._file.identity() != self._identity:
            self.drop()
        return self._connection

    def drop(self) -> None:
        if self._connection is not None:
            connection, self._connection, self._identity = self._connection, None, None
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def opened(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Raises sqlite3.Error."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10)


def snapshot(source: Path, target: Path) -> None:
    """Write the state of one moment of a database that may be in use to a new file.

    The file is readable by its owner only, on the disk, and looked through before it has its name.

    Raises:
        StoreUnavailable: with what is wrong; nothing is left behind then.
        OSError: the file cannot be made, or is there (FileExistsError).
    """
    if target.exists():
        raise FileExistsError(EEXIST, "it is there already", str(target))
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with contextlib.closing(opened(source)) as db:
            db.execute("VACUUM INTO ?", (str(unfinished),))
        whole(unfinished)
        file = os.open(unfinished, os.O_RDONLY)
        os.fsync(file)
        os.close(file)
        os.link(unfinished, target)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{source}: {error}") from None
    finally:
        unfinished.unlink()


def whole(path: Path) -> int:
    """See that a file is an undamaged store.

    Returns:
        The number of its layout.

    Raises:
        StoreUnavailable: with what is wrong.
    """
    try:
        with contextlib.closing(opened(path)) as db:
            (said,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                raise StoreUnavailable(f"{path}: it is damaged: {said}")
            (number,) = db.execute("SELECT number FROM meta WHERE name = 'schema'").fetchone()
            return int(number)
    except (sqlite3.Error, TypeError) as error:
        raise StoreUnavailable(f"{path}: it is not a store: {error}") from None
