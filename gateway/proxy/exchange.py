"""One request carried to the upstream, and its answer carried back.

Knows both connections of one exchange and nothing else: the head has been judged and the plan
made (`dispatch.py`), header hygiene is `rewrite.py`. The request's way up is here, the answer's way
back in `relay.py`.
"""

from __future__ import annotations

import asyncio
import contextlib

from gateway.core.errors import Slug
from gateway.proxy.connection import Why
from gateway.proxy.http1.body import BODY_ENDS, BadChunk, Body, SizedBody
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.route import Route
from gateway.proxy.late import Late
from gateway.proxy.relay import Relay
from gateway.proxy.rewrite import request_head
from gateway.proxy.roles import Downstream
from gateway.proxy.splice import AVAILABLE, Mover, Outcome
from gateway.proxy.upstream_pool import UpstreamConnection

_AT_ONCE = 65536  # bytes that the system surely takes from us in one piece


class Exchange(Relay):
    """A stage of a client connection: forwards until the answer has ended.

    body: the request's, None once it has all been sent, or where somebody else reads it and
        calls `send`.
    """

    __slots__ = ("_mover", "_task", "_waiting", "body")

    def __init__(self, client: Downstream, head: RequestHead, route: Route) -> None:
        Relay.__init__(self, client, head, route)
        self.body: Body | None = None
        self._mover: Mover | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[bytes] | None = None  # to be sent once there is a connection

    def again(self, head: RequestHead, route: Route) -> None:
        """Be a new exchange and start, after a `clean` one; neither request has a body.

        Making an object costs as much as all the rest of `_head`; what is not set here is as
        such an exchange found it.
        """
        client = self.client
        self.head = head
        self.route = route
        self.touched = client.shared.now
        self.answering = self.ended = self.clean = self.reusable = self._wants_splice = False
        self.left = self.chunks = None
        authority, id = client.shared.authority, client.id_of(head)
        self._bodiless(request_head(head, route, client.fields, authority, id))

    # -- the way up ---------------------------------------------------------------------------

    def start(self, first: bytes, body: Body | None, *, foreign: bool = False) -> None:
        """Send the head and what is there of the body.

        Args:
            first: framed body bytes that were judged already.
            body: what reads the rest; None when there is none, or `foreign` sends it.
        """
        client = self.client
        shared = client.shared
        id = client.id_of(self.head)
        wire = request_head(self.head, self.route, client.fields, shared.authority, id)
        if first or body is not None or foreign:
            self.body = body
            self.uploading = foreign or body is not None
            self._connect(wire + first)
        else:
            self._bodiless(wire)

    def _bodiless(self, wire: bytes) -> None:
        head = self.head
        kind = head.kind
        self.plain = kind.plain and head.persistent and not self.route.page_start
        if not kind.repeatable:
            self._connect(wire)
            return
        self._retry = wire
        upstream = self.client.shared.pool.take()
        if upstream is None:
            self._connect(wire)
        else:
            self._attach(upstream, wire)

    def _attach(self, upstream: UpstreamConnection, wire: bytes) -> None:
        upstream.exchange = self
        self.upstream = upstream
        transport = upstream.transport
        assert transport is not None
        if self.head.said.length != 0:
            with contextlib.suppress(OSError):  # out of descriptors: then it is as it was before
                self.late = Late(upstream)
            if self.uploading or len(wire) > _AT_ONCE:
                upstream.guard()
        transport.write(wire)
        if self.uploading:
            self._splice_up()

    def _connect(self, wire: bytes) -> None:
        """Through a new connection. Also where an idle one would do, for what may not be sent
        twice: the upstream may be about to close that one, and whether it took the request
        could not be told."""
        self._waiting = [wire]
        if self.uploading:
            self.client.stop_reading(Why.CONNECTING)
        self._task = asyncio.get_running_loop().create_task(self._connecting())

    async def _connecting(self) -> None:
        shared = self.client.shared
        try:
            upstream = await shared.pool.connect()
        except (OSError, ValueError) as exc:
            self._task = None
            named = self.client.named(self.head)
            shared.log.warning("the upstream cannot be reached: %s", exc, extra=named)
            self.refuse(Slug.UPSTREAM_UNREACHABLE)
            return
        self._task = None
        if upstream.transport is None or upstream.transport.is_closing():
            self.refuse(Slug.UPSTREAM_BROKEN)  # it took the connection and closed it at once
            return
        if self.ended:  # the client left in the very moment
            upstream.drop()
            return
        waiting, self._waiting = self._waiting or [], None
        self._attach(upstream, b"".join(waiting))
        self.client.go_on_reading(Why.CONNECTING)

    def client_data(self, data: bytes) -> None:
        body = self.body
        if body is None:
            self.client.keep(data)
            return
        try:
            framed, _ = body.feed(data)
        except BadChunk as exc:
            self.refuse(Slug.BAD_REQUEST, why=str(exc))
            return
        if body.done:
            self.body = None
            self.uploading = False
            self.client.keep(body.rest)
        self._send(framed)
        if not body.done:
            self._splice_up()

    def send(self, framed: list[bytes], *, done: bool) -> None:
        """The next piece of a body that somebody else reads and judges."""
        if self.ended:
            return
        if done:
            self.uploading = False
        self._send(framed)

    def _send(self, framed: list[bytes]) -> None:
        self.touched = self.client.shared.now
        if self._waiting is not None:
            self._waiting += framed
        elif self.upstream is not None and self.upstream.transport is not None:
            self.upstream.transport.write(b"".join(framed))

    # -- large bodies below the transports ----------------------------------------------------

    def _splice_up(self) -> None:
        body = self.body
        client, upstream = self.client, self.upstream
        if not AVAILABLE or self._mover is not None or not isinstance(body, SizedBody):
            return
        if body.left < client.shared.limits.splice_from or upstream is None:
            return
        source, sink = client.plain_fd(), upstream.plain_fd()
        transport = upstream.transport
        if source is None or sink is None or transport is None or self.client.stopped:
            return
        if transport.get_write_buffer_size():
            return  # tried again with the next piece
        try:
            self._mover = Mover(
                client.shared.pipes, source, sink, body.left, self.moved, self._spliced_up
            )
        except OSError:
            return  # out of descriptors: the transports go on by themselves
        client.stop_reading(Why.SPLICING)

    def _spliced_up(self, outcome: Outcome, exc: OSError | None) -> None:
        self._mover = None
        if outcome is Outcome.DONE:
            self.body = None
            self.uploading = False
            self.client.go_on_reading(Why.SPLICING)
        elif outcome is Outcome.SOURCE_ENDED:
            if exc is None:
                self.client.go_on_reading(Why.SPLICING)  # where the end is seen again
            else:
                self.client.leave()
        else:  # its own connection says so, after whatever answer it still holds
            self._broken = exc

    # -- back-pressure ------------------------------------------------------------------------

    def upstream_full(self) -> None:
        self.client.stop_reading(Why.OTHER_SIDE)

    def upstream_drained(self) -> None:
        self.client.go_on_reading(Why.OTHER_SIDE)

    # -- the end ------------------------------------------------------------------------------

    def retry(self) -> bool:
        """Start again after a pooled connection turned out dead.

        Once, only what can be repeated (RFC 9110 section 9.2.2), and only where nothing of an
        answer has arrived.
        """
        wire, self._retry = self._retry, b""
        if not wire:
            return False
        self.upstream = None
        self._connect(wire)
        return True

    def client_ended(self) -> None:
        if self.body is not None and not self.answering:
            self.refuse(Slug.BAD_REQUEST, why=BODY_ENDS)

    def client_gone(self) -> None:
        self.stop()

    def stop(self) -> None:
        """Let go of everything; the upstream connection is closed if it is still ours."""
        super().stop()
        if self._mover is not None:
            self._mover.stop()
            self._mover = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def sweep(self, now: float) -> None:
        limits = self.client.shared.limits
        still = now - self.touched
        if self._task is not None and self.upstream is None:
            if still > limits.connect:
                self.refuse(Slug.UPSTREAM_TIMEOUT)
        elif self.uploading:
            if still > limits.stall:
                mover = self._mover
                stuck = mover.blocked if mover is not None else self.client.stopped
                self.refuse(Slug.UPSTREAM_TIMEOUT if stuck else Slug.REQUEST_TIMEOUT)
        elif not self.answering:
            if still > limits.answer:
                self.refuse(Slug.UPSTREAM_TIMEOUT)
        elif still > limits.stall and not self.deciding:
            self.truncate()
