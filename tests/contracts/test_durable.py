"""What SQLite acknowledges is on the disk: what a power cut would leave, and a disk that fails or
does not answer."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.core.store import Append, Key, Put, StoreStep, StoreUnavailable
from gateway.stores.sqlite import inline, lane, steps
from gateway.stores.sqlite import store as sqlite
from gateway.stores.sqlite.lane import Lane
from gateway.stores.sqlite.log import Log, log_of
from gateway.stores.sqlite.store import SqliteStore

KEY = Key("kind", "alice", "name")


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteStore]:
    """One whose event loop has its connection."""
    monkeypatch.setattr(inline, "_SLOW", 60.0)  # however busy this machine is
    monkeypatch.setattr(lane, "_STUCK", 60.0)
    store = SqliteStore(tmp_path / "state.db", time.time, patience=0.5)
    await store.get(KEY)
    await store.put(KEY, b"first")
    await store.trim("log", upto=0)  # the lane has swept, which it does behind its first answer
    yield store
    await store.close()


class Disk:
    """What is surely on it: the files as the last sync that came to its end had found them."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path
        self.syncs = 0
        self._kept: Path | None = None
        sync = Log.sync

        def kept(log: Log) -> None:
            self.syncs += 1
            kept = path.with_name(f"disk-{self.syncs}")
            kept.mkdir()
            # By another process: closing them here would drop SQLite's locks.
            subprocess.run(["cp", path, f"{path}-wal", kept], check=True)
            sync(log)
            self._kept = kept

        monkeypatch.setattr(Log, "sync", kept)

    def values(self) -> set[bytes]:
        """All values that are there after a power cut now."""
        assert self._kept is not None
        with closing(sqlite3.connect(self._kept / self._path.name)) as db:
            found = {bytes(value) for (value,) in db.execute("SELECT value FROM records")}
            return found | {bytes(entry) for (entry,) in db.execute("SELECT entry FROM entries")}


def fails_once(
    monkeypatch: pytest.MonkeyPatch, before: Callable[[], object] = lambda: None
) -> None:
    """Let the next sync fail, after this."""
    sync = Log.sync

    def fails(log: Log) -> None:
        monkeypatch.setattr(Log, "sync", sync)
        before()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Log, "sync", fails)


