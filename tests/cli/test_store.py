"""`backup`, `restore` and `store migrate` on a store that gateways have open meanwhile."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import time
from pathlib import Path

import pytest
import redis

from gateway.cli import run
from gateway.core.accounts.records import Account, TotpDevice, dump, load
from gateway.core.audit.events import Event, Origin
from gateway.core.audit.trail import Trail
from gateway.core.audit.verify import verify
from gateway.core.crypto.keyring import KeyRing, new_key
from gateway.core.store import Key, Store
from gateway.keystore import create_key_file
from gateway.stores import open_store
from tests.cli.shell import CONFIG

ALICE = Key("user", "alice", "")
BOB = Key("user", "bob", "")
SESSION = Key("session", "alice", "one")
TRIES = Key("tries", "alice", "192.0.2.0/24")


class Place:
    """A configuration, its keys and its store, which stays open as a gateway has it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "gateway.yaml"
        self.config.write_text(CONFIG)
        keys = (new_key([], secrets.token_bytes),)
        create_key_file(directory / "gateway.keys", keys)
        self.ring = KeyRing(keys, secrets.token_bytes)
        self.loop = asyncio.new_event_loop()
        self.store: Store = self.loop.run_until_complete(
            open_store(f"sqlite:{directory}/state.db", time.time)
        )
        self.trail = Trail(self.store, self.ring, time.time)

    def put(self, key: Key, value: bytes) -> None:
        self.loop.run_until_complete(self.store.put(key, value))

    def get(self, key: Key) -> bytes | None:
        found = self.loop.run_until_complete(self.store.get(key))
        return found.value if found else None

    def record(self, detail: str) -> None:
        self.loop.run_until_complete(
            self.trail.record(Event.LOGIN, "alice", Origin("192.0.2.7"), detail=detail)
        )

    def details(self) -> list[tuple[str, str]]:
        async def read() -> list[tuple[str, str]]:
            entries = [json.loads(raw) async for raw in self.trail.lines()]
            assert (await verify(self.trail)).sound
            return [(one["event"], one["detail"]) for one in entries]

        return self.loop.run_until_complete(read())

    def call(self, *words: object) -> int:
        return run([*map(str, words), "-c", str(self.config)])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.put(ALICE, account("alice", step=5))
    made.put(BOB, account("bob", step=5))
    made.put(SESSION, b"old")
    made.put(TRIES, b"old")
    made.record("first")
    return made


def account(name: str, *, step: int) -> bytes:
    return dump(Account(name, name, totp=(TotpDevice("id", "phone", "sealed", step, 0.0),)))


def test_a_backup_comes_back_into_a_store_in_use(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    file = place.directory / "backup.db"
    assert place.call("backup", file) == 0
    assert "2 user" in capsys.readouterr().out
    assert file.stat().st_mode & 0o777 == 0o600
    place.put(ALICE, account("alice", step=7))
    place.put(Key("user", "carol", ""), account("carol", step=1))
    place.put(TRIES, b"new")
    place.put(SESSION, b"new")
    place.record("second")
    assert place.call("restore", file, "--yes") == 0
    out, err = capsys.readouterr()
    assert "2 records came back, 1 of logins ended; the audit trail stays." in out
    assert "alice" in err and "bob" not in err
    found = place.get(ALICE)
    assert found is not None and load(found).totp[0].step > time.time() / 30
    assert place.get(BOB) == account("bob", step=5)
    assert place.get(Key("user", "carol", "")) is None
    assert place.get(SESSION) is None
    assert place.get(TRIES) == b"new"
    events = place.details()
    assert events[:2] == [("login", "first"), ("login", "second")]
    assert [event for event, _ in events[2:]] == ["store_restored"]
    place.record("third")
    assert place.details()[-1] == ("login", "third")


def test_a_trail_that_is_gone_comes_back(place: Place) -> None:
    file = place.directory / "backup.db"
    place.record("second")
    assert place.call("backup", file) == 0
    place.loop.run_until_complete(place.store.close())
    for left in place.directory.glob("state.db*"):
        left.unlink()
    assert place.call("restore", file, "--yes") == 0
    place.store = place.loop.run_until_complete(
        open_store(f"sqlite:{place.directory}/state.db", time.time)
    )
    place.trail = Trail(place.store, place.ring, time.time)
    events = place.details()
    assert events[:2] == [("login", "first"), ("login", "second")]
    assert [event for event, _ in events[2:]] == ["store_restored"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_bytes(b"no database" * 999), "is not a store"),
        (lambda file: file.write_bytes(file.read_bytes()[:9000]), "store"),
        (lambda file: file.unlink(), "is not there"),
        (lambda file: renumber(file), "layout is number 9, and this program knows 1"),
    ],
    ids=["text", "cut off", "missing", "another layout"],
)
def test_what_is_no_backup_changes_nothing(
    place: Place, capsys: pytest.CaptureFixture[str], spoil: object, said: str
) -> None:
    file = place.directory / "backup.db"
    assert place.call("backup", file) == 0
    assert callable(spoil)
    spoil(file)
    place.put(ALICE, b"now")
    assert place.call("restore", file, "--yes") == 1
    assert said in capsys.readouterr().err
    assert place.get(ALICE) == b"now" and place.get(SESSION) == b"old"


def renumber(file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.execute("UPDATE meta SET number = 9 WHERE name = 'schema'")
    db.close()


def test_no_file_is_written_over_and_none_is_left(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    file = place.directory / "backup.db"
    file.write_text("mine")
    assert place.call("backup", file) == 1
    assert file.read_text() == "mine" and "there already" in capsys.readouterr().err
    assert not [*place.directory.glob(".backup*")]


def test_a_store_moves_to_redis_and_back(
    place: Place, redis_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    there = f"redis://127.0.0.1:{redis_port}/14"
    with redis.Redis.from_url(there) as direct:
        direct.flushdb()
    here = f"sqlite:{place.directory}/state.db"
    assert run(["store", "migrate", "--dry-run", here, there]) == 0
    assert "2 user" in capsys.readouterr().out
    assert run(["store", "migrate", here, there]) == 0
    assert "2 user" in capsys.readouterr().out
    assert run(["store", "migrate", here, there]) == 1
    assert "not empty" in capsys.readouterr().err
    back = f"sqlite:{place.directory}/back.db"
    assert run(["store", "migrate", there, back]) == 0
    assert run(["store", "migrate", "sqlite:/nowhere/state.db", there]) == 1
    assert "is not there" in capsys.readouterr().err
    place.store = place.loop.run_until_complete(open_store(back, time.time))
    place.trail = Trail(place.store, place.ring, time.time)
    assert place.get(ALICE) == account("alice", step=5)
    assert place.details() == [("login", "first")]
