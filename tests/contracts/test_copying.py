"""Everything in a store, read as rows and written to another one, on every backend."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.core.copying import Copyable, CountRow, EntryRow, copy, inventory, is_empty
from gateway.core.store import Key, Store, StoreUnavailable
from gateway.stores import open_store
from gateway.stores.sqlite.file import DatabaseFile
from tests.contracts.conftest import Clock

STRANGE = ("", "a", "a/b", "{c}", "d:e", "f\ng", "ü 100%")


async def fill(store: Store, clock: Clock) -> None:
    for owner in STRANGE:
        for name in STRANGE:
            await store.put(Key("kind", owner, name), f"{owner} {name}".encode() + bytes(range(9)))
            await store.count(Key("guess", owner, name), window=600, add=3)
    await store.put(Key("session", "alice", "soon"), b"1", expires=clock.now + 60)
    await store.put(Key("session", "alice", "late"), b"2", expires=clock.now + 90_000)
    await store.put(Key("session", "alice", "over"), b"3", expires=clock.now - 1)
    for number in range(2500):
        await store.append("audit", b"entry %d" % number)
    await store.trim("audit", upto=30)
    await store.append("other", b"gone")
    await store.trim("other", upto=1)


async def content(store: Copyable) -> list[str]:
    """All rows, but for when counters are cleared away, which Redis knows to the millisecond."""
    found = [row async for page in store.rows() for row in page]
    return sorted(
        repr(row._replace(expires=0.0) if isinstance(row, CountRow) else row) for row in found
    )


async def test_a_copy_of_a_copy_holds_the_same(
    store: Copyable, clock: Clock, tmp_path: Path, store_url: str
) -> None:
    """From the backend to a file, and from the file to the backend emptied."""
    await fill(store, clock)
    file = await open_store(f"sqlite:{tmp_path / 'copy.db'}", clock)
    assert isinstance(file, Copyable)
    assert await is_empty(file) and not await is_empty(store)
    copied = await copy(store, file, clock)
    assert copied.counts == {
        "kind": len(STRANGE) ** 2,
        "session": 2,
        "(counts)": len(STRANGE) ** 2,
        "(log audit)": 2470,
    }
    assert copied.digest == (await inventory(store, clock)).digest
    assert copied.digest == (await inventory(file, clock)).digest
    assert await content(file) == await content(store)
    assert await file.append("audit", b"next", after=2500) == 2501
    assert await file.append("other", b"next") == 2
    again = await open_store(f"sqlite:{tmp_path / 'again.db'}", clock)
    assert isinstance(again, Copyable)
    assert (await copy(file, again, clock)).counts["(log other)"] == 1
    assert await content(again) == await content(file)
    await again.close()
    await file.close()


async def test_a_file_is_written_to_every_backend(
    store: Copyable, clock: Clock, tmp_path: Path
) -> None:
    file = await open_store(f"sqlite:{tmp_path / 'source.db'}", clock)
    assert isinstance(file, Copyable)
    await fill(file, clock)
    await copy(file, store, clock)
    assert await content(store) == await content(file)
    assert (await inventory(store, clock)).digest == (await inventory(file, clock)).digest
    assert await store.append("audit", b"next", after=2500) == 2501
    assert await store.count(Key("guess", "a", "a"), window=600, add=0) == 3
    clock.now += 61
    assert await store.get(Key("session", "alice", "soon")) is None
    assert await store.get(Key("session", "alice", "late")) is not None
    with pytest.raises(StoreUnavailable):
        await copy(file, store, clock)
    await file.close()


async def test_a_change_shows_in_the_number(store: Copyable, clock: Clock) -> None:
    await store.put(Key("kind", "a", "b"), b"1")
    before = (await inventory(store, clock)).digest
    await store.put(Key("kind", "a", "b"), b"2")
    after = await inventory(store, clock)
    assert after.digest != before
    await store.append("audit", b"entry")
    assert (await inventory(store, clock)).digest != after.digest
    assert [row async for page in store.rows() for row in page][-1] == EntryRow(
        "audit", 1, b"entry"
    )


def layouts(file: Path) -> list[str]:
    return sorted(path.name for path in file.parent.glob("state.db*") if "-wal" not in path.name
                  and "-shm" not in path.name)  # fmt: skip


NEXT = (("ALTER TABLE records ADD COLUMN more TEXT", "UPDATE records SET more = kind"),)


def made(tmp_path: Path) -> Path:
    file = tmp_path / "state.db"
    with DatabaseFile(file, patience=1).connect(writes=True) as db:
        db.execute("INSERT INTO records VALUES ('kind', 'alice', '', x'31', 7, NULL)")
    db.close()
    return file


def test_an_older_layout_is_brought_up_in_one_step_and_a_copy_is_kept(tmp_path: Path) -> None:
    file = made(tmp_path)
    for _ in range(2):  # the second time there is nothing to do
        with DatabaseFile(file, patience=1, upgrades=NEXT).connect(writes=True) as db:
            assert db.execute("SELECT more FROM records").fetchall() == [("kind",)]
        db.close()
    assert layouts(file) == ["state.db", "state.db.layout-1"]
    with sqlite3.connect(tmp_path / "state.db.layout-1") as old:
        assert old.execute("SELECT owner, version FROM records").fetchall() == [("alice", 7)]
    old.close()
    assert (tmp_path / "state.db.layout-1").stat().st_mode & 0o777 == 0o600


def test_an_older_program_refuses_a_newer_layout(tmp_path: Path) -> None:
    file = made(tmp_path)
    DatabaseFile(file, patience=1, upgrades=NEXT).connect(writes=True).close()
    with pytest.raises(StoreUnavailable, match="layout is number 2, and this program knows 1"):
        DatabaseFile(file, patience=1).connect(writes=False)


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    file = made(tmp_path)
    broken = ((*NEXT[0], "UPDATE nothing SET a = 1"),)
    with pytest.raises(sqlite3.OperationalError):
        DatabaseFile(file, patience=1, upgrades=broken).connect(writes=True)
    with DatabaseFile(file, patience=1).connect(writes=True) as db:
        assert db.execute("SELECT * FROM records").fetchall() == [
            ("kind", "alice", "", b"1", 7, None)
        ]
    db.close()


async def test_redis_of_another_layout_is_refused(
    redis_server: object, clock: Clock, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("redis_server")
    server.command("FLUSHALL")
    server.command("SET", "ig:layout", "2")
    store = await open_store(f"redis://127.0.0.1:{server.port}/0", clock)
    with pytest.raises(StoreUnavailable, match="layout is number 2, and this program knows 1"):
        await store.get(Key("kind", "alice", ""))
    await store.close()
    server.command("FLUSHALL")
