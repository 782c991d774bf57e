"""The loads: many small requests (wrk), one large body each way, connections that idle.

Everything here runs on the load's core; what is measured is the contestant's processor time.
"""

from __future__ import annotations

import hashlib
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig import LOAD_CORE, Broken, Process

GIB = 1 << 30
_LUA = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Small:
    """Many requests. cpu: µs of processor per request; p50, p99: µs; busy: share of the core.
    requests: how many there were."""

    cpu: float
    rate: float
    busy: float
    p50: float
    p99: float
    requests: int


@dataclass(frozen=True)
class Large:
    """One body of a GiB. cpu: seconds of processor per GiB; grown: bytes at the peak."""

    cpu: float
    seconds: float
    grown: int


def small(
    process: Process,
    *,
    kind: str,
    connections: int,
    paths: int,
    seconds: float = 2.0,
    field: bytes = b"",
) -> Small:
    """Raises Broken when a request failed. field: a header line in every request."""
    before, began = process.cpu(), time.monotonic()
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s",
         "--latency", "--timeout", "10s", "-s", str(_LUA), f"http://127.0.0.1:{process.port}/",
         "--", kind, str(paths), *([field.decode().strip()] if field else [])],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    wall = time.monotonic() - began
    spent = process.cpu() - before
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    requests, duration, errors, p50, p99 = map(int, line.split()[1:])
    if errors or not requests:
        raise Broken(f"{errors} of {requests} requests failed:\n{done.stdout}")
    return Small(
        spent / 1000 / requests, requests / duration * 1e6, spent / 1e9 / wall, p50, p99, requests
    )


def download(process: Process, expected: str, size: int = GIB) -> Large:
    """Raises Broken when it is not the body that was sent."""
    process.forget_peak()
    rest, before, began = process.resident(), process.cpu(), time.monotonic()
    digest = hashlib.sha256()
    with _client(process) as sock:
        sock.sendall(b"GET /root/pypi/+f/large HTTP/1.1\r\nHost: packages.example.org\r\n\r\n")
        head, body = _head(sock)
        if f"content-length: {size}" not in head.lower():
            raise Broken(head)
        digest.update(body)
        left = size - len(body)
        buffer = bytearray(1 << 20)
        view = memoryview(buffer)
        while left:
            got = sock.recv_into(buffer)
            if not got:
                raise Broken("the download ended early")
            digest.update(view[:got])
            left -= got
    result = Large(
        (process.cpu() - before) / 1e9 * GIB / size,
        time.monotonic() - began,
        process.peak() - rest,
    )
    if digest.hexdigest() != expected:
        raise Broken("the download is not what was sent")
    return result


def upload(process: Process, source: Path, expected: str) -> Large:
    """Raises Broken when something else arrived."""
    size = source.stat().st_size
    process.forget_peak()
    rest, before, began = process.resident(), process.cpu(), time.monotonic()
    with _client(process) as sock, source.open("rb") as stream:
        sock.sendall(
            b"POST /root/dev/ HTTP/1.1\r\nHost: packages.example.org\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n" % size
        )
        sock.sendfile(stream)
        head, body = _head(sock)
        while len(body) < 64:
            more = sock.recv(64)
            if not more:
                raise Broken(f"the upload was not confirmed: {head}")
            body += more
    result = Large(
        (process.cpu() - before) / 1e9 * GIB / size,
        time.monotonic() - began,
        process.peak() - rest,
    )
    if body.decode() != expected:
        raise Broken(f"the upload did not arrive as it was sent: {head} {body!r}")
    return result


def idle(process: Process, steps: tuple[int, ...]) -> list[int]:
    """Bytes of memory at each number of idle keep-alive connections."""
    sockets: list[socket.socket] = []
    found = []
    request = b"GET /root/pypi/+simple/idle/ HTTP/1.1\r\nHost: packages.example.org\r\n\r\n"
    try:
        for step in steps:
            while len(sockets) < step:
                sock = socket.create_connection(
                    ("127.0.0.1", process.port), 10,
                    source_address=(f"127.0.0.{2 + len(sockets) // 5000}", 0),
                )  # fmt: skip
                sockets.append(sock)
                sock.sendall(request)
                if not sock.recv(65536).startswith(b"HTTP/1.1 200"):
                    raise Broken("an idle connection was not answered")
            time.sleep(1.0)
            found.append(process.memory())
    finally:
        for sock in sockets:
            sock.close()
    return found


def _client(process: Process) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", process.port), 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _head(sock: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        got = sock.recv(65536)
        if not got:
            raise Broken(f"no answer: {data!r}")
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), body
