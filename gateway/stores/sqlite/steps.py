"""Steps of one transaction, with as few statements as they take. Knows rows; knows no threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from gateway.core.store import Append, Count, Delete, Expect, Key, Put, StoreStep
from gateway.stores.window import bucket_end

_VERSION: Final = """SELECT version FROM records
 WHERE kind = ? AND owner = ? AND name = ? AND (expires IS NULL OR expires > ?)"""
_WRITE: Final = """INSERT INTO records VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
 SET value = excluded.value, version = excluded.version, expires = excluded.expires"""
_CREATE: Final = _WRITE + " WHERE records.expires <= ?"
_CHANGE: Final = """UPDATE records SET value = ?, version = ?, expires = ?
 WHERE kind = ? AND owner = ? AND name = ? AND version = ? AND (expires IS NULL OR expires > ?)"""
_DELETE: Final = """DELETE FROM records
 WHERE kind = ? AND owner = ? AND name = ? AND (expires IS NULL OR expires > ?)
 AND (?5 IS NULL OR version = ?5)"""
_COUNT: Final = """INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?)
 ON CONFLICT DO UPDATE SET events = events + excluded.events"""
_COUNTED: Final = """SELECT coalesce(sum(events), 0) FROM counts
 WHERE kind = ? AND owner = ? AND name = ? AND until > ?"""


def carry_out(db: sqlite3.Connection, steps: Sequence[StoreStep], now: float) -> list[int]:
    """See `Store.transact`; within a transaction where one of them writes."""
    return _Carrying(db, steps, now).done()


class _Carrying:
    def __init__(self, db: sqlite3.Connection, steps: Sequence[StoreStep], now: float) -> None:
        self._db: Final = db
        self._steps: Final = steps
        self._now: Final = now
        self._versions: list[int] = []
        self._ends: dict[str, int] = {}
        self._moved: set[str] = set()

    def done(self) -> list[int]:
        given: list[int] = []
        for step in self._steps:
            found = self._step(step)
            if found is None:
                break
            given.append(found)
        for log in self._moved:
            self._db.execute("INSERT OR REPLACE INTO logs VALUES (?, ?)", (log, self._ends[log]))
        return given

    def _step(self, step: StoreStep) -> int | None:
        """What a step gives, None where it does not hold."""
        match step:
            case Put():
                return self._put(step)
            case Delete():
                done = self._db.execute(_DELETE, (*step.key, self._now, step.if_version))
                return 1 if done.rowcount == 1 else None
            case Expect():
                return step.version if self._version(step.key) == step.version else None
            case Count():
                return self._count(step)
            case Append():
                return self._append(step)

    def _version(self, key: Key) -> int:
        row = self._db.execute(_VERSION, (*key, self._now)).fetchone()
        return 0 if row is None else int(row[0])

    def _put(self, step: Put) -> int | None:
        version, written = self._next_version(), (*step.key, step.value)
        if step.if_version:
            put = (step.value, version, step.expires, *step.key, step.if_version, self._now)
            done = self._db.execute(_CHANGE, put)
        elif step.if_version is None:
            done = self._db.execute(_WRITE, (*written, version, step.expires))
        else:
            done = self._db.execute(_CREATE, (*written, version, step.expires, self._now))
        return version if done.rowcount == 1 else None

    def _next_version(self) -> int:
        """One sequence for all records, so a key deleted and made again never repeats one. As
        many as may be needed are taken at once; some may be left over."""
        if not self._versions:
            count = sum(isinstance(step, Put) for step in self._steps)
            (last,) = self._db.execute(
                "UPDATE meta SET number = number + ? WHERE name = 'version' RETURNING number",
                (count,),
            ).fetchone()
            self._versions = list(range(int(last), int(last) - count, -1))
        return self._versions.pop()

    def _count(self, step: Count) -> int:
        if step.add:
            until = bucket_end(self._now, step.window)
            self._db.execute(_COUNT, (*step.key, until, step.add, until + step.window))
        row = self._db.execute(_COUNTED, (*step.key, self._now - step.window)).fetchone()
        return int(row[0])

    def _append(self, step: Append) -> int | None:
        last = self._ends.get(step.log)
        if last is None:
            query = "SELECT last FROM logs WHERE log = ?"
            row = self._db.execute(query, (step.log,)).fetchone()
            last = self._ends[step.log] = 0 if row is None else int(row[0])
        if step.after is not None and step.after != last:
            return None
        self._db.execute("INSERT INTO entries VALUES (?, ?, ?)", (step.log, last + 1, step.entry))
        self._ends[step.log] = last + 1
        self._moved.add(step.log)
        return last + 1
