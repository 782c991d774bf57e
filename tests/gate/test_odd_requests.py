"""Requests no client sends: refused in our words, and without a line in the log for each."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

import pytest

from gateway.gate import replies
from tests.gate.served import Served
from tests.support.http import raw


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("post /+login", 400),
        ("patch /alice", 400),
        ("get /+auth/login", 400),
        ("FOO /+auth/", 405),
        ("PUSH /+auth/login", 405),
        ("PURGE /+login", 403),
    ],
)
def test_methods_the_pages_cannot_read(
    devpi: Served, caplog: pytest.LogCaptureFixture, line: str, status: int
) -> None:
    """Whoever asks could otherwise fill the log with tracebacks."""
    sent = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    told = raw(devpi.port, sent.encode())
    assert told.startswith(b"HTTP/1.1 %d " % status), told
    assert b'"slug"' in told
    assert caplog.records == []


@pytest.mark.parametrize("path", ["/+login", "/+auth/login"])
def test_a_client_that_leaves_in_the_middle_leaves_no_line_in_the_log(
    devpi: Served, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nOrigin: {devpi.url}\r\n"
        "Sec-Fetch-Site: same-origin\r\n\r\nuser=a"
    )
    with socket.create_connection(("127.0.0.1", devpi.port)) as line:
        line.sendall(head.encode())
        devpi.client().get("/+auth/health")  # the request has reached its handler by now
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for _ in range(5):
        assert devpi.client().get("/+auth/health").status == 200
    assert caplog.records == []


def test_a_login_that_drips(devpi: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte keeps the connection alive, so there is a limit to the whole as well."""
    monkeypatch.setattr(replies, "_BODY_WITHIN", 0.5)
    head = b"POST /+login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", devpi.port), timeout=0.05) as line:
        line.sendall(head)
        told, end = b"", time.monotonic() + 40
        while not told and time.monotonic() < end:
            line.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                told = line.recv(65536)
    assert told.startswith(b"HTTP/1.1 408 "), told
