"""The audit trail on every store: what somebody with the store in hand can do to it is found."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.audit import entry
from gateway.core.audit.events import Event, Origin
from gateway.core.audit.trail import DAY, LOG, SHOWN, Trail
from gateway.core.audit.verify import verify
from gateway.core.crypto.keyring import KeyRing
from gateway.core.store import Store
from gateway.stores import open_store
from gateway.stores.redis.store import RedisStore
from gateway.stores.sqlite.store import SqliteStore
from tests.contracts.conftest import Clock

OLD, NEW = ("old", b"o" * 32), ("new", b"n" * 32)
ORIGIN = Origin("192.0.2.7", "Mozilla/5.0", "DELETE", "/alice/dev/pkg", "release deletion")

Rows = list[tuple[int, bytes]]


def ring(*keys: tuple[str, bytes]) -> KeyRing:
    return KeyRing(keys or (OLD,), secrets.token_bytes)


async def fill(trail: Trail, count: int, user: str = "alice") -> None:
    for number in range(count):
        await trail.record(Event.LOGIN, user, ORIGIN, factor="totp phone", detail=str(number))


async def rewrite(store: Store, rows: Rows) -> None:
    """Put other entries into the log, as only somebody at the database can."""
    if isinstance(store, RedisStore):
        key = "ig:log:{audit}"
        await store._client.send("DEL", key)
        for number, raw in rows:
            await store._client.send("XADD", key, f"{number}-0", "e", raw)
        return
    assert isinstance(store, SqliteStore)

    def job(db: object) -> None:
        execute = db.execute  # type: ignore[attr-defined]
        execute("DELETE FROM entries")
        execute("UPDATE logs SET last = ?", (rows[-1][0] if rows else 0,))
        for number, raw in rows:
            execute("INSERT INTO entries VALUES ('audit', ?, ?)", (number, raw))

    await store._write(job)


def without(number: int) -> Callable[[Rows], Rows]:
    return lambda rows: [row for row in rows if row[0] != number]


def gap_closed(number: int) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        kept = [raw for n, raw in rows if n != number]
        return list(enumerate(kept, 1))

    return change


def swapped(one: int, other: int) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        found = dict(rows)
        found[one], found[other] = found[other], found[one]
        return sorted(found.items())

    return change


def edited(number: int, old: bytes, new: bytes) -> Callable[[Rows], Rows]:
    return lambda rows: [(n, raw.replace(old, new) if n == number else raw) for n, raw in rows]


def inserted(after: int) -> Callable[[Rows], Rows]:
    """A copy of an entry put in, and what follows moved down."""

    def change(rows: Rows) -> Rows:
        raws = [raw for _, raw in rows]
        return list(enumerate([*raws[:after], raws[after - 1], *raws[after:]], 1))

    return change


def cut(left: int) -> Callable[[Rows], Rows]:
    return lambda rows: rows[:left]


ATTACKS: dict[str, tuple[Callable[[Rows], Rows], int]] = {
    "the first removed": (without(1), 1),
    "one removed": (without(5), 5),
    "one removed and the gap closed": (gap_closed(5), 5),
    "the last removed": (without(10), 10),
    "the end cut off": (cut(7), 8),
    "everything removed": (cut(0), 1),
    "two swapped": (swapped(3, 6), 3),
    "one inserted": (inserted(4), 5),
    "a person changed": (edited(10, b"alice", b"mallory"), 10),
    "a detail changed": (edited(4, b'"detail":"3"', b'"detail":"4"'), 4),
}


@pytest.mark.parametrize(("attack", "broken"), ATTACKS.values(), ids=ATTACKS)
async def test_tampering_is_found(
    store: Store, clock: Clock, attack: Callable[[Rows], Rows], broken: int
) -> None:
    trail = Trail(store, ring(), clock)
    await fill(trail, 10)
    assert (await verify(trail)).sound
    await rewrite(store, attack(await store.read(LOG)))
    verdict = await verify(trail)
    assert (verdict.sound, verdict.broken) == (False, broken), verdict.why
    # A gateway started after it records on, and heals nothing.
    await fill(Trail(store, ring(), clock), 2, "bob")
    assert not (await verify(trail)).sound


async def test_a_rotation_and_a_removal_break_no_chain(store: Store, clock: Clock) -> None:
    await fill(Trail(store, ring(OLD), clock), 5)
    clock.now += 20 * DAY
    rotated = Trail(store, ring(NEW, OLD), clock, retention=30 * DAY)
    await fill(rotated, 5)
    clock.now += 15 * DAY
    assert await rotated.tidy() == 5
    verdict = await verify(rotated)
    assert verdict.sound and verdict.entries == 6
    told = entry.read((await store.read(LOG))[-1][1], rotated.ring)
    assert (told.event, told.detail) == ("retention", "5 entries older than 30 days removed")
    await rewrite(store, (await store.read(LOG))[1:])
    assert (await verify(rotated)).broken == 6, "one more than retention said"


async def test_a_person_with_many_entries_keeps_the_newest(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.core.audit.trail.SHOWN", 20)
    trail = Trail(store, ring(), clock)
    await fill(trail, 110)
    found = await trail.of_user("alice", 0)
    assert 20 <= len(found) < 70 < SHOWN
    assert [entry.number for entry in found] == list(range(110, 110 - len(found), -1))
    assert (await verify(trail)).entries == 110


WRITER = """
import asyncio, secrets, sys, time
from pathlib import Path
from gateway.core.audit.events import Event, Origin
from gateway.core.audit.trail import Trail
from gateway.core.crypto.keyring import KeyRing
from gateway.stores import open_store
from gateway.stores.redis import store as redis
from gateway.stores.sqlite.store import SqliteStore

