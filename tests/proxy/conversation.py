"""Conversations over real loopback sockets: client sends, upstream receives, client gets.

The upstream is scripted by the test, byte by byte; both ends connect as the way that is taken
says (`ways.py`). At the end nothing may be left over (`leaks.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from gateway.core.counters import Counters
from gateway.core.http.facts import Networks
from gateway.core.http.request_id import RequestIds
from gateway.proxy.forwarder import Forwarder
from gateway.proxy.http1.response import AnswerReader
from gateway.proxy.limits import Limits
from gateway.proxy.ports import AccessLog, PageServer
from gateway.proxy.upstream_pool import UpstreamAddress
from tests.proxy.leaks import Watch
from tests.proxy.passgate import NoPages, PassGate
from tests.proxy.ways import Way, connect, listen, taken
from tests.proxy.ways import endpoint as endpoint_of

WAIT = 30.0
H = b"Host: index\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\n" + H + b"\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n"

QUICK = Limits(head_time=0.4, idle=0.5, connect=0.4, answer=0.5, stall=0.4, linger=0.6, drain=0.5)
CLOSED = b""


def post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % length


class Peer:
    """One end of a connection, as the test plays it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def send_slowly(self, data: bytes) -> None:
        """Byte by byte, each in a packet of its own."""
        for index in range(len(data)):
            self.writer.write(data[index : index + 1])
            await asyncio.sleep(0)

    async def pour(self, piece: bytes, times: int) -> None:
        """Send it so often, no faster than the other side takes it."""
        for _ in range(times):
            self.writer.write(piece)
            await self.writer.drain()

    async def get(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), WAIT)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT)

    async def until(self, mark: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(mark), WAIT)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection; ConnectionError when it was reset."""
        return await asyncio.wait_for(self.reader.read(), WAIT)

    async def broken_off(self) -> bytes:
        """What came before the connection was reset; a unix socket cannot say so, and just ends."""
        data = bytearray()
        try:
            while piece := await asyncio.wait_for(self.reader.read(65536), WAIT):
                data += piece
        except ConnectionError:
            return bytes(data + self.reader._buffer)  # type: ignore[attr-defined]
        assert self.writer.get_extra_info("socket").family == socket.AF_UNIX, "not reset"
        return bytes(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """An answer with Content-Length (or none): status, fields, body."""
        status, fields = parse(await self.head())
        length = int(fields.get("content-length", "0"))
        return status, fields, await self.get(length)

    async def gone(self) -> bool:
        """The other side has closed or reset, and sent nothing."""
        try:
            return await asyncio.wait_for(self.reader.read(1), WAIT) == CLOSED
        except ConnectionError:
            return True

    def quiet(self) -> bool:
        """Nothing has come so far."""
        return not self.reader._buffer and not self.reader.at_eof()  # type: ignore[attr-defined]

    def finish(self) -> None:
        self.writer.close()

    def half_close(self) -> None:
        """Send no more."""
        if self.writer.can_write_eof():
            self.writer.write_eof()
        else:
            self._closing = asyncio.get_running_loop().create_task(self._close_tls())

    async def _close_tls(self) -> None:
        """In this direction only; the event loops know no such thing."""
        transport = self.writer.transport
        while transport.get_write_buffer_size():
            await asyncio.sleep(0.001)
        with contextlib.suppress(ssl.SSLWantReadError):  # for the other side's
            transport.get_extra_info("ssl_object").unwrap()
        self.stop_reading()
        self.go_on_reading()  # sends what TLS has to say

    async def leave(self) -> None:
        """Close the connection, and TLS before it, as one who does not wait for the other side to
        close TLS, too."""
        if self.writer.get_extra_info("ssl_object") is None:
            self.finish()
            return
        await self._close_tls()
        await asyncio.sleep(0.02)
        self.drop()

    def end_below(self) -> None:
        """End what is sent below TLS, which is not closed: somebody on the way could, too."""
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off; through a unix socket that is no more than its end."""
        sock: socket.socket | None = self.writer.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def drop(self) -> None:
        """Let go of the connection, whatever state it is in."""
        with contextlib.suppress(AttributeError):  # asyncio's, where it has ended already
            self.writer.transport.abort()

    def stop_reading(self) -> None:
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def go_on_reading(self) -> None:
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]


