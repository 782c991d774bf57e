"""Outages: refused within bounded time, nothing acknowledged is lost, and back by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.core.store import Append, Key, Put, Store, StoreStep, StoreUnavailable
from gateway.stores import open_store
from gateway.stores.address import RedisAddress
from gateway.stores.redis.client import RedisClient
from gateway.stores.redis.store import RedisStore
from gateway.stores.sqlite.store import SqliteStore
from tests.contracts.conftest import Clock, Server, sentinel_group, wait_for
from tests.support.ports import free_port

KEY = Key("kind", "alice", "name")


async def refused(store: Store, within: float = 20.0) -> None:
    """Every kind of call is refused, each in bounded time."""
    calls = {
        "get": lambda: store.get(KEY),
        "put": lambda: store.put(KEY, b"x"),
        "delete": lambda: store.delete(KEY),
        "claim": lambda: store.claim(KEY, expires=time.time() + 9),
        "items": lambda: store.items("kind", "alice"),
        "count": lambda: store.count(KEY, window=60),
        "append": lambda: store.append("log", b"x"),
        "read": lambda: store.read("log"),
        "last": lambda: store.last("log"),
        "trim": lambda: store.trim("log", upto=1),
        "warnings": lambda: store.warnings(),
    }
    for name, call in calls.items():
        start = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await call()  # type: ignore[no-untyped-call]
        assert time.monotonic() - start < within, name


# -- SQLite --------------------------------------------------------------------------------


@pytest.fixture
async def sqlite(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "state.db", clock, patience=0.5)
    yield store
    await store.close()


async def test_the_file_and_its_logs_are_for_the_owner_only(sqlite: SqliteStore) -> None:
    old = os.umask(0)
    try:
        await sqlite.put(KEY, b"x")
    finally:
        os.umask(old)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in sqlite.path.parent.iterdir()}
    assert modes == dict.fromkeys(["state.db", "state.db-wal", "state.db-shm"], 0o600)
    assert await sqlite.warnings() == []
    sqlite.path.chmod(0o644)
    assert [warning for warning in await sqlite.warnings() if "0644" in warning]


async def test_nothing_is_created_before_the_first_use(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path}/state.db", time.time)
    assert list(tmp_path.iterdir()) == []
    await store.close()


async def test_a_missing_directory(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "gone" / "state.db", time.time)
    await refused(store)
    await store.close()


async def test_a_file_deleted_under_a_running_gateway_is_not_made_anew(
    sqlite: SqliteStore,
) -> None:
    """An empty store would let anybody with a password enrol a factor of their own."""
    await sqlite.put(KEY, b"x")
    for path in sqlite.path.parent.iterdir():
        path.unlink()
    await refused(sqlite)
    assert not sqlite.path.exists()


async def test_a_restored_file_is_taken_up(sqlite: SqliteStore, clock: Clock) -> None:
    await sqlite.put(KEY, b"old")
    copy = sqlite.path.with_name("copy.db")
    with sqlite3.connect(sqlite.path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    await sqlite.put(KEY, b"new")
    for suffix in ("-wal", "-shm"):
        sqlite.path.with_name("state.db" + suffix).unlink()
    copy.rename(sqlite.path)
    for _ in range(2):
        record = await sqlite.get(KEY)
        assert record is not None and record.value == b"old"
        assert await sqlite.put(KEY, b"old", if_version=record.version) is not None


async def test_a_transaction_that_breaks_off_has_done_nothing(sqlite: SqliteStore) -> None:
    """Nor does it take along those that were to share its fsync."""
    broken: list[StoreStep] = [
        Put(KEY, b"x"),
        Append("log", b"x"),
        Put(Key("kind", "\ud800", ""), b"x"),
    ]
    others = [Key("kind", "bob", str(number)) for number in range(10)]
    told = await asyncio.gather(
        *(sqlite.put(other, b"y") for other in others[:5]),
        sqlite.transact(broken),
        *(sqlite.put(other, b"y") for other in others[5:]),
        return_exceptions=True,
    )
    assert isinstance(told.pop(5), UnicodeEncodeError)
    versions = [one for one in told if isinstance(one, int)]
    assert len(versions) == 10 and versions == sorted(set(versions))
    assert await sqlite.get(KEY) is None
    assert await sqlite.read("log") == []
    assert None not in await sqlite.get_many(others)


async def test_a_lock_that_is_not_given_back(sqlite: SqliteStore) -> None:
    await sqlite.put(KEY, b"x")
    other = sqlite3.connect(sqlite.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"locked|no answer"):
        await sqlite.put(KEY, b"y")
    assert time.monotonic() - start < 20
    record = await sqlite.get(KEY)
    assert record is not None and record.value == b"x", "reads do not wait for writers"
    other.execute("ROLLBACK")
    other.close()
    assert await sqlite.put(KEY, b"y") is not None


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8176]
)
async def test_a_file_that_is_no_database(sqlite: SqliteStore, content: bytes) -> None:
    sqlite.path.write_bytes(content)
    await refused(sqlite)
    assert sqlite.path.read_bytes() == content


async def test_a_layout_of_the_future(sqlite: SqliteStore) -> None:
    await sqlite.put(KEY, b"x")
    await sqlite.close()
    with sqlite3.connect(sqlite.path) as database:
        database.execute("UPDATE meta SET number = 99 WHERE name = 'schema'")
    later = SqliteStore(sqlite.path, time.time)
    with pytest.raises(StoreUnavailable, match="layout is number 99"):
        await later.get(KEY)
    await later.close()


def test_a_full_disk(tmp_path: Path) -> None:
    racer = Path(__file__).with_name("store_racer.py")
    done = subprocess.run(
        [sys.executable, str(racer), "fill", f"sqlite:{tmp_path}/state.db", "400000"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = json.loads(done.stdout)
    assert told["refused"] and told["kept"] and told["again"]
    assert 1 < told["number"] < 60


async def test_expired_rows_are_removed_in_time(sqlite: SqliteStore, clock: Clock) -> None:
    for number in range(500):
        await sqlite.put(Key("old", "", str(number)), b"x", expires=clock.now + 5)
        await sqlite.count(Key("old", "", str(number)), window=5)
    await sqlite.put(KEY, b"stays")
    clock.now += 100
    await sqlite.close()
    again = SqliteStore(sqlite.path, clock)
    await again.get(KEY)
    await again.put(KEY, b"stays")

    def left() -> int:
        with sqlite3.connect(sqlite.path) as database:
            return sum(
                database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("records", "counts")
            )

    for _ in range(100):
        if left() == 1:
            break
        await again.put(KEY, b"stays")
    assert left() == 1
    await again.close()


# -- Redis ---------------------------------------------------------------------------------


@asynccontextmanager
async def redis_at(port: int, *, patience: float = 0.4, password: str = "") -> AsyncIterator[Store]:
    address = RedisAddress("single", False, (("127.0.0.1", port),), password=password)
    store = RedisStore(RedisClient(address, patience=patience), time.time)
    yield store
    await store.close()


async def test_a_call_that_is_cancelled_is_over(redis_port: int) -> None:
    """Whenever it is cancelled; else what waits for the end of a task waits for ever."""
    async with redis_at(redis_port, patience=20) as store:

        async def calls() -> None:
            while True:
                await store.get(Key("nothing", "", ""))

        for turns in range(200):
            task = asyncio.ensure_future(calls())
            for _ in range(turns % 40):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=5)
            assert task.cancelled(), turns


async def test_no_redis_there() -> None:
    async with redis_at(free_port()) as store:
        await refused(store)


async def test_a_redis_that_does_not_answer(tmp_path: Path) -> None:
    server = Server(tmp_path, "--save", "")
    server.start()
    assert server.process is not None
    async with redis_at(server.port) as store:
        await store.put(KEY, b"x")
        server.process.send_signal(signal.SIGSTOP)
        try:
            await refused(store)
        finally:
            server.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.2)
        assert await store.get(KEY) is not None
    server.kill()


async def test_an_acknowledged_write_survives_kill_9_of_a_redis_that_syncs(tmp_path: Path) -> None:
    server = Server(tmp_path, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    async with redis_at(server.port) as store:
        for number in range(50):
            await store.put(Key("kept", "", str(number)), b"x")
            await store.append("kept", b"x")
        server.kill()
        await refused(store)
        server.start()
        assert len(await store.items("kept", "")) == 50
        assert await store.append("kept", b"x") == 51
        assert await store.warnings() == []
    server.kill()


async def test_a_wrong_password_is_not_told(tmp_path: Path) -> None:
    server = Server(tmp_path, "--save", "", "--requirepass", "right-secret")
    server.start()
    async with redis_at(server.port, password="wrong-secret") as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.get(KEY)
        assert "secret" not in repr(caught.value)
    async with redis_at(server.port, password="right-secret") as store:
        assert await store.put(KEY, b"x") is not None
    server.kill()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("--save", "", "--appendonly", "no"), ["persistence off"]),
        (("--save", "60 1", "--appendonly", "no"), ["snapshots only"]),
        (("--appendonly", "yes"), []),
        (("--appendonly", "yes", "--maxmemory-policy", "volatile-lru"), ["volatile-lru"]),
    ],
    ids=["nothing kept", "snapshots", "log", "evicting"],
)
async def test_what_an_administrator_is_warned_of(
    tmp_path: Path, settings: tuple[str, ...], words: list[str]
) -> None:
    server = Server(tmp_path, *settings)
    server.start()
    async with redis_at(server.port) as store:
        warnings = await store.warnings()
        assert len(warnings) == len(words)
        assert all(word in warning for word, warning in zip(words, warnings, strict=True))
        server.command("ACL", "SETUSER", "default", "-config")
        assert "does not let its settings be read" in (await store.warnings())[0]
    server.kill()


async def test_a_write_counts_once_a_replica_has_it(tmp_path: Path) -> None:
    with sentinel_group(tmp_path) as group:
        store = await open_store(f"{group.url}?replicas=1", time.time)
        assert await store.put(KEY, b"x", if_version=0) is not None
        assert (group.replica.command("DBSIZE") or "").startswith(":3")
        assert group.replica.process is not None
        group.replica.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="0 of 1 replicas have it"):
                await store.put(KEY, b"y")
        finally:
            group.replica.process.send_signal(signal.SIGCONT)
        assert await store.append("kept", b"x") == 1
        await store.close()


async def test_a_failover_closes_and_comes_back(tmp_path: Path) -> None:
    with sentinel_group(tmp_path) as group:
        store = await open_store(group.url, time.time)
        assert await store.put(KEY, b"x", if_version=0) is not None
        wait_for(lambda: (group.replica.command("DBSIZE") or "").startswith(":3"))
        group.primary.kill()
        with pytest.raises(StoreUnavailable):
            await store.put(KEY, b"y")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                record = await store.get(KEY)
                assert record is not None and record.value == b"x"
                assert await store.put(KEY, b"y", if_version=record.version) is not None
                break
            except StoreUnavailable:
                await asyncio.sleep(0.1)
        else:
            pytest.fail("the store did not come back after the failover")
        await store.close()
