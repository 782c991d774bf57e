"""`index-gateway audit` on a real configuration, key file and store."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.cli import run
from gateway.cli.stats import drawn
from gateway.core.audit.events import Event, Origin
from gateway.core.audit.tally import Day
from gateway.core.audit.trail import Trail
from gateway.core.crypto.keyring import KeyRing, new_key, parse_keys
from gateway.keystore import create_key_file
from gateway.stores import open_store
from tests.cli.shell import CONFIG

ORIGIN = Origin("192.0.2.7", "Mozilla/5.0 (X11; Linux) Firefox/150.0", "POST", "/", "uploads")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose trail holds three entries."""
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    keys = (new_key([], secrets.token_bytes),)
    create_key_file(tmp_path / "gateway.keys", keys)

    async def fill() -> None:
        store = await open_store(f"sqlite:{tmp_path}/state.db", time.time)
        trail = Trail(store, KeyRing(keys, secrets.token_bytes), time.time)
        for user in ("alice", "bob"):
            await trail.record(Event.LOGIN, user, ORIGIN, factor="totp phone")
        await trail.record(Event.RESET, "bob", Origin(), detail="lost phone\x1b[2J")
        await store.close()

    asyncio.run(fill())
    return file


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = run([str(word) for word in ("audit", *words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_tail(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "tail", "-n", "2", "-c", config)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert "bob from 192.0.2.7 (Firefox on Linux) with totp phone POST / [uploads]" in first
    assert "bob - lost phone?[2J" in second and "\x1b" not in second


def test_tail_follows(config: Path) -> None:
    words = [sys.executable, "-m", "gateway", "audit", "tail", "-f", "-n", "1", "-c", str(config)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "reset" in process.stdout.readline()

        asyncio.run(one_more(config))
        assert "unlocked" in process.stdout.readline()
        process.terminate()


async def one_more(config: Path) -> None:
    keys = parse_keys(config.with_name("gateway.keys").read_text())
    store = await open_store(f"sqlite:{config.parent}/state.db", time.time)
    trail = Trail(store, KeyRing(keys, secrets.token_bytes), time.time)
    await trail.record(Event.UNLOCKED, "bob", Origin())
    await store.close()


def test_tail_waits_for_a_store_that_is_away(config: Path) -> None:
    words = [sys.executable, "-m", "gateway", "audit", "tail", "-f", "-n", "1", "-c", str(config)]
    away, place = config.parent / "away", config.parent
    away.mkdir()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert "reset" in process.stdout.readline()
        for file in place.glob("state.db*"):
            file.rename(away / file.name)
        assert "warning: The store cannot be reached" in process.stderr.readline()
        for file in away.iterdir():
            file.rename(place / file.name)
        asyncio.run(one_more(config))
        assert "unlocked" in process.stdout.readline()
        process.terminate()


def test_export(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "export", "-c", config)
    assert code == 0
    assert [json.loads(line)["user"] for line in out.splitlines()] == ["alice", "bob", "bob"]
    assert call(capsys, "export", "-c", config, "--since", "2999-01-01")[:2] == (0, "")
    assert call(capsys, "export", "-c", config, "--until", "2000-01-01T00:00:00Z")[:2] == (0, "")
    code, _, err = call(capsys, "export", "-c", config, "--since", "yesterday")
    assert code == 2 and "2026-01-31" in err


FOUND: dict[str, tuple[list[str], int]] = {
    "all": ([], 3),
    "a person": (["--user", "Bob"], 2),
    "an event": (["--event", "reset"], 1),
    "neither": (["--user", "alice", "--event", "reset"], 0),
    "a time": (["--since", "2999-01-01"], 0),
    "a project": (["--project", "nothing"], 0),
    "so many": (["-n", "1"], 1),
}


@pytest.mark.parametrize(("options", "count"), FOUND.values(), ids=list(FOUND))
def test_find(
    config: Path, capsys: pytest.CaptureFixture[str], options: list[str], count: int
) -> None:
    code, out, err = call(capsys, "find", "-c", config, *options)
    assert (code, len(out.splitlines())) == (0, count)
    assert ("hint: Nothing was found." in err) == (not count)
    lines = call(capsys, "find", "-c", config, *options, "--json")[1].splitlines()
    exported = call(capsys, "export", "-c", config)[1].splitlines()
    assert len(lines) == count
    assert set(lines) <= set(exported), "an entry as it is exported"
    table = call(capsys, "find", "-c", config, *options, "--csv")[1].splitlines()
    assert table[0].startswith('"number","at","event"')
    assert len(table) == count + 1


def test_find_knows_its_events(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "find", "-c", config, "--event", "nothing")
    assert code == 2 and "factor_refused" in err
    assert call(capsys, "find", "-c", config, "--csv", "--json")[0] == 2


def test_stats(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "stats", "-c", config)
    assert code == 0
    assert "in 30 days" in out and "█" in out
    days = json.loads(call(capsys, "stats", "-c", config, "--json")[1])
    assert len(days) == 30
    assert sum(sum(day["events"].values()) for day in days) == 3


def test_bars_are_as_tall_as_their_days_are_busy() -> None:
    busy = [0, 1, 8, 16, 32]
    days = [Day(f"2026-01-{at:02}", {"login": count}) for at, count in enumerate(busy, 1)]
    lines = drawn(days, 80).splitlines()
    assert lines[0] == "Logins: 57 in 5 days, most 32 on 2026-01-05, 32 today"
    assert lines[1:5] == [
        "            ██",
        "            ██",
        "         ██ ██",
        "   ▁▁ ██ ██ ██",
    ]
    assert lines[5] == "01-01    01-05"
    assert max(map(len, drawn(days * 6, 30).splitlines()[1:])) <= 30


def test_verify(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "verify", "-c", config)
    assert code == 0 and out.startswith("3 entries, none changed")
    head = out.splitlines()[1].removeprefix("head ")
    assert call(capsys, "verify", "-c", config, "--head", head)[0] == 0
    assert call(capsys, "verify", "-c", config, "--head", "2")[0] == 2
    with sqlite3.connect(config.with_name("state.db")) as database:
        database.execute("DELETE FROM entries WHERE number = 2")
    code, out, err = call(capsys, "verify", "-c", config)
    assert (code, out) == (1, "")
    assert "index-gateway: error: Entry 2 is missing." in err


def test_without_the_keys(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.with_name("gateway.keys").write_text("nonsense\n")
    code, _, err = call(capsys, "verify", "-c", config)
    assert code == 1 and "gateway.keys" in err
    config.with_name("gateway.keys").unlink()
    assert call(capsys, "verify", "-c", config)[0] == 1
