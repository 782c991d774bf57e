"""Whatever head the forwarder takes, pages and logins take: in our words, and not in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gate.recorder import Recorder, Seen
from tests.gate.served import Served
from tests.gate.test_hygiene import Serve, as_devpi
from tests.support.http import raw
from tests.support.pages import SHIELD

SECRET = b"s3cr3t-0f-a-session"
LONG = SECRET + b"x" * 12_000
FIELDS = {
    "cookie": b"Cookie: ig-session=" + LONG,
    "foreign cookie": b"Cookie: auth_tkt=" + LONG,
    "agent": b"User-Agent: " + LONG,
    "referer": b"Referer: http://localhost/" + LONG,
    "name": b"X-" + b"n" * 12_000 + b": " + SECRET,
    "websocket": b"Sec-WebSocket-Key1: " + SECRET,
    "http2": b"HTTP2-Settings: " + SECRET,
    "high bytes": b"User-Agent: \xff\xfe\x80 " + SECRET,
    "empty": b"X-Empty:\r\nX-Tabs:\t \t\r\nX-S: " + SECRET,
    "odd name": b"!#$%&'*+.^_`|~: " + SECRET,
    "content type": b"Content-Type: ;;=" + SECRET,
    "charset": b"Content-Type: text/html; charset=" + SECRET,
    "range": b"Range: bytes=" + SECRET,
    "date": b"If-Modified-Since: " + SECRET,
    "many": b"\r\n".join(b"X-%d: %s" % (number, SECRET) for number in range(110)),
}
TARGETS = {
    "page": b"GET /+auth/ HTTP/1.1",
    "long": b"GET /+auth/login?next=" + b"a" * 8100 + b" HTTP/1.1",
    "odd": b"GET /+auth/?a[%5b]^|{}%zz&" + SECRET + b" HTTP/1.1",
    "HEAD": b"HEAD /+auth/login HTTP/1.1",
    "HTTP/1.0": b"GET /+auth/login HTTP/1.0",
    "OPTIONS": b"OPTIONS /+auth/ HTTP/1.1",
}
BODY = b'{"user": "alice", "password": "wr0ng-%s"}' % SECRET


@pytest.fixture
def served(serve: Serve) -> Iterator[Served]:
    with Recorder(answer) as upstream:
        yield serve("devpi", upstream.url)


def answer(seen: Seen) -> bytes:
    return as_devpi(seen) if seen.line.startswith(b"POST /+login") else b""


def ask(served: Served, line: bytes, fields: bytes, body: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    head = b"%s\r\nHost: localhost\r\nConnection: close\r\n%s%s\r\n\r\n" % (line, length, fields)
    return raw(served.port, head + body)


def assert_ours(told: bytes) -> None:
    head = told.partition(b"\r\n\r\n")[0].decode("latin-1")
    assert head.startswith("HTTP/1.1 "), told[:200]
    lines = [line.lower() for line in head.split("\r\n")]
    for name, value in SHIELD.items():
        assert any(line.startswith(f"{name}: {value}".lower()) for line in lines), (name, head)
    assert "python" not in head.lower()


def log_in(served: Served, fields: bytes) -> None:
    told = ask(served, b"POST /+login HTTP/1.1", fields, BODY)
    assert told.startswith(b"HTTP/1.1 4"), told[:200]
    assert b"aiohttp" not in told.lower() and b'"message"' in told


def nothing_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert caplog.records == [], caplog.text[:500]


@pytest.mark.parametrize("line", TARGETS.values(), ids=TARGETS.keys())
def test_pages_take_every_head(
    served: Served, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    caplog.set_level(logging.WARNING)
    for fields in FIELDS.values():
        assert_ours(ask(served, line, fields))
    nothing_logged(caplog)


def test_logins_take_every_head(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for fields in FIELDS.values():
        if not fields.startswith((b"Cookie: ig-", b"Content-Type")):
            log_in(served, fields)
    nothing_logged(caplog)


NAMES = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=30).map(str.encode)
VALUES = st.lists(
    st.sampled_from([b" ", b"\t", b"a", b"\xff", b"\xc3", b'"', b";", b"=", b",", b"%", b"0"]),
    max_size=40,
).map(b"".join)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12), st.integers(1, 2_000))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_generated_heads(
    served: Served,
    caplog: pytest.LogCaptureFixture,
    fields: list[tuple[bytes, bytes]],
    times: int,
) -> None:
    lines = [b"X-%s: %s%s" % (name, SECRET, value) for name, value in fields]
    lines.append(b"X-Long: " + SECRET * (times % 1000))
    assert_ours(ask(served, b"GET /+auth/login HTTP/1.1", b"\r\n".join(lines)))
    log_in(served, b"\r\n".join(lines))
    nothing_logged(caplog)
