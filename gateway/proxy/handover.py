"""A request handed over to the pages: their protocol speaks, and our connection stays ours.

Framing stays ours: the pages get the judged head written anew and the judged body, and nothing
that comes after it. How the connection ends stays ours too, so that the client can read the last
answer, and one that never does is let go.

Which plan a request belongs to that was handed over to the aiohttp application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.core.errors import Slug
from gateway.proxy.connection import Why
from gateway.proxy.http1.body import BODY_ENDS, BadChunk, Body
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.ports import HandOver
from gateway.proxy.rewrite import handed_head
from gateway.proxy.roles import Downstream


class Handed:
    """The stage from the hand-over to the end of the answer. status: the answer's, once it has
    begun."""

    __slots__ = (
        "_body", "_client", "_full", "_handler", "_head", "_told", "_touched", "_transport",
        "facts", "status",
    )  # fmt: skip

    def __init__(self, client: Downstream, head: RequestHead, plan: HandOver) -> None:
        self._client = client
        self._head = head
        self.facts = plan.facts
        self.status = 0
        self._body: Body | None = None
        self._transport: PageTransport | None = None
        self._full = False  # the client does not read
        self._told = False  # the pages know that the connection has ended
        self._touched = client.shared.now
        self._handler = client.shared.pages.open(plan)

    def start(self, rest: bytes, body: Body | None) -> None:
        """Begin with the head and what has come of the body, not judged yet."""
        transport = self._client.transport
        assert transport is not None
        self._body = body
        if self._head.expects and body is not None and not rest:
            self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._transport = ours = PageTransport(self, self._client, transport)
        self._handler.connection_made(ours)
        self._handler.data_received(handed_head(self._head))
        if rest:
            self.client_data(rest)

    def client_data(self, data: bytes) -> None:
        self._touched = self._client.shared.now
        body = self._body
        if body is None:
            self._client.keep(data)  # never answered, but not a reason to reset the answer away
            return
        try:
            framed, _ = body.feed(data)
        except BadChunk as exc:
            self._refuse(Slug.BAD_REQUEST, why=str(exc))
            return
        if body.done:
            self._body = None
            self._client.keep(body.rest)
        self._handler.data_received(b"".join(framed))

    def resume(self, framed: bytes, body: Body | None) -> None:
        """Begin with body bytes that were judged already."""
        self.start(b"", None)
        self._body = body
        if framed:
            self._handler.data_received(framed)

    def client_writable(self, writable: bool) -> None:
        self._full = not writable
        self._touched = self._client.shared.now
        if writable:
            self._handler.resume_writing()
        else:
            self._handler.pause_writing()

    def _refuse(self, slug: Slug, **detail: str) -> None:
        """Instead of the pages' answer, where that has not begun."""
        transport = self._transport
        if transport is None or transport.began:
            self._client.leave()
            return
        transport.closed = True
        self._tell()
        self._client.refuse(slug, self._head, unread=True, **detail)

    def answered(self) -> None:
        """The pages have written their answer, or given up."""
        self._tell()
        if self._client.stage is self:
            self._client.answered(close=True, unread=self._body is not None)

    def client_ended(self) -> None:
        if self._body is not None and not (self._transport is not None and self._transport.began):
            self._refuse(Slug.BAD_REQUEST, why=BODY_ENDS)

    def client_gone(self) -> None:
        self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            # In its own turn: a protocol that is told within the turn of `connection_made`,
            # before its first step, fails.
            asyncio.get_running_loop().call_soon(self._lost)

    def _lost(self) -> None:
        self._handler.connection_lost(None)
        self._client.shared.pages.done(self._handler)

    def sweep(self, now: float) -> None:
        if now - self._touched <= self._client.shared.limits.stall:
            return
        if self._full:
            self._client.leave()
        elif self._body is not None:
            self._refuse(Slug.REQUEST_TIMEOUT)


class PageTransport(asyncio.Transport):
    """The client's transport as the pages see it. They end their answer by closing it; that it is
    the connection which ends is ours to do.

    began: something of their answer has been written. closed: nothing more of it is taken."""

    def __init__(self, handed: Handed, client: Downstream, transport: asyncio.Transport) -> None:
        super().__init__()
        self._handed = handed
        self._client = client
        self._transport = transport
        self.began = False
        self.closed = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self.closed or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            if not self.began:
                self.began = True
                self._handed.status = int(data[len(b"HTTP/1.1 ") :][:3])
            self._client.write(bytes(data))

    def pause_reading(self) -> None:
        self._client.stop_reading(Why.OTHER_SIDE)

    def resume_reading(self) -> None:
        self._client.go_on_reading(Why.OTHER_SIDE)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._handed.answered()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._client.leave()


class HandOvers:
    """A `ports.Pages` over an aiohttp server.

    Args:
        server: makes a protocol per connection: an aiohttp `web.Server`, or the `server` of a
            `web.AppRunner`, made with `auto_decompress=False` and `lingering_time=0` (what a
            client still sends after its answer is the forwarder's to drop).
    """

    def __init__(self, server: Callable[[], asyncio.Protocol]) -> None:
        self._server: Final = server
        # aiohttp's handlers take no weak reference, so the forwarder says when one has ended.
        self._plans: Final[dict[object, HandOver]] = {}

    def open(self, plan: HandOver) -> asyncio.Protocol:
        handler = self._server()
        self._plans[handler] = plan
        return handler

    def done(self, protocol: asyncio.Protocol) -> None:
        self._plans.pop(protocol, None)

    def plan(self, protocol: object) -> HandOver:
        """The plan of the request that `web.Request.protocol` belongs to.

        Raises:
            KeyError: that connection did not come through the shared.
        """
        return self._plans[protocol]
