"""The gateway's own harmless questions to the upstream (is this password right), over connections
that are kept for them.

Only for what may be asked twice: a connection that was idle may be ending just now, and then it is
asked again on a new one. Nothing of a client ever travels on these connections, so no answer to a
client's request can be taken for one to a question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Field
from gateway.core.http.request_id import at_hand
from gateway.proxy.http1.body import BadChunk, Body, ChunkDecoder, EndlessBody, SizedBody
from gateway.proxy.http1.response import AnswerHead, BadAnswer
from gateway.proxy.http1.route import Rendered
from gateway.proxy.shared import Shared
from gateway.proxy.upstream_pool import UpstreamConnection

_LONGEST: Final = 1024 * 1024  # bytes of an answer
_AT_ONCE: Final = 64


class Heard(NamedTuple):
    """A whole small answer. fields: their names in lower case."""

    status: int
    fields: tuple[Field, ...]
    body: bytes


class Questions:
    """Asks one upstream."""

    def __init__(self) -> None:
        self._shared: Shared | None = None
        self._room: Final = asyncio.Semaphore(_AT_ONCE)

    def go_through(self, shared: Shared) -> None:
        """Whose connections these are, and what time they may take."""
        self._shared = shared

    async def ask(
        self, method: str, target: str, fields: Sequence[Field] = (), body: bytes = b""
    ) -> Heard:
        """Send a request and read the whole answer.

        Raises:
            Refusal: `upstream_unreachable`, `upstream_timeout`, `upstream_broken`.
        """
        shared = self._shared
        assert shared is not None
        try:
            wire = _wire(method, target, fields, body, shared.authority)
        except ValueError:
            raise Refusal(Slug.UPSTREAM_BROKEN) from None
        async with self._room:
            kept = shared.asking.take()
            answer = await _asked(kept, wire, shared) if kept is not None else None
            if answer is None:
                answer = await _asked(await _connected(shared), wire, shared)
        if answer is None:
            raise Refusal(Slug.UPSTREAM_BROKEN)
        return answer


async def _connected(shared: Shared) -> UpstreamConnection:
    try:
        async with asyncio.timeout(shared.limits.connect):
            return await shared.asking.connect()
    except (OSError, ValueError) as exc:  # TimeoutError is one
        shared.log.warning("the upstream cannot be reached: %s", exc, extra=_named())
        raise Refusal(Slug.UPSTREAM_UNREACHABLE) from None


async def _asked(upstream: UpstreamConnection, wire: bytes, shared: Shared) -> Heard | None:
    """The answer on that connection; None where it had been idle and ended without one."""
    transport = upstream.transport
    if transport is None or transport.is_closing():
        return None
    loop = asyncio.get_running_loop()
    question = _Question(upstream, shared, loop.create_future())
    limit = loop.call_later(shared.limits.answer, question.fail, Slug.UPSTREAM_TIMEOUT)
    upstream.exchange = question
    transport.write(wire)
    try:
        return await question.answered
    finally:
        limit.cancel()
        if upstream.exchange is question:  # who asked has gone
            upstream.drop()


class _Question:
    """A `Borrower` of one connection, until its answer is whole."""

    uploading = False

    def __init__(
        self,
        upstream: UpstreamConnection,
        shared: Shared,
        answered: asyncio.Future[Heard | None],
    ) -> None:
        self.answered: Final = answered
        self._upstream: Final = upstream
        self._shared: Final = shared
        self._said: Final = _named()
        self._data = b""  # what came of the head
        self._head: AnswerHead | None = None
        self._body: Body = EndlessBody()
        self._content = bytearray()

    def answer_data(self, data: bytes) -> None:
        try:
            if self._head is not None:
                self._more(data)
                return
            self._data = data = self._data + data
            head = self._shared.answers.read(data)
            while head is not None and head.status < 200:
                if head.status == 101:
                    raise BadAnswer("it changes the protocol, which nobody asked for")
                self._data = data = data[head.size :]
                head = self._shared.answers.read(data) if data else None
            if head is not None:
                self._begin(head, data[head.size :])
        except (BadAnswer, BadChunk) as exc:
            self._shared.log.warning("the upstream's answer is refused: %s", exc, extra=self._said)
            self.fail(Slug.UPSTREAM_BROKEN)

    def _begin(self, head: AnswerHead, rest: bytes) -> None:
        self._head = head
        if head.status == 408 and self._upstream.used:  # RFC 9110 section 15.5.9
            self._end(None)
        elif head.chunked and not head.bodiless:
            self._body = ChunkDecoder()
            self._more(rest)
        elif head.length is not None or head.bodiless:
            self._body = SizedBody(0 if head.bodiless else head.length or 0)
            self._more(rest)
        else:
            self._more(rest)

    def _more(self, data: bytes) -> None:
        body = self._body
        if data or not body.done:
            for piece in body.feed(data)[1]:
                self._content += piece
        if len(self._content) > _LONGEST:
            self.fail(Slug.UPSTREAM_BROKEN)
        elif body.done:
            assert self._head is not None
            self._end(self._reply(), keep=self._head.persistent and not body.rest)

    def _reply(self) -> Heard:
        assert self._head is not None
        return Heard(self._head.status, self._head.fields, bytes(self._content))

    def fail(self, slug: Slug) -> None:
        if not self.answered.done():
            self.answered.set_exception(Refusal(slug))
        self._upstream.drop()

    def _end(self, answer: Heard | None, *, keep: bool = False) -> None:
        if keep:
            self._shared.asking.give(self._upstream, self._shared.now)
        else:
            self._upstream.drop()
        if not self.answered.done():
            self.answered.set_result(answer)

    def read_late(self) -> None:
        """It is asked again instead."""

    def upstream_ended(self, exc: BaseException | None) -> None:
        if self._head is not None and exc is None and isinstance(self._body, EndlessBody):
            self._end(self._reply())
        elif self._upstream.used and not self._data:
            self._end(None)
        else:
            self.fail(Slug.UPSTREAM_BROKEN)

    def upstream_full(self) -> None:
        """What is asked is short."""

    def upstream_drained(self) -> None:
        """What is asked is short."""


def _named() -> dict[str, str]:
    """For messages of the log: which request a question is asked for."""
    return {"request": at_hand()}


def _wire(
    method: str, target: str, fields: Sequence[Field], body: bytes, authority: bytes
) -> bytes:
    """A question as it is sent. Raises ValueError for what cannot be."""
    if not (target.startswith("/") and target.isascii() and target.isprintable()) or " " in target:
        raise ValueError("a target that cannot be sent")
    rendered = Rendered(fields)
    host = b"" if b"host" in rendered.names else b"Host: %s\r\n" % authority
    sized = body or method not in ("GET", "HEAD")
    length = b"Content-Length: %d\r\n" % len(body) if sized else b""
    first = f"{method} {target} HTTP/1.1\r\n".encode("ascii")
    return b"%s%s%s%s\r\n%s" % (first, host, rendered.block, length, body)
