"""A request whose body is judged as it streams (`ports.Inspector`).

Bytes are held back until the inspector has decided; afterwards no byte goes upstream that it has
not called safe, and the last ones wait for its `finish`. So a request that turns out to be
something else never reaches its end upstream, and the upstream has nothing of what it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from gateway.core.errors import Slug
from gateway.proxy.connection import Why
from gateway.proxy.exchange import Exchange
from gateway.proxy.handover import Handed
from gateway.proxy.http1.body import BODY_ENDS, BadChunk, Body, ChunkDecoder, chunk
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.route import Route
from gateway.proxy.ports import Answer, Forward, HandOver, Inspect, Inspector, Plan
from gateway.proxy.roles import Downstream
from gateway.proxy.watched import exchange_for


class Inspection:
    """The stage from the head to the end of the body; then the exchange goes on alone."""

    __slots__ = (
        "_body", "_chunked", "_client", "_exchange", "_head", "_held", "_inspector", "_next",
        "_sent", "_task", "_touched", "_whole",
    )  # fmt: skip

    def __init__(self, client: Downstream, head: RequestHead, inspector: Inspector) -> None:
        self._client = client
        self._head = head
        self._inspector = inspector
        self._body: Body | None = None
        self._chunked = False
        self._exchange: Exchange | None = None
        self._held = bytearray()  # content that has not gone on
        self._sent = 0  # content that has
        self._whole = False  # the body has come to a good end
        self._next = b""  # came while the inspector was busy
        self._task: asyncio.Task[None] | None = None
        self._touched = client.shared.now

    def start(self, rest: bytes, body: Body | None) -> None:
        self._body = body
        self._chunked = isinstance(body, ChunkDecoder)
        if self._head.expects and body is not None and not rest:
            # The body decides, so it has to be asked for here; the upstream is not asked again.
            self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._head.drop_expect()
        if body is None:
            self._client.keep(rest)
            self._ask(b"", done=True)
        elif rest:
            self.client_data(rest)

    def client_data(self, data: bytes) -> None:
        self._touched = self._client.shared.now
        body = self._body
        if body is None:
            self._client.keep(data)
            return
        if self._task is not None:
            self._next += data
            return
        try:
            _, content = body.feed(data)
        except BadChunk as exc:
            self._refuse(Slug.BAD_REQUEST, why=str(exc))
            return
        if body.done:
            self._body = None
            self._client.keep(body.rest)
        self._ask(b"".join(content), done=body.done)

    # -- asking -------------------------------------------------------------------------------

    def _ask(self, content: bytes, *, done: bool) -> None:
        try:
            said = self._inspector.feed(content) if content else None
        except Exception as exc:
            self._fail(exc)
            return
        self._held += content
        if said is None or isinstance(said, _PLANS):
            self._heard(said, done=done)
        else:
            self._wait(said, done=done, finishing=False)

    def _heard(self, said: Plan | None, *, done: bool) -> None:
        """The inspector has seen what is held."""
        if not self._obey(said):
            return
        if not done:
            self._pass_on()
            return
        try:
            last = self._inspector.finish()
        except Exception as exc:
            self._fail(exc)
            return
        if last is None or isinstance(last, _PLANS):
            self._finished(last)
        else:
            self._wait(last, done=True, finishing=True)

    def _finished(self, said: Plan | None) -> None:
        self._whole = not isinstance(said, Answer)
        if not self._obey(said):
            return
        if self._exchange is None:
            self._fail(RuntimeError("the inspector did not decide"))
            return
        self._client.stage = self._exchange
        self._exchange.send([self._released()], done=True)

    def _wait(self, awaited: Awaitable[Plan], *, done: bool, finishing: bool) -> None:
        self._client.stop_reading(Why.DECIDING)
        self._task = asyncio.get_running_loop().create_task(
            self._waiting(awaited, done=done, finishing=finishing)
        )

    async def _waiting(self, awaited: Awaitable[Plan], *, done: bool, finishing: bool) -> None:
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
            self._finished(said)
        else:
            self._heard(said, done=done)
        if self._next and self._client.stage is self and self._task is None:
            data, self._next = self._next, b""
            self.client_data(data)

    # -- obeying ------------------------------------------------------------------------------

    def _obey(self, said: Plan | None) -> bool:
        """Carry a plan out; False where this stage has ended with it."""
        if said is None:
            return True
        if isinstance(said, Forward) and self._exchange is None:
            self._client.shared.room.free(self)
            self._exchange = exchange_for(self._client, self._head, Route(said))
            self._exchange.start(self._released(), None, foreign=True)
            return not self._exchange.ended
        if isinstance(said, HandOver) and self._exchange is None:
            self._hand_over(said)
            return False
        if isinstance(said, Answer):
            self._end()
            self._client.answer(said, self._head, unread=self._body is not None)
            return False
        self._fail(RuntimeError("the inspector changed its mind"))
        return False

    def _hand_over(self, said: HandOver) -> None:
        client = self._client
        client.shared.room.free(self)
        handed = Handed(client, self._head, said)
        client.stage = handed
        handed.resume(self._framed(bytes(self._held)), self._body)
        self._held.clear()
        if self._next:
            handed.client_data(self._next)

    def _released(self) -> bytes:
        """What may go on now, framed."""
        count = len(self._held) if self._whole else max(0, self._inspector.safe - self._sent)
        content = bytes(self._held[:count])
        del self._held[:count]
        self._sent += len(content)
        return self._framed(content)

    def _framed(self, content: bytes) -> bytes:
        return chunk(content, last=self._whole) if self._chunked else content

    def _pass_on(self) -> None:
        if self._exchange is not None:
            if released := self._released():
                self._exchange.send([released], done=False)
        elif len(self._held) > self._inspector.hold_limit:
            self._refuse(Slug.BODY_TOO_LARGE, limit=str(self._inspector.hold_limit))
        else:
            self._client.shared.room.keep(self, len(self._held), self._crowded)

    def _crowded(self) -> None:
        self._refuse(Slug.CROWDED)

    def _refuse(self, slug: Slug, **detail: str) -> None:
        self._end()
        self._client.refuse(slug, self._head, unread=True, **detail)

    def _fail(self, exc: Exception) -> None:
        self._end()
        self._client.fail(exc, self._head, unread=True)

    def _end(self) -> None:
        self._client.shared.room.free(self)
        if self._exchange is not None:
            self._exchange.stop()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._held.clear()
        self._next = b""

    # -- the rest of a stage ------------------------------------------------------------------

    def client_writable(self, writable: bool) -> None:
        if self._exchange is not None:
            self._exchange.client_writable(writable)

    def client_ended(self) -> None:
        answering = self._exchange is not None and self._exchange.answering
        if self._body is not None and self._task is None and not answering:
            self._refuse(Slug.BAD_REQUEST, why=BODY_ENDS)

    def client_gone(self) -> None:
        self._end()

    def sweep(self, now: float) -> None:
        if self._client.sends_no_more:  # while the inspector was busy
            self.client_ended()
        elif self._exchange is not None:
            self._exchange.sweep(now)
        elif self._task is None and now - self._touched > self._client.shared.limits.stall:
            self._refuse(Slug.REQUEST_TIMEOUT)


_PLANS = (Forward, Answer, HandOver, Inspect)
