"""Forms that wait to be judged: what twenty clients without a password can make a gateway keep,
and how long they make others wait."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.addresses import HEALTH
from tests.support.gateways import Gateway, running
from tests.support.memory import MIB, Memory

CLIENTS = 20
SIZE = 2_000_000  # bytes on the wire, of each
HEAD = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
FIELD = b'--x\r\nContent-Disposition: form-data; name="description"\r\n\r\n'


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, "pypiserver", "http://127.0.0.1:9") as started:
        yield started


def send(gateway: Gateway, chunks: bytes, begun: threading.Barrier) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as line:
        line.sendall(HEAD + b"%x\r\n%s\r\n" % (len(FIELD), FIELD))
        begun.wait(20)
        with contextlib.suppress(ConnectionError):  # it is refused at last
            line.sendall(chunks)
        line.settimeout(1)
        with contextlib.suppress(OSError):
            line.recv(100)


@pytest.mark.parametrize("size", [1, 1000], ids=["bytes", "pieces"])
def test_what_waits_takes_little_room_and_nobody_else_waits(gateway: Gateway, size: int) -> None:
    chunk = b"%x\r\n%s\r\n" % (size, b"d" * size)
    chunks = chunk * (SIZE // len(chunk))
    begun = threading.Barrier(CLIENTS + 1)
    senders = [threading.Thread(target=send, args=(gateway, chunks, begun)) for _ in range(CLIENTS)]
    slowest = 0.0
    client = gateway.client()
    with Memory(gateway.process_id) as memory:
        for sender in senders:
            sender.start()
        begun.wait(20)
        while any(sender.is_alive() for sender in senders):
            asked = time.monotonic()
            assert client.get(HEALTH).status == 200
            slowest = max(slowest, time.monotonic() - asked)
            time.sleep(0.05)
    assert memory.grown < 100 * MIB
    assert slowest < 3
