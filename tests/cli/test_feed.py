"""`index-gateway audit export --to …`: each entry once, whatever breaks in between."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from gateway.cli import run
from gateway.core.audit.events import Event, Origin
from gateway.core.audit.trail import LOG, Trail
from gateway.core.crypto.keyring import KeyRing, new_key
from gateway.keystore import create_key_file
from gateway.notify.signed_post import ID, SIGNATURE, signature
from gateway.stores import open_store
from tests.cli.shell import CONFIG
from tests.support.waiting import eventually

ORIGIN = Origin("192.0.2.7", 'Mozilla/5.0 "]\\', "POST", "/", "uploads")


class Feed:
    """A configuration whose trail grows."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "gateway.yaml"
        self.config.write_text(CONFIG)
        self.keys = (new_key([], secrets.token_bytes),)
        create_key_file(directory / "gateway.keys", self.keys)
        self.directory = directory

    def on_trail(self, work: Callable[[Trail], object]) -> None:
        async def go() -> None:
            store = await open_store(f"sqlite:{self.directory}/state.db", time.time)
            await work(Trail(store, KeyRing(self.keys, secrets.token_bytes), time.time))  # type: ignore[misc]
            await store.close()

        asyncio.run(go())

    def grow(self, count: int, event: Event = Event.LOGIN, user: str = "alice") -> None:
        async def fill(trail: Trail) -> None:
            for _ in range(count):
                await trail.record(event, user, ORIGIN, detail="ü")

        self.on_trail(fill)

    def export(self, *words: object) -> int:
        return run(["audit", "export", "-c", str(self.config), *map(str, words)])


@pytest.fixture
def place(tmp_path: Path) -> Feed:
    made = Feed(tmp_path)
    made.grow(3)
    return made


def numbers(text: str) -> list[int]:
    return [json.loads(line)["n"] for line in text.splitlines()]


