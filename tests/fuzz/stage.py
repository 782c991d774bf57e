"""A real forwarder between a generated client and an upstream that answers as it is told.

All of it in one event loop over unix sockets: a few milliseconds for a conversation.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import h11

from gateway.core.http.cookies import planted, read_set_cookie
from gateway.core.http.facts import Facts
from gateway.proxy.forwarder import Forwarder
from gateway.proxy.limits import Limits
from gateway.proxy.ports import Forward
from tests.proxy.passgate import NoPages, PassGate
from tests.proxy.ways import connect, endpoint, listen

T = TypeVar("T")
WAIT = 10.0
QUICK = Limits(
    head_time=0.2, idle=0.06, connect=2.0, answer=0.4, stall=0.2, linger=0.3, half_closed=0.1,
    drain=0.3,
)  # fmt: skip
SESSION = "auth_tkt"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class JudgingGate(PassGate):
    """Forwards what has a canonical path, and takes a session cookie of the upstream's for one."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.decide = lambda facts: forward

    def sets_session(self, set_cookie: str) -> bool:
        cookie = read_set_cookie(set_cookie)
        return (cookie.name == SESSION and not cookie.ends) or planted(set_cookie)


@dataclass
class Conversation:
    """What happened: got by the client; requests as they reached the upstream, each the bytes
    from its beginning up to where the next began; what was judged."""

    got: bytes = b""
    requests: list[bytearray] = field(default_factory=list)
    judged: list[Facts] = field(default_factory=list)


class _Upstream(asyncio.Protocol):
    """Notes requests and answers each when h11 takes it for whole."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._current: bytearray | None = None
        self._reader = h11.Connection(h11.SERVER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._current is None:
            self._current = bytearray()
            self._reader = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
            self._stage.now.requests.append(self._current)
        self._current += data
        with contextlib.suppress(h11.RemoteProtocolError):
            self._reader.receive_data(data)
            while True:
                event = self._reader.next_event()
                if isinstance(event, h11.EndOfMessage):
                    self._answer()
                elif event in (h11.NEED_DATA, h11.PAUSED):
                    return

    def _answer(self) -> None:
        self._current = None
        assert isinstance(self._transport, asyncio.Transport)
        task = asyncio.ensure_future(self._stage.answer(self._transport))
        self._stage.answering.add(task)
        task.add_done_callback(self._stage.answering.discard)


class Stage:
    """answer: what the upstream does once a request has reached it. back: how it is connected;
    only through tcp can it reset."""

    def __init__(self, forward: Forward | None = None, *, back: str = "unix") -> None:
        self.loop = asyncio.new_event_loop()
        self.gate = JudgingGate(forward or Forward())
        self.answering: set[asyncio.Future[None]] = set()
        self.now = Conversation()
        self.answer: Callable[[asyncio.Transport], Coroutine[Any, Any, None]] = self._usual
        self._place = tempfile.TemporaryDirectory()
        self._run(self._open(back))

    def _run(self, awaited: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(awaited, WAIT))

    async def _open(self, kind: str) -> None:
        place = Path(self._place.name)
        self._upstream, back = await listen(kind, place, lambda: _Upstream(self))
        self.forwarder = Forwarder(
            self.gate, endpoint(kind, back), NoPages(), limits=QUICK,
            credential_cookies=(SESSION,),
        )  # fmt: skip
        self._listener, self._front = await listen("unix", place, self.forwarder.client)

    async def _usual(self, transport: asyncio.Transport) -> None:
        transport.write(ANSWER)

    def talk(self, pieces: Iterable[bytes], *, half: bool) -> Conversation:
        """One client that sends these, and perhaps says that there will be no more."""
        self.now = Conversation()
        self.gate.asked = self.now.judged
        self._run(self._talk(pieces, half))
        return self.now

    async def _talk(self, pieces: Iterable[bytes], half: bool) -> None:
        reader, writer = await connect("unix", self._front, 1 << 20)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if half:
                writer.write_eof()
            while data := await reader.read(65536):
                self.now.got += data
        writer.close()
        for _ in range(500):
            if not self.forwarder.clients and self._resting():
                break
            await asyncio.sleep(0.002)
        else:
            raise AssertionError("a connection hangs")

    def _resting(self) -> bool:
        return self.forwarder.shared.pool.open == set(self.forwarder.shared.pool.idle)

    def close(self) -> None:
        self._upstream.close()
        self._listener.close()
        self._run(self.forwarder.stop())
        self.loop.close()
        self._place.cleanup()
