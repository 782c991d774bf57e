"""Few file descriptors and many connections that wait: whoever comes next is served at once."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.proxy.descriptors import backlog, kept
from tests.serving.test_server import BODY, gateway
from tests.serving.test_server import index as index  # a fixture
from tests.support.certificates import certificate_for_localhost
from tests.support.ports import free_port

GET = b"GET /%d HTTP/1.1\r\nHost: index\r\n\r\n"
WAITING = {
    "nothing sent": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: in",
    "kept alive": GET % 0,
    "refused and not read": b"GET / HTTP/1.1\r\nHost: index\r\nHost: index\r\n\r\n" + b"x" * 100,
}


@pytest.fixture(autouse=True)
def many_for_the_test() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 8192), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def waiting(port: int, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        lines = []
        for _ in range(count):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            if sent:
                line.sendall(sent)
            if sent == WAITING["kept alive"]:
                assert line.recv(65536)
            lines.append(line)
            time.sleep(0.001)  # or they do not fit in what the kernel lets wait, for a second
        yield lines


def closed(lines: list[socket.socket]) -> list[bool]:
    found = []
    for line in lines:
        line.setblocking(False)
        try:
            found.append(line.recv(65536) == b"" or line.recv(1) == b"")
        except BlockingIOError:
            found.append(False)
        except ConnectionError:
            found.append(True)
    return found


def get(port: int, path: str = "/big") -> tuple[bytes, float]:
    began = time.monotonic()
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    line.request("GET", path)
    body = line.getresponse().read()
    line.close()
    return body, time.monotonic() - began


@pytest.mark.parametrize(
    ("how", "loop"), [*((how, "uvloop") for how in WAITING), ("kept alive", "asyncio")]
)
def test_a_new_client_is_served_though_more_wait_than_fit(
    index: str, how: str, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if loop == "asyncio":
        monkeypatch.setenv("ASYNCIO", "1")
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", before=["prlimit", "--nofile=256:256"]) as process:
        assert get(port)[0] == BODY  # it has started
        with waiting(port, 300, WAITING[how]) as lines:
            for _ in range(3):
                body, took = get(port)  # large enough for a pipe
                assert body == BODY
                assert took < 15
            if how != "refused and not read":  # there the answer's end looks like the line's
                gone = closed(lines)
                assert 40 < sum(gone) < 200
                assert all(gone[:40]), "those that waited longest"
                assert not any(gone[-40:])
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None
        said = process.stderr.read()
        assert said.count("LimitNOFILE") == 1, said
        assert "Traceback" not in said


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_connections_that_never_speak_tls_shut_nobody_out(
    index: str, loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if loop == "asyncio":
        monkeypatch.setenv("ASYNCIO", "1")
    cert, key = map(str, certificate_for_localhost(tmp_path))
    context = ssl.create_default_context(cafile=cert)
    port = free_port()
    arguments = (index, f"127.0.0.1:{port}", "1", cert, key)
    with gateway(*arguments, before=["prlimit", "--nofile=256:256"]) as process:
        with waiting(port, 150, b""), waiting(port, 150, b"\x16\x03\x01\x02\x00\x01"):
            for _ in range(3):
                began = time.monotonic()
                line = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)
                line.request("GET", "/big")
                assert line.getresponse().read() == BODY
                line.close()
                assert time.monotonic() - began < 15
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("limits", "fits"), [("1024:4096", True), ("1024:1024", False)], ids=["raised", "low"]
)
def test_1100_connections_that_wait_shut_nobody_out(index: str, limits: str, fits: bool) -> None:
    """With a soft limit of 1,024, the usual one."""
    port = free_port()
    limited = ["prlimit", f"--nofile={limits}"]
    with (
        gateway(index, f"127.0.0.1:{port}", before=limited) as process,
        waiting(port, 1100, b"") as lines,
    ):
        assert get(port)[1] < 15
        assert any(closed(lines)) == (not fits)
        soft = Path(f"/proc/{process.pid}/limits").read_text().partition("Max open files")[2]
        assert soft.split()[0] == limits.partition(":")[2]


def test_requests_that_all_come_at_once_wait_for_each_other(index: str) -> None:
    """Each takes a connection to the upstream: more than there are descriptors for."""
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", before=["prlimit", "--nofile=120:120"]) as process:
        with waiting(port, 70, b"") as lines:
            process.send_signal(signal.SIGSTOP)  # until all of them are there to be read
            for number, line in enumerate(lines):
                line.sendall(GET % number)
            process.send_signal(signal.SIGCONT)
            answers = [line.recv(65536) for line in lines]
            assert {answer[:15] for answer in answers} == {b"HTTP/1.1 200 OK"}
        open_now = len(os.listdir(f"/proc/{process.pid}/fd"))
        assert open_now < 120


def test_what_may_be_accepted_at_once_fits_in_what_is_kept() -> None:
    for most in (64, 256, 1024, 4096, 65536, 1 << 20):
        for listeners in (1, 2, 5):
            assert listeners * backlog(most, listeners) <= max(kept(most), 4 * listeners)