def test_entries_are_as_the_schema_says(place: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.export() == 0
    lines = capsys.readouterr().out.splitlines()
    assert run(["schema", "--audit"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$id"].endswith(":1") and len(lines) == 3
    for line in lines:
        jsonschema.validate(json.loads(line), schema)
    assert set(json.loads(lines[0])) == set(schema["properties"]) - {
        "trimmed",
        "project",
        "transfer",
        "request",
    }


def test_only_what_is_asked_for(place: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    place.grow(2, Event.RESET, "bob")
    place.grow(1, Event.LOGIN, "bob")
    for words, found in (
        (("--event", "reset"), [4, 5]),
        (("--event", "reset", "--event", "login"), [1, 2, 3, 4, 5, 6]),
        (("--user", "bob"), [4, 5, 6]),
        (("--user", "bob", "--event", "login"), [6]),
        (("--since", "2999-01-01"), []),
    ):
        assert place.export(*words) == 0
        assert numbers(capsys.readouterr().out) == found, words
    assert place.export("--event", "resets") == 2
    assert "reset" in capsys.readouterr().err


def test_a_file_gets_each_entry_once(place: Feed) -> None:
    file = place.directory / "trail.jsonl"
    to = f"file:{file}"
    assert place.export("--to", to) == 0
    place.grow(2)
    with file.open("ab") as half:  # as a crash leaves it
        half.write(b'{"at":"2026-')
    assert place.export("--to", to) == 0
    assert place.export("--to", to) == 0
    assert numbers(file.read_text()) == [1, 2, 3, 4, 5]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_something_else_is_left_alone(
    place: Feed, capsys: pytest.CaptureFixture[str]
) -> None:
    file = place.directory / "notes.txt"
    file.write_text("mine\n")
    assert place.export("--to", f"file:{file}") == 1
    assert file.read_text() == "mine\n"
    assert "entries of a trail" in capsys.readouterr().err


def test_a_feed_that_is_killed_again_and_again_loses_and_repeats_nothing(place: Feed) -> None:
    file = place.directory / "trail.jsonl"
    words = [sys.executable, "-m", "gateway", "audit", "export", "--follow"]
    for wanted in (13, 33):
        place.grow(20)
        with subprocess.Popen([*words, "-c", place.config, "--to", f"file:{file}"]) as process:
            assert eventually(partial(holds, file, wanted))
            process.send_signal(signal.SIGKILL)
    assert place.export("--to", f"file:{file}") == 0
    assert numbers(file.read_text()) == list(range(1, 44))


def holds(file: Path, lines: int) -> bool:
    return file.exists() and file.read_bytes().count(b"\n") >= lines


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook that can be told to fail."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self.status = [200]
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                at = re.match(r"t=(\d+),", self.headers[SIGNATURE])
                assert at and signature("k", int(at[1]), body) == self.headers[SIGNATURE]
                status = receiver.status.pop(0) if len(receiver.status) > 1 else receiver.status[0]
                if status == 200:
                    receiver.seen.append((self.headers[ID], body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.server
def test_a_webhook_gets_what_is_behind_the_cursor(
    place: Feed, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.directory / "key").write_text("k\n")
    to = (
        "--to",
        f"http://127.0.0.1:{receiver.server_port}/",
        "--key",
        f"file:{place.directory}/key",
    )
    cursor = ("--cursor", place.directory / "cursor")
    receiver.status = [200, 503]
    assert place.export(*to, *cursor) == 1
    assert "answered 503" in capsys.readouterr().err
    receiver.status = [200]
    assert place.export(*to, *cursor) == 0
    place.grow(1)
    assert place.export(*to, *cursor) == 0
    ids = [id for id, _ in receiver.seen]
    assert ids == ["audit-1", "audit-1", "audit-2", "audit-3", "audit-4"]  # unconfirmed: again
    assert [json.loads(body)["n"] for _, body in receiver.seen] == [1, 1, 2, 3, 4]
    assert place.export(*to[:2]) == 2
    assert "--key" in capsys.readouterr().err


def test_a_feed_waits_for_a_webhook_that_is_away(place: Feed, receiver: Receiver) -> None:
    receiver.status = [500, 200]
    words = [
        sys.executable,
        "-m",
        "gateway",
        "audit",
        "export",
        "--follow",
        "-c",
        str(place.config),
    ]
    to = ["--to", f"http://127.0.0.1:{receiver.server_port}/", "--key", "env:FEED_KEY"]
    with subprocess.Popen([*words, *to], env=os.environ | {"FEED_KEY": "k"}) as process:
        assert eventually(lambda: len(receiver.seen) == 3)
        place.grow(1)
        assert eventually(lambda: len(receiver.seen) == 4)
        process.terminate()


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix"])
def test_syslog_by_rfc_5424(place: Feed, kind: str) -> None:
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    form = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    path = place.directory / "log"
    with socket.socket(family, form) as server:
        server.bind(str(path) if kind == "unix" else ("127.0.0.1", 0))
        server.settimeout(60)
        where = f":{path}" if kind == "unix" else f"://127.0.0.1:{server.getsockname()[1]}"
        if kind == "tcp":
            server.listen()
        assert place.export("--to", f"syslog:{kind}{where}") == 0
        if kind == "tcp":
            with server.accept()[0] as connection:
                data = b""
                while more := connection.recv(65536):
                    data += more
            messages = []
            while data:
                size, _, data = data.partition(b" ")
                messages.append(data[: int(size)])
                data = data[int(size) :]
        else:
            messages = [server.recv(65536) for _ in range(3)]
    for number, message in enumerate(messages, 1):
        head, _, raw = message.partition(b"] ")
        assert json.loads(raw)["n"] == number
        assert re.fullmatch(
            rb"<85>1 \d{4}-\d\d-\d\dT[\d:.]+Z \S+ index-gateway - login "
            rb'\[meta sequenceId="%d"' % number,
            head,
        )
    assert len(messages) == 3


@pytest.mark.parametrize("to", ["syslog:tcp://here", "ftp://x", "syslog:/dev/log", "file:"])
def test_what_is_no_destination(place: Feed, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.export("--to", to) == 1
    assert "--to" in capsys.readouterr().err


def test_a_cursor_ahead_of_the_trail_and_one_that_retention_overtook(
    place: Feed, capsys: pytest.CaptureFixture[str]
) -> None:
    cursor = place.directory / "cursor"
    cursor.write_text('{"n": 9}')
    assert place.export("--cursor", cursor) == 1
    assert "older state" in capsys.readouterr().err
    cursor.write_text('{"n": 1}')
    place.on_trail(lambda trail: trail.store.trim(LOG, upto=2))
    assert place.export("--cursor", cursor) == 0
    out, err = capsys.readouterr()
    assert numbers(out) == [3] and "Entries 2 to 2 were removed" in err
    assert json.loads(cursor.read_text()) == {"n": 3}
    cursor.write_text("[]")
    assert place.export("--cursor", cursor) == 1
    assert "not a cursor" in capsys.readouterr().err
