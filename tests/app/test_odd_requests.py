"""Requests no client sends: refused in our words, and without a line in the log for each."""

from __future__ import annotations

import pytest

from tests.app.served import Served
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
