"""Large bodies pass through a real process that keeps none of them, whoever is slow."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.serving.test_server import certificate as certificate
from tests.serving.test_server import gateway
from tests.support.memory import MIB, Memory
from tests.support.ports import free_port

SIZE, WARM = 96 * MIB, 32 * MIB
PIECE = os.urandom(MIB)
SLOWLY = 0.5  # seconds that a reader takes its time at first
H = b"Host: index\r\n"


@dataclass(frozen=True)
class Kind:
    """tls: both before and behind the gateway. chunked: nobody says how long the body is."""

    name: str
    tls: bool = False
    chunked: bool = False

    def framing(self, size: int) -> bytes:
        if self.chunked:
            return b"Transfer-Encoding: chunked\r\n\r\n"
        return b"Content-Length: %d\r\n\r\n" % size

    def pieces(self, size: int) -> Iterator[bytes]:
        for _ in range(size // MIB):
            yield b"%x\r\n%s\r\n" % (MIB, PIECE) if self.chunked else PIECE
        if self.chunked:
            yield b"0\r\n\r\n"

    def sum(self, size: int) -> tuple[int, int]:
        return total(self.pieces(size))


KINDS = [Kind("spliced"), Kind("tls", tls=True), Kind("chunked", chunked=True)]


def total(pieces: Iterator[bytes]) -> tuple[int, int]:
    """Length and checksum."""
    length = crc = 0
    for piece in pieces:
        length, crc = length + len(piece), zlib.crc32(piece, crc)
    return length, crc


def read_head(line: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += line.recv(1)
    return head


def read(line: socket.socket, length: int) -> Iterator[bytes]:
    """So many bytes, slowly at first."""
    fast = time.monotonic() + SLOWLY
    while length:
        if time.monotonic() < fast:
            time.sleep(0.02)
        piece = line.recv(min(length, 65536))
        if not piece:
            return
        length -= len(piece)
        yield piece


@dataclass
class Index:
    """An upstream that sends a body of the asked size, or takes one and keeps its sum."""

    kind: Kind
    tls: ssl.SSLContext | None
    listener: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=8)
    )
    took: tuple[int, int] = (0, 0)

    @property
    def url(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://localhost:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            with self.tls.wrap_socket(line, server_side=True) if self.tls else line as line:
                self._talk(line)

    def _talk(self, line: socket.socket) -> None:
        head = read_head(line)
        size = int(head.split(b" ")[1].removeprefix(b"/"))
        if head.startswith(b"GET "):
            line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + self.kind.framing(size))
            for piece in self.kind.pieces(size):
                line.sendall(piece)
            return
        self.took = total(read(line, self.kind.sum(size)[0]))
        line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")


@dataclass
class Passage:
    """A gateway between an index and clients, all of one kind."""

    index: Index
    process_id: int
    port: int
    tls: ssl.SSLContext | None

    def connect(self) -> socket.socket:
        line = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        return self.tls.wrap_socket(line, server_hostname="localhost") if self.tls else line

    def download(self, size: int) -> None:
        expected = self.index.kind.sum(size)
        with self.connect() as line:
            line.sendall(b"GET /%d HTTP/1.1\r\n%s\r\n" % (size, H))
            assert read_head(line).startswith(b"HTTP/1.1 200 ")
            assert total(read(line, expected[0])) == expected

    def upload(self, size: int) -> None:
        kind = self.index.kind
        with self.connect() as line:
            line.sendall(b"POST /%d HTTP/1.1\r\n%s%s" % (size, H, kind.framing(size)))
            for piece in kind.pieces(size):
                line.sendall(piece)
            assert read_head(line).startswith(b"HTTP/1.1 200 ")
        assert self.index.took == kind.sum(size)


@pytest.fixture(params=KINDS, ids=lambda kind: str(kind.name))
def passage(
    request: pytest.FixtureRequest,
    certificate: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Passage]:
    kind: Kind = request.param
    server = client = None
    if kind.tls:
        monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(*certificate)
        client = ssl.create_default_context(cafile=certificate[0])
    index, port = Index(kind, server), free_port()
    threading.Thread(target=index.serve, daemon=True).start()
    more = certificate if kind.tls else ()
    with index.listener, gateway(index.url, f"127.0.0.1:{port}", "1", *more) as process:
        yield Passage(index, process.pid, port, client)


@pytest.mark.parametrize("way", [Passage.download, Passage.upload], ids=["down", "up"])
def test_a_large_body_is_not_kept(passage: Passage, way: Callable[[Passage, int], None]) -> None:
    """What is under way needs room (TLS some megabytes), but no more the more it is."""
    with Memory(passage.process_id) as warm:
        for _ in range(2):
            way(passage, WARM)
    with Memory(passage.process_id) as memory:
        way(passage, SIZE)
    assert memory.most - warm.most < 2 * MIB
    assert memory.grown < 8 * MIB


@pytest.mark.parametrize("passage", [KINDS[1]], ids=["tls"], indirect=True)
def test_the_end_of_a_body_reaches_a_slow_reader(
    passage: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index closes right behind its last byte, while reading from it is paused."""
    for slowly in [0.0, 0.05, 0.1] * 10:
        monkeypatch.setattr("tests.proxy.test_memory.SLOWLY", slowly)
        passage.download(5 * MIB)
