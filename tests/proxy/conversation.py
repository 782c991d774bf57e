"""Conversations over real loopback sockets: client sends, upstream receives, client gets.

The upstream is scripted by the test, byte by byte. At the end nothing may be left over: no
connection, no task, no descriptor.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.core.client_address import Networks
from gateway.proxy.forwarder import Forwarder
from gateway.proxy.limits import Limits
from gateway.proxy.ports import Pages
from gateway.proxy.upstream import Endpoint
from tests.proxy.passgate import NoPages, PassGate

WAIT = 5.0
QUICK = Limits(head_time=0.4, idle=0.5, connect=0.4, answer=0.5, stall=0.4, linger=0.6, drain=0.5)
CLOSED = b""


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

    async def get(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), WAIT)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT)

    async def until(self, mark: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(mark), WAIT)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection; ConnectionError when it was reset."""
        return await asyncio.wait_for(self.reader.read(), WAIT)

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
        self.writer.write_eof()

    def reset(self) -> None:
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def parse(head: bytes) -> tuple[int, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in fields.items()}


@dataclass
class Talk:
    """One forwarder between a test's clients and its scripted upstream."""

    forwarder: Forwarder
    gate: PassGate
    port: int
    upstream_port: int
    arrivals: asyncio.Queue[Peer]
    peers: list[Peer] = field(default_factory=list)

    async def client(self) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 27))
        self.peers.append(peer)
        return peer

    async def upstream(self) -> Peer:
        """The next connection that reaches the upstream."""
        return await asyncio.wait_for(self.arrivals.get(), WAIT)

    @property
    def untouched(self) -> bool:
        """Nothing has connected to the upstream."""
        return self.arrivals.empty()

    async def exchange(self, request: bytes, answer: bytes) -> tuple[Peer, Peer]:
        """One finished exchange: a client and an upstream that are kept alive."""
        client = await self.client()
        client.send(request)
        upstream = await self.upstream()
        await upstream.head()
        upstream.send(answer)
        await client.answer()
        return client, upstream


@asynccontextmanager
async def talk(
    gate: PassGate | None = None,
    *,
    limits: Limits | None = None,
    pages: Pages | None = None,
    trusted: Networks = (),
    endpoint: Endpoint | None = None,
) -> AsyncIterator[Talk]:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks()
    arrivals: asyncio.Queue[Peer] = asyncio.Queue()
    talking: Talk | None = None

    def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        arrivals.put_nowait(peer)
        if talking is not None:
            talking.peers.append(peer)

    descriptors = open_descriptors()
    upstream = await asyncio.start_server(arrived, "127.0.0.1", 0, limit=1 << 26)
    where = endpoint or Endpoint("127.0.0.1", upstream.sockets[0].getsockname()[1])
    gate = gate or PassGate()
    forwarder = Forwarder(
        gate, where, pages or NoPages(), limits=limits or Limits(drain=1.0), trusted=trusted
    )
    listener = await loop.create_server(forwarder.client, "127.0.0.1", 0)
    talking = Talk(forwarder, gate, listener.sockets[0].getsockname()[1], where.port, arrivals)
    try:
        yield talking
    finally:
        for peer in talking.peers:
            peer.writer.transport.abort()
        upstream.close()
        listener.close()
        await settle(lambda: not forwarder.clients)
        left = len(forwarder.clients)
        await forwarder.stop()
        await settle(lambda: not forwarder.pool.open)
        await settle(lambda: asyncio.all_tasks() <= tasks)
        await settle(lambda: open_descriptors() <= descriptors)
    assert left == 0, "a client connection was left open"
    assert not forwarder.pool.open, "an upstream connection was left open"
    assert asyncio.all_tasks() <= tasks, "a task was left running"
    assert open_descriptors() <= descriptors, "a descriptor was left open"


def open_descriptors() -> set[tuple[str, str]]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        if target.startswith(("socket:", "pipe:")):
            found.add((name, target))
    return found


async def settle(true: Callable[[], bool], seconds: float = 1.0) -> None:
    """Wait until something has become true, at most so long."""
    for _ in range(int(seconds * 100)):
        if true():
            return
        await asyncio.sleep(0.01)
