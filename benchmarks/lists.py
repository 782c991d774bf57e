"""Lists that grow with people: the commands that read them and the sweep of ended sessions, at a
thousand and at two hundred thousand accounts, on SQLite and on Redis.

Every account has a second factor, one in four a live session, one in ten wrong codes. All are
copies of one that the gateway's own code made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig import LOAD_CORE, PROXY_CORE, REPOSITORY, Broken, free_port
from gateway.app.domain import open_domain
from gateway.core.administration import Admin
from gateway.core.audit.events import Origin
from gateway.core.crypto.keyring import new_key
from gateway.core.store import Key
from gateway.keystore import create_key_file
from gateway.settings import Settings, load
from gateway.stores.redis.places import place_of, shared

SIZES = (1_000, 200_000)
DUE = 100
"""People whose session has just ended in the sweep that finds some."""
_DAY = 86400.0
_TEMPLATE = "template"
_CONFIG = """\
version: 1
public_url: http://localhost:8080
upstream: {{kind: pypiserver, url: "http://127.0.0.1:9"}}
store: {store}
keys: file:{keys}
"""


@dataclass(frozen=True, slots=True)
class ListRun:
    """Seconds. first: a sweep of a store that an earlier version wrote; quiet: one with nothing
    due; due: one with `DUE` people due."""

    store: str
    people: int
    fill: float
    text: float
    json: float
    who: float
    reseal: float
    first: float
    quiet: float
    due: float


def measure(base: Path, say: Callable[[str], None]) -> list[ListRun]:
    """All sizes on both stores.

    Raises:
        Broken: a command fails, or lists another number of people.
    """
    found = []
    for people in SIZES:
        room = base / f"lists-{people}"
        room.mkdir()
        found.append(_measure(room, "SQLite", f"sqlite:{room / 'state.db'}", people))
        say(f"lists: {people} on SQLite")
        with _redis(room) as url:
            found.append(_measure(room, "Redis", url, people))
        say(f"lists: {people} on Redis")
        shutil.rmtree(room)
    return found


@contextlib.contextmanager
def _redis(room: Path) -> Iterator[str]:
    port = free_port()
    words = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    with (room / "redis.log").open("wb") as log:
        server = subprocess.Popen(
            ["taskset", "-c", str(LOAD_CORE), "redis-server", *words],
            stdout=log, stderr=log, cwd=room,
        )  # fmt: skip
    try:
        for _ in range(200):
            if b"Ready to accept" in (room / "redis.log").read_bytes():
                break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def _measure(room: Path, name: str, url: str, people: int) -> ListRun:
    config, keys = room / f"{name}.yaml", room / f"{name}.keys"
    create_key_file(keys, (new_key((), secrets.token_bytes),))
    config.write_text(_CONFIG.format(store=url, keys=keys))
    settings = load(config)
    fill = _fill(settings, people)
    return ListRun(
        name,
        people,
        fill,
        _thrice(config, people, "user", "list"),
        _thrice(config, people, "user", "list", "--json"),
        _command(config, 0, "check", "--who"),
        _command(config, 0, "keys", "rotate", "--reseal-only"),
        *asyncio.run(_sweeps(settings)),
    )


def _thrice(config: Path, lines: int, *words: str) -> float:
    return statistics.median(_command(config, lines, *words) for _ in range(3))


def _command(config: Path, lines: int, *words: str) -> float:
    """Seconds that a command takes, its start included."""
    began = time.monotonic()
    both = ("taskset", "-c", f"{PROXY_CORE},{LOAD_CORE}")  # as an administrator runs it
    done = subprocess.run(
        [*both, sys.executable, "-m", "gateway", *words, "-c", config],
        capture_output=True, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - began
    if done.returncode != 0 or done.stdout.count(b"\n") < lines:
        raise Broken(f"{' '.join(words)}: {done.returncode}: {done.stderr.decode()[-500:]}")
    return seconds


def _fill(settings: Settings, people: int) -> float:
    """Copy a person with a session until there are enough; the seconds."""
    began = time.monotonic()
    rows = asyncio.run(_template(settings, people - 1))
    if settings.store.startswith("sqlite:"):
        with contextlib.closing(sqlite3.connect(settings.store.removeprefix("sqlite:"))) as file:
            file.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?, 1, ?)",
                ((*key, value, expires) for key, value, expires in rows),
            )
            file.commit()
    else:
        port = settings.store.rpartition(":")[2].partition("/")[0]
        with tempfile.TemporaryFile() as commands:
            for key, value, expires in rows:
                ends = b"-" if expires is None else b"%f" % expires
                index = shared(key.kind, key.owner, "i")
                score = "+inf" if expires is None else repr(expires)
                commands.write(_spoken("SET", place_of(key, "r"), b"1 " + ends + b"\n" + value))
                commands.write(_spoken("ZADD", index, score, key.name))
            commands.seek(0)
            subprocess.run(
                ["redis-cli", "-p", port, "--pipe"],
                stdin=commands, stdout=subprocess.DEVNULL, check=True,
            )  # fmt: skip
    return time.monotonic() - began


def _spoken(*words: str | bytes) -> bytes:
    """A command as Redis reads it."""
    raw = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in raw)


async def _template(settings: Settings, copies: int) -> Iterator[tuple[Key, bytes, float | None]]:
    """Make a person with a session; the records of so many more."""
    async with open_domain(settings) as parts:
        await Admin(parts).enrol(_TEMPLATE)
        now = parts.clock()
        opening = parts.sessions.opening(
            _TEMPLATE, _TEMPLATE, Origin(), epoch=1, proved_at=now, factor="totp", upstream=None
        )
        await parts.store.transact([opening.record])
        await parts.sessions.opened(opening)
        account = await parts.store.get(Key("user", _TEMPLATE, ""))
        ((id, session),) = await parts.store.items("session", _TEMPLATE)
    assert account is not None
    return _copies(account.value, id, session.value, now, copies)


def _copies(
    account: bytes, id: str, session: bytes, now: float, count: int
) -> Iterator[tuple[Key, bytes, float | None]]:
    ends, tries = now + 2 * _DAY, json.dumps([now]).encode()
    for number in range(count):
        name = f"person-{number:06}"
        yield Key("person", "", name), b"", None
        yield Key("user", name, ""), account.replace(_TEMPLATE.encode(), name.encode()), None
        if number % 4 == 0:
            yield Key("session", name, id), session, ends
        if number % 10 == 0:
            yield Key("tries", name, "all"), tries, ends


async def _sweeps(settings: Settings) -> tuple[float, float, float]:
    async with open_domain(settings) as parts:
        first, quiet = await _timed(parts.sweep_due), await _timed(parts.sweep_due)
        ((id, session),) = await parts.store.items("session", _TEMPLATE)
        long_ago = parts.clock() - _DAY
        over = json.loads(session.value) | {"created": long_ago, "seen": long_ago}
        ends = parts.clock() + _DAY - 60
        for number in range(DUE):
            key = Key("session", f"person-{number:06}", id)
            await parts.store.put(key, json.dumps(over).encode(), expires=ends)
        due = await _timed(parts.sweep_due)
        left = [await parts.store.items("session", f"person-{n:06}") for n in range(DUE)]
        if any(left):
            raise Broken("a sweep left sessions that are over")
    return first, quiet, due


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.monotonic()
    await work()
    return time.monotonic() - began


def goals(runs: Sequence[ListRun]) -> Iterator[tuple[str, float, float, str]]:
    """What is wanted: in words, at most, as found, the unit."""
    for run in runs:
        if run.people == max(SIZES):
            where = f"{run.people:,} people on {run.store}"
            yield f"user list, {where}", 5, run.text, " s"
            yield f"user list --json, {where}", 5, run.json, " s"
            yield f"sweep with nothing due, {where}", 0.1, run.quiet, " s"
            few = next(o for o in runs if o.store == run.store and o.people == min(SIZES))
            yield f"sweep of {DUE}, {where} against {few.people:,}", 2, run.due / few.due, " ×"


def table(runs: Sequence[ListRun]) -> str:
    rows = [
        f"| {run.store} | {run.people:,} | {run.fill:.1f} | {run.text:.2f} | {run.json:.2f} "
        f"| {run.who:.2f} | {run.reseal:.2f} | {run.first:.3f} | {run.quiet:.3f} | {run.due:.3f} |"
        for run in runs
    ]
    return (
        "## Lists that grow with people\n\nSeconds, the start of a command included; the lists are "
        "the middle one of three. Everybody has "
        "a second factor, one in four a session, one in ten "
        "wrong codes. The first sweep is that of a store of an earlier version.\n\n"
        "| store | people | filled in | user list | user list --json | check --who "
        "| keys rotate --reseal-only | first sweep | sweep, nothing due "
        f"| sweep, {DUE} due |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        + "\n".join(rows) + "\n"
    )  # fmt: skip
