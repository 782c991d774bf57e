"""A request handed over to the pages: their protocol speaks on our transport.

Framing stays ours: the pages get the judged head written anew and the judged body, and nothing
that comes after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.proxy.bodies import Body
from gateway.proxy.chunked import BadChunk
from gateway.proxy.grammar import RequestHead
from gateway.proxy.ports import HandOver
from gateway.proxy.wire import handed_head

if TYPE_CHECKING:
    from gateway.proxy.client import ClientConnection


class Handed:
    """The stage from the hand-over to the end of the connection."""

    __slots__ = ("_body", "_client", "_handler", "_head", "_touched")

    def __init__(self, client: ClientConnection, head: RequestHead, plan: HandOver) -> None:
        self._client = client
        self._head = head
        self._body: Body | None = None
        self._touched = client.forwarder.now
        self._handler = client.forwarder.pages.open(plan)

    def start(self, rest: bytes, body: Body | None) -> None:
        """Begin with the head and what has come of the body, not judged yet."""
        transport = self._client.transport
        assert transport is not None
        self._body = body
        if self._head.expects and body is not None and not rest:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._handler.connection_made(transport)
        self._handler.data_received(handed_head(self._head))
        if rest:
            self.client_data(rest)

    def client_data(self, data: bytes) -> None:
        self._touched = self._client.forwarder.now
        body = self._body
        if body is None:
            return
        try:
            framed, _ = body.feed(data)
        except BadChunk:
            self._client.leave()
            return
        if body.done:
            self._body = None
        self._handler.data_received(b"".join(framed))

    def resume(self, framed: bytes, body: Body | None) -> None:
        """Begin with body bytes that were judged already."""
        self.start(b"", None)
        self._body = body
        if framed:
            self._handler.data_received(framed)

    def client_writable(self, writable: bool) -> None:
        if writable:
            self._handler.resume_writing()
        else:
            self._handler.pause_writing()

    def client_gone(self) -> None:
        self._handler.connection_lost(None)
        self._client.forwarder.pages.done(self._handler)

    def sweep(self, now: float) -> None:
        if self._body is not None and now - self._touched > self._client.forwarder.limits.stall:
            self._client.leave()
