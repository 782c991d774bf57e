"""Two gigabytes pass through a gateway that keeps none of them."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.gateways import Gateway, running
from tests.support.memory import MIB, Memory

GIB = 2**30
SIZE = 2 * GIB
# A repeating block whose length is no power of two, so that a lost or doubled page shows.
BLOCK = os.urandom(MIB - 4096)
BOUNDARY = b"a-boundary"
ACTION = (
    b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload\r\n'
    b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="content"; '
    b'filename="big-1.0.tar.gz"\r\nContent-Type: application/octet-stream\r\n\r\n'
)
END = b"\r\n--" + BOUNDARY + b"--\r\n"


@dataclass
class Sink:
    """An index that reads one upload to its end, compares it, and can send one of that size."""

    listener: socket.socket
    received: int = 0
    same: bool = True
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with line:
            head = b""
            while b"\r\n\r\n" not in head:
                more = line.recv(65536)
                if not more:
                    return
                head += more
            head, _, body = head.partition(b"\r\n\r\n")
            if head.startswith(b"GET"):
                line.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
                for piece in pieces(SIZE):
                    line.sendall(piece)
            else:
                self._take(line, body, length_of(head))
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            line.shutdown(socket.SHUT_WR)
            line.recv(1)

    def _take(self, line: socket.socket, begun: bytes, length: int) -> None:
        compare = Comparison(skip=len(ACTION))
        compare.feed(memoryview(begun))
        left, buffer = length - len(begun), memoryview(bytearray(MIB))
        while left:
            count = line.recv_into(buffer, min(left, MIB))
            if not count:
                break
            compare.feed(buffer[:count])
            left -= count
        self.received, self.same = length - left, compare.same
        self.done.set()


class Comparison:
    """Compares a stream with the repeating block, without keeping it.

    skip: bytes in front that are something else. What follows SIZE bytes is not looked at.
    """

    def __init__(self, skip: int = 0) -> None:
        self.same, self.seen, self._skip = True, 0, skip

    def feed(self, data: memoryview) -> None:
        cut = min(self._skip, len(data))
        self._skip -= cut
        data = data[cut : cut + max(0, SIZE - self.seen)]
        while data:
            at = self.seen % len(BLOCK)
            part = data[: len(BLOCK) - at]
            # As bytes: views are compared item by item, which takes twenty times as long.
            self.same = self.same and bytes(part) == BLOCK[at : at + len(part)]
            self.seen += len(part)
            data = data[len(part) :]


def pieces(size: int) -> Iterator[bytes]:
    whole, rest = divmod(size, len(BLOCK))
    for _ in range(whole):
        yield BLOCK
    yield BLOCK[:rest]


def length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise AssertionError(head)


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        index = Sink(listener)
        threading.Thread(target=index.serve, daemon=True).start()
        yield index


UPLOADS = {
    "devpi": b"POST /alice/dev/ HTTP/1.1\r\nHost: localhost\r\n",
    "pypiserver": b"POST / HTTP/1.1\r\nHost: localhost\r\n",
}


@pytest.mark.parametrize("kind", ["devpi", pytest.param("pypiserver", marks=pytest.mark.long)])
def test_an_upload_of_two_gigabytes(kind: str, sink: Sink, tmp_path: Path) -> None:
    sink.done.clear()
    length = len(ACTION) + SIZE + len(END)
    head = UPLOADS[kind] + (
        b"Content-Type: multipart/form-data; boundary=" + BOUNDARY + b"\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )
    with running(tmp_path, kind, sink.url) as gateway:
        warm_up(gateway)
        started = time.monotonic()
        with (
            Memory(gateway.process_id) as memory,
            socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as line,
        ):
            line.sendall(head + ACTION)
            for piece in pieces(SIZE):
                line.sendall(piece)
            line.sendall(END)
            answer = line.recv(65536)
        taken = time.monotonic() - started
    print(f"{kind}: {taken:.1f} s, memory grew by {memory.grown / MIB:.1f} MiB")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert sink.done.wait(10)
    assert sink.received == length
    assert sink.same
    assert memory.grown < 2 * MIB


def test_a_download_of_two_gigabytes(sink: Sink, tmp_path: Path) -> None:
    compare, buffer = Comparison(), memoryview(bytearray(MIB))
    with running(tmp_path, "devpi", sink.url) as gateway:
        warm_up(gateway)
        with (
            Memory(gateway.process_id) as memory,
            socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as line,
        ):
            line.sendall(
                b"GET /alice/dev/+f/1/2/big-1.0.tar.gz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            head = b""
            while b"\r\n\r\n" not in head:
                head += line.recv(65536)
            head, _, begun = head.partition(b"\r\n\r\n")
            assert length_of(head) == SIZE
            compare.feed(memoryview(begun))
            while compare.seen < SIZE:
                count = line.recv_into(buffer)
                if not count:
                    break
                compare.feed(buffer[:count])
    assert compare.seen == SIZE
    assert compare.same
    assert memory.grown < 2 * MIB


def warm_up(gateway: Gateway) -> None:
    """Let it import and connect once, so that growth means the transfer."""
    assert gateway.client().get("/+auth/health").status == 200
    form = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
    for target in ("/", "/alice/dev/"):
        gateway.client().post(target, body=ACTION + b"x" * MIB + END, fields=form)
    time.sleep(1)  # uploads are recorded a moment later
