"""Reading a private index, beside a plain request through the same gateway in the same run.

What is compared is a request without a credential by a `pass` rule, one with a password that the
index has judged a moment ago, one with a login token of the index, and one with an API token. The
index is an nginx with the files of all loads; whether a password is right, a small server beside it
says that knows one password.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from benchmarks import loads
from benchmarks.contestants import Places
from benchmarks.loads import Small
from benchmarks.rig import LOAD_CORE, PROXY_CORE, Broken, Process, free_port, running
from gateway.app.domain import open_domain
from gateway.core.audit.events import Origin
from gateway.core.crypto.keyring import new_key
from gateway.core.tokens.records import scope_of
from gateway.core.upstream import Credential
from gateway.keystore import create_key_file
from gateway.settings import load

PLAIN: Final = "plain"
WAYS: Final = (PLAIN, "password", "devpi's token", "API token")
_USER: Final = "alice"
_PASSWORD: Final = "password of alice"
_LOGIN: Final = f'["{_USER}", [], true].' + "aR3k5w" + "." + "s" * 27
_CONFIG: Final = """\
version: 1
listen: 127.0.0.1:{port}
public_url: http://localhost:8080
upstream: {{kind: devpi, url: "http://127.0.0.1:{index}"}}
store: sqlite:state.db
keys: file:gateway.keys
rules:
  - {{name: open, match: {{methods: [GET], path: "/root/pypi/**"}}, policy: pass}}
  - {{name: reads, match: {{methods: [GET], path: "/root/dev/**"}}, policy: authenticated}}
default: second_factor
"""
_NGINX: Final = """\
daemon off; user root; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  open_file_cache max=100;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {room}; default_type text/html;
    location / {{ rewrite ^ /page break; }}
    location /+ {{ proxy_pass http://127.0.0.1:{judge}; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Private:
    """small: by way, round by round. asked: how often the index judged a password."""

    small: dict[str, list[Small]]
    asked: int


def measure(places: Places, rounds: int, say: Callable[[str], None]) -> Private:
    room = places.room("private")
    found: dict[str, list[Small]] = {way: [] for way in WAYS}
    with _judge() as judge, _index(places, room, judge) as index:
        fields = _fields(room, index)
        began = time.monotonic()
        for number in range(rounds):
            with _gateway(room, index) as process:
                first = number % len(WAYS)
                for way in WAYS[first:] + WAYS[:first]:
                    run = partial(
                        loads.small, process, kind="open" if way == PLAIN else "closed",
                        connections=64, paths=5000, field=fields[way],
                    )  # fmt: skip
                    _prime(process, way, fields[way])
                    run(seconds=1)  # warm
                    found[way].append(run())
            say(f"private: round {number + 1} of {rounds}")
            if number >= 2 and time.monotonic() - began > 80:
                break
        return Private(found, judge.asked)


def _prime(process: Process, way: str, field: bytes) -> None:
    """One request: the index is asked now, and not by all connections that then wait for it."""
    path = "pypi" if way == PLAIN else "dev"
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=20)
    name, _, value = field.decode().partition(": ")
    connection.request("GET", f"/root/{path}/+simple/x/", headers={name: value} if name else {})
    answer = connection.getresponse()
    if answer.status != 200:
        raise Broken(f"reading with {way} was answered by {answer.status}")
    connection.close()


def ratio(found: Private, way: str) -> float:
    """Processor time of a request to that of a plain one, the median of the rounds."""
    pairs = zip(found.small[way], found.small[PLAIN], strict=True)
    return statistics.median(one.cpu / plain.cpu for one, plain in pairs)


def table(found: Private) -> str:
    rows = []
    for way, runs in found.small.items():
        cpu = [run.cpu for run in runs]
        rows.append(
            f"| {way} | {statistics.median(cpu):.1f} ({min(cpu):.1f}–{max(cpu):.1f}) "
            f"| {ratio(found, way):.2f} | {statistics.median(run.rate for run in runs):.0f} |"
        )
    return (
        "## A private index, 64 connections\n\nThe ratio is to the plain request of the same "
        f"round. The index was asked {found.asked} times about passwords, a made-up one of each "
        "process among them.\n\n"
        "| | CPU per request, µs | ratio | requests/s |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows) + "\n"
    )  # fmt: skip


def _fields(room: Path, index: int) -> dict[str, bytes]:
    """The header line of each way; what the gateway has to know for it is in its store."""
    (room / "gateway.yaml").write_text(_CONFIG.format(port=free_port(), index=index))
    create_key_file(room / "gateway.keys", (new_key((), secrets.token_bytes),))

    async def token() -> str:
        async with open_domain(load(room / "gateway.yaml")) as domain:
            scope, held = scope_of(("read",), (), (), ()), Credential(_USER, _PASSWORD)
            made = await domain.tokens.make(
                _USER, "bench", scope, 86400, held, Origin("127.0.0.1", "bench")
            )
            return made.text

    return {
        PLAIN: b"",
        "password": _basic(_PASSWORD),
        "devpi's token": _basic(_LOGIN),
        "API token": _basic(asyncio.run(token())),
    }


def _basic(secret: str) -> bytes:
    return b"Authorization: Basic " + base64.b64encode(f"{_USER}:{secret}".encode())


@contextmanager
def _gateway(room: Path, index: int) -> Iterator[Process]:
    port, config = free_port(), room / "gateway.yaml"
    config.write_text(_CONFIG.format(port=port, index=index))
    program = str(Path(sys.executable).with_name("index-gateway"))
    process = Process(
        [program, "serve", "--no-look", "-c", str(config)],
        core=PROXY_CORE, port=port, log=room / "gateway.log",
    )  # fmt: skip
    with running(process):
        yield process


@contextmanager
def _index(places: Places, room: Path, judge: _Judge) -> Iterator[int]:
    port = free_port()
    pages = places.base / "index"
    (room / "nginx.conf").write_text(
        _NGINX.format(dir=room, room=pages, port=port, judge=judge.server_port)
    )
    process = Process(
        ["nginx", "-c", str(room / "nginx.conf")],
        core=LOAD_CORE, port=port, log=room / "nginx.log",
    )  # fmt: skip
    with running(process):
        yield port


class _Judge(ThreadingHTTPServer):
    """Answers as devpi does where it is asked about passwords and tokens."""

    asked = 0


class _Handler(BaseHTTPRequestHandler):
    server: _Judge

    def do_POST(self) -> None:
        self.server.asked += 1
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = sent == {"user": _USER, "password": _PASSWORD}
        result = {"password": _LOGIN, "expiration": 36000}
        told = {"type": "proxyauth", "result": result} if right else {"message": "no"}
        self._answer(200 if right else 401, told)

    def do_GET(self) -> None:
        pair = base64.b64decode(self.headers.get("X-Devpi-Auth", "")).decode()
        status = ["ok", _USER, []] if pair == f"{_USER}:{_LOGIN}" else ["noauth", "", []]
        self._answer(200, {"type": "apiconfig", "result": {"authstatus": status}})

    def _answer(self, status: int, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def _judge() -> Iterator[_Judge]:
    with _Judge(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