async def main(url, user, count, seen):
    redis.PATIENCE = patience = 60.0  # where the machine is busy, another holds the lock for long
    if url.startswith("sqlite:"):
        store = SqliteStore(Path(url.removeprefix("sqlite:")), time.time, patience=patience)
    else:
        store = await open_store(url, time.time)
    trail = Trail(store, KeyRing((("old", b"o" * 32),), secrets.token_bytes), time.time)
    for number in range(count):
        while number == count // 2 and not Path(seen).exists():
            await asyncio.sleep(0.01)
        await trail.record(Event.LOGIN, user, Origin(), detail=str(number))
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
"""


@pytest.mark.parametrize("backend", ["sqlite", "redis"])
async def test_gateways_writing_at_once_and_somebody_exporting(
    request: pytest.FixtureRequest, tmp_path: Path, backend: str
) -> None:
    """Processes of their own on one store: one chain, and every export is a part of it."""
    url = f"sqlite:{tmp_path / 'state.db'}"
    if backend == "redis":
        server = request.getfixturevalue("redis_server")
        server.command("FLUSHALL")
        url = f"redis://127.0.0.1:{server.port}/0"
    seen = tmp_path / "seen"  # half of it is written when somebody has read some of it
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, f"user{number}", "60", str(seen)])
        for number in range(3)
    ]
    store = await open_store(url, time.time)
    trail = Trail(store, ring(), time.time)
    exports: list[list[bytes]] = []
    while any(writer.poll() is None for writer in writers):
        exports.append([line async for line in trail.lines()])
        assert (await verify(trail)).sound
        if exports[-1]:
            seen.touch()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    whole = [line async for line in trail.lines()]
    for export in exports:
        assert export == whole[: len(export)]
    found = [json.loads(line) for line in whole]
    assert [one["n"] for one in found] == list(range(1, 181))
    for number in range(3):
        mine = [int(one["detail"]) for one in found if one["user"] == f"user{number}"]
        assert mine == list(range(60))
    assert any(0 < len(export) < 180 for export in exports), "exports while it was written"
    await store.close()