async def test_a_power_cut_takes_nothing_that_was_acknowledged(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(store.path, monkeypatch)

    async def writes(who: int) -> None:
        for number in range(5):
            value = b"%d %d" % (who, number)
            entry = Append("log", b"entry " + value)
            await store.transact([entry, Put(Key("kind", str(who), ""), value)])
            assert {value, b"entry " + value} <= disk.values()

    await asyncio.gather(*map(writes, range(8)))
    assert disk.syncs >= 5


async def test_those_who_come_together_wait_once(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(store.path, monkeypatch)
    sync = Log.sync

    def slowly(log: Log) -> None:
        sync(log)
        time.sleep(0.05)

    monkeypatch.setattr(Log, "sync", slowly)
    await asyncio.gather(*(store.put(Key("kind", str(n), ""), b"%d" % n) for n in range(40)))
    assert disk.syncs <= 3
    assert {b"%d" % n for n in range(40)} <= disk.values()


async def test_no_lock_is_held_while_the_disk_writes(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, sync = threading.Event(), Log.sync

    def slowly(log: Log) -> None:
        goes_on.wait(20)
        sync(log)

    monkeypatch.setattr(Log, "sync", slowly)
    waits = asyncio.ensure_future(store.put(KEY, b"mine"))
    await asyncio.sleep(0)
    with closing(sqlite3.connect(store.path, isolation_level=None, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("COMMIT")
    assert not waits.done()
    goes_on.set()
    assert await waits is not None


async def test_a_disk_that_does_not_answer(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever, the event loop not at all, and reading goes on."""
    monkeypatch.setattr(lane, "_STUCK", 0.1)
    goes_on = threading.Event()
    monkeypatch.setattr(Log, "sync", lambda log: goes_on.wait(20))
    waits = asyncio.ensure_future(store.put(KEY, b"mine"))
    try:
        await asyncio.sleep(0.2)
        began = time.monotonic()
        found = await store.get(KEY)
        assert found is not None and time.monotonic() - began < 1
        with pytest.raises(StoreUnavailable, match="no answer in"):
            await waits
    finally:
        goes_on.set()


async def test_a_disk_that_fails(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system tells of it once. What was written then may be a hole in the log, so the next one
    is acknowledged when the log was copied into the file."""
    fails_once(monkeypatch)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        with pytest.raises(StoreUnavailable, match="Input/output error"):
            await store.put(KEY, b"in the hole")
        with pytest.raises(StoreUnavailable, match="not surely on it"):
            await store.put(KEY, b"while somebody reads the log")
    assert await store.put(Key("kind", "bob", ""), b"behind it") is not None
    alone = store.path.with_name("alone.db")
    subprocess.run(["cp", store.path, alone], check=True)
    with closing(sqlite3.connect(alone)) as db:
        there = {bytes(value) for (value,) in db.execute("SELECT value FROM records")}
    assert b"in the hole" in there
    disk = Disk(store.path, monkeypatch)
    assert await store.put(KEY, b"again") is not None
    assert {b"again", b"behind it"} <= disk.values()


async def test_a_disk_that_failed_once_is_settled_with_at_once(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others, who know nothing of it, write to the same file."""
    fails_once(monkeypatch)
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        await store.put(KEY, b"in the hole")
    assert store.path.with_name("state.db-wal").stat().st_size <= 5 * 4120, "it has begun anew"


async def test_who_waits_beside_one_whose_sync_failed_is_refused_too(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, goes_on = threading.Event(), threading.Event()

    def waits() -> None:
        began.set()
        goes_on.wait(20)

    fails_once(monkeypatch, waits)
    first = asyncio.ensure_future(store.put(KEY, b"first"))
    await asyncio.to_thread(began.wait, 20)
    second = asyncio.ensure_future(store.put(KEY, b"second"))
    await asyncio.sleep(0)
    goes_on.set()
    told = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(one) for one in told] == [StoreUnavailable, StoreUnavailable]
    assert await store.put(KEY, b"third") is not None


async def test_a_long_transaction_is_the_lanes(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, carry_out = [], steps.carry_out

    def noted(db: sqlite3.Connection, what: list[StoreStep], now: float) -> list[int]:
        at.append(threading.current_thread() is threading.main_thread())
        return carry_out(db, what, now)

    monkeypatch.setattr(sqlite, "carry_out", noted)
    for many in (1, sqlite._FEW, sqlite._FEW + 1):
        await store.transact([Put(Key("kind", str(n), ""), b"") for n in range(many)])
    assert at == [True, True, False]


async def test_a_lane_that_sweeps_lets_go_of_the_lock_in_between() -> None:
    """Other processes wait for it, and this one knows nothing of them."""
    spans: list[tuple[float, float]] = []

    class Sweeps:
        most = 1

        def attempt(self, things: list[str]) -> list[object]:
            began = time.monotonic()
            if things == ["sweep"]:
                time.sleep(0.005)
                spans.append((began, time.monotonic()))
            return [len(spans) < 4]

        def end(self) -> None:
            pass

    sweeping = Lane(Sweeps(), name="it", limit=20, chore="sweep")
    assert await sweeping.run("job")
    while len(spans) < 4:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    await sweeping.close()
    assert len(spans) == 4, "there was no more of it"
    for (began, ended), (next_began, _) in pairwise(spans):
        assert next_began - ended >= 4 * (ended - began)


async def test_a_log_that_may_not_be_looked_at(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str) -> Log:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("gateway.stores.sqlite.log.Log", refused)
    another = SqliteStore(store.path, time.time)
    for number in range(5):
        found = await another.get(KEY)
        assert found is not None
        assert await another.put(KEY, b"%d" % number, if_version=found.version) is not None
    await another.close()


async def test_no_thread_can_be_started(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(StoreUnavailable, match="can't start new thread"):
            await store.put(KEY, b"x")
    assert await store.put(KEY, b"y") is not None


async def test_a_file_system_without_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has no log there. The lanes do everything."""
    connect = sqlite3.connect

    def without(name: str, **how: object) -> sqlite3.Connection:
        return connect(f"{name}&vfs=unix-dotfile", **how)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", without)
    store = SqliteStore(tmp_path / "state.db", time.time)
    for number in range(20):
        version = await store.put(KEY, b"%d" % number)
        found = await store.get(KEY)
        assert found is not None and (found.value, found.version) == (b"%d" % number, version)
        assert await store.put(KEY, b"", durable=False) is not None
    await store.close()
    monkeypatch.undo()
    with closing(connect(f"file:{store.path}?vfs=unix-dotfile", uri=True)) as db:
        assert log_of(db) is None
    assert not list(tmp_path.glob("*-wal"))
