"""Rows of one SQLite file, for backups and moves; and putting a backup back."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway.core.copying import CountRow, EntryRow, LogRow, RecordRow, Restored, Restoring
from gateway.core.store import PAGE, Key, StoreUnavailable
from gateway.stores.address import other_layout
from gateway.stores.sqlite.file import DatabaseFile, whole

_RECORDS: Final = """SELECT kind, owner, name, value, expires FROM records
 WHERE (kind, owner, name) > (?, ?, ?) AND (expires IS NULL OR expires > ?)
 ORDER BY kind, owner, name LIMIT ?"""
_COUNTS: Final = """SELECT kind, owner, name, until, events, expires FROM counts
 WHERE (kind, owner, name, until) > (?, ?, ?, ?) AND expires > ?
 ORDER BY kind, owner, name, until LIMIT ?"""
_ENTRIES: Final = """SELECT number, entry FROM entries WHERE log = ? AND number > ?
 ORDER BY number LIMIT ?"""


def records(db: sqlite3.Connection, after: Key | None, now: float) -> list[RecordRow]:
    found = db.execute(_RECORDS, (*(after or ("", "", "")), now, PAGE))
    return [RecordRow(Key(*row[:3]), row[3], row[4]) for row in found]


def counts(db: sqlite3.Connection, after: CountRow | None, now: float) -> list[CountRow]:
    mark = (*after.key, after.until) if after else ("", "", "", 0.0)
    found = db.execute(_COUNTS, (*mark, now, PAGE))
    return [CountRow(Key(*row[:3]), *row[3:]) for row in found]


def logs(db: sqlite3.Connection) -> list[LogRow]:
    found = db.execute(
        "SELECT log, coalesce((SELECT min(number) - 1 FROM entries e WHERE e.log = logs.log), last)"
        " FROM logs ORDER BY log"
    )
    return [LogRow(*row) for row in found]


def entries(db: sqlite3.Connection, log: str, after: int) -> list[EntryRow]:
    return [EntryRow(log, *row) for row in db.execute(_ENTRIES, (log, after, PAGE))]


def begin_log(db: sqlite3.Connection, log: str, after: int) -> None:
    db.execute("INSERT INTO logs VALUES (?, ?)", (log, after))


def add_counts(db: sqlite3.Connection, rows: Sequence[CountRow]) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?, ?)",
        [(*row.key, row.until, row.events, row.expires) for row in rows],
    )


def restore(file: DatabaseFile, source: Path, plan: Restoring) -> Restored:
    """Bring records of a backup back into a database that may be in use, in one transaction.

    Raises:
        StoreUnavailable: with what is wrong; nothing was changed.
    """
    number = whole(source)
    if number != file.layout:
        raise StoreUnavailable(f"{source}: {other_layout(number, file.layout)}")
    try:
        with contextlib.closing(file.connect(writes=True)) as db:
            return _restore(db, source, plan)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{file.path}: {error}") from None


def _restore(db: sqlite3.Connection, source: Path, plan: Restoring) -> Restored:
    db.execute("ATTACH ? AS old", (f"file:{quote(str(source))}?mode=ro",))
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            restored = _put_back(db, plan)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        return restored
    finally:
        db.execute("DETACH old")


def _put_back(db: sqlite3.Connection, plan: Restoring) -> Restored:
    followed = _goes_on(db, plan.log)
    back = (*plan.back, *(() if followed else plan.with_log))
    changed = _changed(db, plan.mended)
    marks = ",".join("?" * len(back))
    gone = db.execute(
        f"SELECT count(*) FROM records WHERE kind IN ({','.join('?' * len(plan.ended))})",  # noqa: S608
        plan.ended,
    ).fetchone()[0]
    for kinds in (back, plan.ended):
        db.executemany("DELETE FROM records WHERE kind = ?", [(kind,) for kind in kinds])
    count = db.execute(
        f"INSERT INTO records SELECT * FROM old.records WHERE kind IN ({marks})",  # noqa: S608
        back,
    ).rowcount
    if not followed:
        db.execute("DELETE FROM logs WHERE log = ?", (plan.log,))
        db.execute("DELETE FROM entries WHERE log = ?", (plan.log,))
        for table in ("logs", "entries"):
            query = f"INSERT INTO {table} SELECT * FROM old.{table} WHERE log = ?"  # noqa: S608
            db.execute(query, (plan.log,))
    # Every version that was ever handed out stays below those to come.
    db.execute(
        "UPDATE meta SET number = 1 + max(number,"
        " (SELECT number FROM old.meta WHERE name = 'version')) WHERE name = 'version'"
    )
    for owner, name, value in changed:
        db.execute(
            "UPDATE records SET value = ?, version = (SELECT number FROM meta WHERE name="
            " 'version') WHERE kind = ? AND owner = ? AND name = ?",
            (plan.mend(value), plan.mended, owner, name),
        )
    return Restored(count, gone, tuple(owner for owner, _, _ in changed), followed)


def _changed(db: sqlite3.Connection, kind: str) -> list[tuple[str, str, bytes]]:
    """Records of the backup that are not the same now."""
    return db.execute(
        "SELECT o.owner, o.name, o.value FROM old.records o LEFT JOIN records r"
        " USING (kind, owner, name) WHERE o.kind = ? AND r.version IS NOT o.version",
        (kind,),
    ).fetchall()


def _goes_on(db: sqlite3.Connection, log: str) -> bool:
    """Whether a log still holds the last entry that the backup has of it, at its place."""
    query = "SELECT number, entry FROM old.entries WHERE log = ? ORDER BY number DESC LIMIT 1"
    last = db.execute(query, (log,)).fetchone()
    if last is None:
        return True
    here = "SELECT 1 FROM entries WHERE log = ? AND number = ? AND entry = ?"
    return db.execute(here, (log, *last)).fetchone() is not None