def parse(head: bytes) -> tuple[int, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in fields.items()}


@dataclass
class Talk:
    """One forwarder between a test's clients and its scripted upstream."""

    forwarder: Forwarder
    gate: PassGate
    way: Way
    front: str
    back: str
    arrivals: asyncio.Queue[Peer] = field(default_factory=asyncio.Queue)
    clients: list[Peer] = field(default_factory=list)
    upstreams: list[Peer] = field(default_factory=list)

    async def client(self, *, directly: bool = False) -> Peer:
        """directly: to the upstream, past the forwarder."""
        kind, where = (self.way.back, self.back) if directly else (self.way.front, self.front)
        peer = Peer(*await connect(kind, where, 1 << 27))
        self.clients.append(peer)
        return peer

    def arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.upstreams.append(peer)
        self.arrivals.put_nowait(peer)

    async def upstream(self) -> Peer:
        """The next connection that reaches the upstream."""
        return await asyncio.wait_for(self.arrivals.get(), WAIT)

    @property
    def untouched(self) -> bool:
        """Nothing has connected to the upstream."""
        return self.arrivals.empty()

    async def exchange(self, request: bytes, answer: bytes) -> tuple[Peer, Peer]:
        """One finished exchange: a client and an upstream that are kept alive."""
        client, upstream = await self.asked(request)
        upstream.send(answer)
        await client.answer()
        return client, upstream

    async def anew(self, client: Peer, request: bytes, answer: bytes) -> None:
        """The same client's next request goes through a new connection to the upstream."""
        client.send(request)
        fresh = await self.upstream()
        await fresh.head()
        fresh.send(answer)
        assert await client.get(len(answer)) == answer

    async def asked(self, request: bytes, part: bytes = b"") -> tuple[Peer, Peer]:
        """A client whose request's head has reached the upstream.

        Args:
            part: what there is of the body.
        """
        client = await self.client()
        client.send(request, part)
        upstream = await self.upstream()
        await upstream.head()
        return client, upstream


USUAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def seen_often(answers: AnswerReader) -> None:
    """As in a forwarder that has run for a while: a usual answer is no news."""
    for _ in range(40):
        answers.read(USUAL)
    assert answers.sized(USUAL) == (len(USUAL), 2)


@asynccontextmanager
async def talk(
    gate: PassGate | None = None,
    *,
    limits: Limits | None = None,
    pages: PageServer | None = None,
    trusted: Networks = (),
    endpoint: UpstreamAddress | None = None,
    counters: Counters | None = None,
    ids: RequestIds | None = None,
    access: AccessLog | None = None,
) -> AsyncIterator[Talk]:
    await asyncio.sleep(0)
    watch = Watch()
    way = taken()
    loop = asyncio.get_running_loop()
    talking: Talk | None = None

    def upstream_protocol() -> asyncio.Protocol:
        assert talking is not None
        reader = asyncio.StreamReader(limit=1 << 26, loop=loop)
        return asyncio.StreamReaderProtocol(reader, talking.arrived, loop=loop)

    with tempfile.TemporaryDirectory() as place:
        upstream, back = await listen(way.back, Path(place), upstream_protocol)
        gate = gate or PassGate()
        where = endpoint or endpoint_of(way.back, back)
        forwarder = Forwarder(
            *(gate, where, pages or NoPages()),
            limits=limits or Limits(drain=1.0),
            trusted=trusted,
            counters=counters,
            ids=ids,
            access=access,
        )
        if isinstance(loop, uvloop.Loop):  # on asyncio's every head is the first
            seen_often(forwarder.shared.answers)
        listener, front = await listen(way.front, Path(place), forwarder.client)
        talking = Talk(forwarder, gate, way, front, back)
        try:
            yield talking
            for peer in talking.clients:  # from a mere end we would see no more than half of it
                with contextlib.suppress(OSError, ValueError, AttributeError):  # has ended
                    peer.reset()
            await watch.nobody_is_served(forwarder)
        finally:
            for peer in talking.clients + talking.upstreams:
                peer.drop()
            upstream.close()
            listener.close()
            await forwarder.stop()
        await watch.nothing_is_left(forwarder)
