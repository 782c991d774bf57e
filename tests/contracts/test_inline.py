"""What the event loop does itself of SQLite's work, and when it does not."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.core.store import Count, Expect, Key
from gateway.stores.sqlite import inline
from gateway.stores.sqlite import store as sqlite
from gateway.stores.sqlite.inline import Inline
from gateway.stores.sqlite.lane import Lane
from gateway.stores.sqlite.log import Doubt
from gateway.stores.sqlite.store import SqliteStore

KEY = Key("kind", "alice", "name")

FEW: dict[str, Callable[[SqliteStore], Coroutine[Any, Any, object]]] = {
    "get": lambda store: store.get(KEY),
    "get_many": lambda store: store.get_many([KEY, Key("kind", "bob", "")]),
    "count": lambda store: store.count(KEY, window=60, add=0),
    "transact": lambda store: store.transact([Expect(KEY, 0), Count(KEY, 60, add=0)]),
    "last": lambda store: store.last("log"),
}
MANY: dict[str, Callable[[SqliteStore], Coroutine[Any, Any, object]]] = {
    "get_many": lambda store: store.get_many([Key("kind", f"p{n}", "") for n in range(100)]),
    "items": lambda store: store.items("kind", "alice"),
    "items_of": lambda store: store.items_of("kind", ["alice"]),
    "names": lambda store: store.names("kind", "alice"),
    "read": lambda store: store.read("log"),
    "put": lambda store: store.put(KEY, b"x"),
}


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteStore]:
    monkeypatch.setattr(inline, "_SLOW", 60.0)  # however busy this machine is
    store = SqliteStore(tmp_path / "state.db", time.time)
    await swept(store)
    await store.get(KEY)
    await store.put(KEY, b"x")  # the first one is the lane's
    yield store
    await store.close()


def another(store: SqliteStore) -> Inline:
    """One more of its event loop."""
    file = store._inline._file
    return Inline(file, Doubt(), store._reading, store._writing, store._syncing)


async def swept(store: SqliteStore) -> None:
    """Behind its first answer a writing lane sweeps, and holds the lock once more for that."""
    await store.put(KEY, b"")
    await store.put(KEY, b"x")


async def at_once(call: Coroutine[Any, Any, object]) -> bool:
    """Whether it ends without a turn of the loop; else it is carried out to its end."""
    before = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(before.set_result, None)
    await call
    return not before.done()


@pytest.mark.parametrize("call", FEW.values(), ids=FEW)
async def test_a_few_rows_are_read_at_once(
    store: SqliteStore, call: Callable[[SqliteStore], Coroutine[Any, Any, object]]
) -> None:
    assert await at_once(call(store))


@pytest.mark.parametrize("call", MANY.values(), ids=MANY)
async def test_more_is_not(
    store: SqliteStore, call: Callable[[SqliteStore], Coroutine[Any, Any, object]]
) -> None:
    assert not await at_once(call(store))


def passing(store: SqliteStore, value: bytes) -> Coroutine[Any, Any, int | None]:
    return store.put(KEY, value, durable=False)


async def test_what_need_not_be_durable_is_written_at_once(store: SqliteStore) -> None:
    """And whoever comes next sees it, other processes and the lanes too."""
    other = SqliteStore(store.path, time.time)
    await swept(other)
    for number in range((inline._IN_A_ROW - 4) // 3):
        assert await at_once(passing(store, b"%d" % number))
        found, (listed,) = await store.get(KEY), await store.items("kind", "alice")
        assert found is not None and listed == (KEY.name, found)
        assert found.value == b"%d" % number and found == await other.get(KEY)
        changed = await other.put(KEY, b"theirs", if_version=found.version)
        assert changed is not None and await store.put(KEY, b"", if_version=found.version) is None
    await other.close()


async def test_one_write_of_many_is_the_lanes(store: SqliteStore) -> None:
    """It checks how long the log has become, and sweeps."""
    for _ in range(inline._BY_LANE * 30):
        await passing(store, bytes(4000))
    log = store.path.with_name("state.db-wal")
    assert log.stat().st_size < 2000 * 4120, "twice what SQLite lets it grow to"


async def test_nothing_waits_for_somebody_who_writes(store: SqliteStore) -> None:
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        write = asyncio.ensure_future(passing(store, b"mine"))
        began = time.monotonic()
        await asyncio.sleep(0)
        assert time.monotonic() - began < store._patience
        assert not write.done()
        other.execute("COMMIT")
        assert await write is not None
    found = await store.get(KEY)
    assert found is not None and found.value == b"mine"


async def test_a_write_that_fails_in_the_middle_leaves_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(db: sqlite3.Connection, steps: object, now: float) -> list[int]:
        db.execute("UPDATE records SET value = x'00'")
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "carry_out", broken)
        with pytest.raises(ValueError):
            await passing(store, b"lost")
    found = await store.get(KEY)
    assert found is not None and found.value == b"x"
    assert await at_once(passing(store, b"next"))


async def test_what_was_acknowledged_is_read(store: SqliteStore) -> None:
    for number in range(50):
        version = await store.put(KEY, b"%d" % number)
        found = await store.get(KEY)
        assert found is not None and (found.value, found.version) == (b"%d" % number, version)


async def test_others_get_their_turn(store: SqliteStore) -> None:
    """Somebody reads many things one after another."""
    alone = [await at_once(store.get(KEY)) for _ in range(100)]
    assert alone.count(False) == 100 // inline._IN_A_ROW


async def test_after_a_slow_read_the_lane_reads_for_a_while(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "_SLOW", 0.005)
    times = iter([0.0, 0.1])
    monkeypatch.setattr(inline, "perf_counter", lambda: next(times, 0.1))
    await store.get(KEY)
    assert not await at_once(store.get(KEY))
    monkeypatch.setattr(inline, "perf_counter", lambda: 0.1 * inline._REST)
    assert await at_once(store.get(KEY))


async def test_while_a_write_waits_for_its_disk_the_lane_reads(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lane, "stuck", property(lambda _: True))
    assert not await at_once(store.get(KEY))


async def test_a_lock_is_not_waited_for(store: SqliteStore) -> None:
    """SQLite asks for one while it repairs a log that a killed process left."""
    reads = another(store)
    await reads.run(lambda db: None)
    asked = []

    def job(db: sqlite3.Connection) -> str:
        asked.append(db.execute("PRAGMA busy_timeout").fetchone()[0])
        if len(asked) == 1:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return "read"

    assert await reads.run(job) == "read"
    assert asked == [0, 4000]
    assert await at_once(reads.run(job)), "the connection is still there"
    reads.close()


async def test_a_mistake_of_the_caller_is_the_callers(store: SqliteStore) -> None:
    with pytest.raises(UnicodeEncodeError):
        await store.get(Key("kind", "\ud800", ""))
    assert await at_once(store.get(KEY))


async def test_many_first_reads_make_one_connection(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = another(store)
    made = []
    connect = store._inline._file.connect

    def counted(*, writes: bool) -> sqlite3.Connection:
        made.append(writes)
        return connect(writes=writes)

    monkeypatch.setattr(store._inline._file, "connect", counted)
    await asyncio.gather(*(reads.run(lambda db: None) for _ in range(20)))
    assert len(made) == 1
    reads.close()
