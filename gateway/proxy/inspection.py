"""A request whose body is judged as it streams (`ports.Inspector`).

Pieces are held back until the inspector has decided; afterwards each piece is shown to it before
it goes upstream, and the last one waits for its `finish`. So a request that turns out to be
something else never reaches its end upstream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from gateway.proxy.bodies import Body
from gateway.proxy.chunked import BadChunk
from gateway.proxy.connection import Why
from gateway.proxy.exchange import Exchange
from gateway.proxy.grammar import RequestHead
from gateway.proxy.handed import Handed
from gateway.proxy.ports import Answer, Forward, HandOver, Inspect, Inspector, Plan
from gateway.proxy.wire import Route

if TYPE_CHECKING:
    from gateway.proxy.client import ClientConnection


class Inspection:
    """The stage from the head to the end of the body; then the exchange goes on alone."""

    __slots__ = (
        "_body", "_client", "_exchange", "_head", "_held", "_inspector", "_next", "_size",
        "_task", "_touched",
    )  # fmt: skip

    def __init__(self, client: ClientConnection, head: RequestHead, inspector: Inspector) -> None:
        self._client = client
        self._head = head
        self._inspector = inspector
        self._body: Body | None = None
        self._exchange: Exchange | None = None
        self._held: list[bytes] = []
        self._size = 0
        self._next = b""  # came while the inspector was busy
        self._task: asyncio.Task[None] | None = None
        self._touched = client.forwarder.now

    def start(self, rest: bytes, body: Body | None) -> None:
        self._body = body
        if self._head.expects and body is not None and not rest:
            # The body decides, so it has to be asked for here; the upstream is not asked again.
            self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._head.drop_expect()
        if body is None:
            self._client.keep(rest)
            self._ask([], b"", done=True)
        elif rest:
            self.client_data(rest)

    def client_data(self, data: bytes) -> None:
        self._touched = self._client.forwarder.now
        body = self._body
        if body is None:
            self._client.keep(data)
            return
        if self._task is not None:
            self._next += data
            return
        try:
            framed, content = body.feed(data)
        except BadChunk as exc:
            self._refuse("bad_request", why=str(exc))
            return
        if body.done:
            self._body = None
            self._client.keep(body.rest)
        self._ask(framed, b"".join(content), done=body.done)

    # -- asking -------------------------------------------------------------------------------

    def _ask(self, framed: list[bytes], content: bytes, *, done: bool) -> None:
        try:
            said = self._inspector.feed(content) if content else None
        except Exception as exc:
            self._fail(exc)
            return
        if said is None or isinstance(said, _PLANS):
            self._heard(said, framed, done=done)
        else:
            self._wait(said, framed, done=done, finishing=False)

    def _heard(self, said: Plan | None, framed: list[bytes], *, done: bool) -> None:
        """The inspector has seen these pieces."""
        if not self._obey(said, framed):
            return
        if not done:
            self._pass_on(framed, done=False)
            return
        try:
            last = self._inspector.finish()
        except Exception as exc:
            self._fail(exc)
            return
        if last is None or isinstance(last, _PLANS):
            self._finished(last, framed)
        else:
            self._wait(last, framed, done=True, finishing=True)

    def _finished(self, said: Plan | None, framed: list[bytes]) -> None:
        if not self._obey(said, framed):
            return
        if self._exchange is None:
            self._fail(RuntimeError("the inspector did not decide"))
            return
        exchange = self._exchange
        self._client.stage = exchange
        self._pass_on(framed, done=True)

    def _wait(
        self, awaited: Awaitable[Plan], framed: list[bytes], *, done: bool, finishing: bool
    ) -> None:
        self._client.stop_reading(Why.DECIDING)
        self._task = asyncio.get_running_loop().create_task(
            self._waiting(awaited, framed, done=done, finishing=finishing)
        )

    async def _waiting(
        self, awaited: Awaitable[Plan], framed: list[bytes], *, done: bool, finishing: bool
    ) -> None:
        try:
            said = await awaited
        except Exception as exc:
            self._task = None
            if self._client.stage is self:
                self._fail(exc)
            return
        self._task = None
        if self._client.stage is not self:  # the upstream has answered meanwhile
            return
        self._client.go_on_reading(Why.DECIDING)
        if finishing:
            self._finished(said, framed)
        else:
            self._heard(said, framed, done=done)
        if self._next and self._client.stage is self and self._task is None:
            data, self._next = self._next, b""
            self.client_data(data)

    # -- obeying ------------------------------------------------------------------------------

    def _obey(self, said: Plan | None, framed: list[bytes]) -> bool:
        """Carry a plan out; False where this stage has ended with it (and `framed` too)."""
        if said is None:
            return True
        if isinstance(said, Forward) and self._exchange is None:
            self._exchange = Exchange(self._client, self._head, Route(said))
            held, self._held = b"".join(self._held), []
            self._exchange.start(held, None, foreign=True)
            return not self._exchange.ended
        if isinstance(said, HandOver) and self._exchange is None:
            handed = Handed(self._client, self._head, said)
            self._client.stage = handed
            handed.resume(b"".join(self._held + framed), self._body)
            return False
        if isinstance(said, Answer):
            self._end()
            self._client.answer(said, self._head, unread=self._body is not None)
            return False
        self._fail(RuntimeError("the inspector changed its mind"))
        return False

    def _pass_on(self, framed: list[bytes], *, done: bool) -> None:
        if self._exchange is not None:
            self._exchange.send(framed, done=done)
            return
        self._held += framed
        self._size += sum(map(len, framed))
        if self._size > self._inspector.hold_limit:
            self._refuse("body_too_large", limit=str(self._inspector.hold_limit))

    def _refuse(self, slug: str, **detail: str) -> None:
        self._end()
        self._client.refuse(slug, self._head, unread=True, **detail)

    def _fail(self, exc: Exception) -> None:
        self._end()
        self._client.fail(exc, self._head, unread=True)

    def _end(self) -> None:
        if self._exchange is not None:
            self._exchange.stop()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._held = []

    # -- the rest of a stage ------------------------------------------------------------------

    def client_writable(self, writable: bool) -> None:
        if self._exchange is not None:
            self._exchange.client_writable(writable)

    def client_gone(self) -> None:
        self._end()

    def sweep(self, now: float) -> None:
        if self._exchange is not None:
            self._exchange.sweep(now)
        elif self._task is None and now - self._touched > self._client.forwarder.limits.stall:
            self._refuse("request_timeout")


_PLANS = (Forward, Answer, HandOver, Inspect)
