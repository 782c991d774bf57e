"""Bodies in many chunks: what twenty clients without a password can make a gateway keep while it
looks for the field that decides, and how long they make others wait."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.urls import HEALTH
from tests.support.gateways import Gateway, running
from tests.support.memory import MIB, Memory

CLIENTS = 20
SIZE = 2_000_000  # bytes on the wire, of each
WATCHED = 2.5  # seconds
HEAD = (
    b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
FIELD = b'--x\r\nContent-Disposition: form-data; name="description"\r\n\r\n'


@pytest.fixture
def sink() -> Iterator[str]:
    """An index that takes whatever comes, and answers nothing."""

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=take, args=(line,), daemon=True).start()

    def take(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            while line.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def gateway(tmp_path: Path, sink: str) -> Iterator[Gateway]:
    with running(tmp_path, "pypiserver", sink) as started:
        yield started
        assert started.child is not None
        started.child.kill()  # it would first read to the end what is under way


def send(gateway: Gateway, path: bytes, chunks: bytes, begun: threading.Barrier) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as line:
        line.sendall(HEAD % path + b"%x\r\n%s\r\n" % (len(FIELD), FIELD))
        begun.wait(20)
        with contextlib.suppress(OSError):
            line.sendall(chunks)
            line.settimeout(2 * WATCHED)
            line.recv(100)


# A form that is held, and a body that nobody looks at.
CASES = {"held": (1, b"/"), "held pieces": (1000, b"/"), "streamed": (1, b"/RPC2")}


@pytest.mark.parametrize(("size", "path"), CASES.values(), ids=CASES)
def test_what_waits_takes_little_room_and_nobody_else_waits(
    gateway: Gateway, size: int, path: bytes
) -> None:
    chunk = b"%x\r\n%s\r\n" % (size, b"d" * size)
    chunks = chunk * (SIZE // len(chunk))
    begun = threading.Barrier(CLIENTS + 1)
    for _ in range(CLIENTS):
        arguments = (gateway, path, chunks, begun)
        threading.Thread(target=send, args=arguments, daemon=True).start()
    slowest = 0.0
    client = gateway.client()
    with Memory(gateway.process_id) as memory:
        begun.wait(20)
        end = time.monotonic() + WATCHED
        while (asked := time.monotonic()) < end:
            assert client.get(HEALTH).status == 200
            slowest = max(slowest, time.monotonic() - asked)
            time.sleep(0.02)
    assert memory.grown < 100 * MIB
    assert slowest < 20  # it was 40 where they took no turns
