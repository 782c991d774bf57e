"""The upstream's answer on its way back to the client: judged, written anew, streamed.

What is cut off upstream reaches the client cut off, never as a clean end.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.core.errors import Slug
from gateway.proxy.connection import Why
from gateway.proxy.hold import Hold, hands_out_session
from gateway.proxy.http1.body import BadChunk, ChunkDecoder, EndlessBody
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.response import AnswerHead, BadAnswer
from gateway.proxy.http1.route import Route
from gateway.proxy.late import Late
from gateway.proxy.page_start import begin_with
from gateway.proxy.ports import Answer
from gateway.proxy.rewrite import answer_head
from gateway.proxy.roles import Downstream
from gateway.proxy.splice import AVAILABLE, Mover, Outcome
from gateway.proxy.upstream_pool import UpstreamConnection

_COPIED: Final = 8192  # up to here a slice is cheaper than a view
_NO: Final = frozenset({401, 403})


class Relay:
    """The answer's half of an exchange. Attributes:

    answering: the answer's head has been passed on. ended: this exchange is over.
    uploading: some of the request is still to be sent.
    left: bytes of a sized body still to come, None where the body ends otherwise.
    chunks: decoder of a chunked body. deciding: the gate looks at the answer.
    clean: ended in good order, with nothing left behind on either side.
    plain: a usual answer to this request passes as it comes.
    sent_at: when the last of the request went up, where that is looked at (`metered`).
    noted: what an access log is told of it (`logged`).
    late: what reads on where writing fails, for a request with a body.
    """

    __slots__ = (
        "_broken", "_close", "_down", "_head_bytes", "_hold", "_lost", "_refused", "_retry",
        "_wants_splice", "answering", "chunks", "clean", "client", "ended", "head", "late", "left",
        "noted", "plain", "reusable", "route", "sent_at", "touched", "uploading", "upstream",
    )  # fmt: skip

    sent_at: float
    noted: Any

    def __init__(self, client: Downstream, head: RequestHead, route: Route) -> None:
        self.client = client
        self.head = head
        self.route = route
        self.touched = client.shared.now
        self.upstream: UpstreamConnection | None = None
        self.answering = False
        self.ended = False
        self.clean = False
        self.plain = False
        self.left: int | None = None
        self.chunks: ChunkDecoder | EndlessBody | None = None
        self.reusable = False
        self.uploading = False
        self._close = False
        self._head_bytes = b""
        self._retry = b""  # what may be sent once more, see `Exchange.retry`
        self._down: Mover | None = None
        self._wants_splice = False
        self._hold: Hold | None = None
        self._lost: BaseException | None = None  # the connection broke, and is still read from
        self._broken: OSError | None = None  # below the transports, which then see a mere end
        self._refused = False  # an error that was answered while the request was being sent
        self.late: Late | None = None

    @property
    def deciding(self) -> bool:
        return self._hold is not None

    def retry(self) -> bool:
        raise NotImplementedError

    def moved(self) -> None:
        self.touched = self.client.shared.now

    # -- the head -----------------------------------------------------------------------------

    def answer_data(self, data: bytes) -> None:
        client = self.client
        shared = client.shared
        self.touched = shared.now
        if self.answering:
            self._body(data)
            return
        if self.plain and not shared.stopping:
            found = shared.answers.sized(data)
            if found is not None:  # as nearly always; all below would do the same
                size, length = found
                left = size + length - len(data)
                ours = self.route.answer
                whole = ours.into(data, size, shared.answers.shapes.sized) if ours.names else data
                if left >= 0 and whole:
                    client.write(whole)
                    if left:
                        self.answering = self.reusable = True
                        self.left = left
                        self._splice_down()
                    else:
                        self._let_go()
                        client.ready()
                    return
        self.plain = False
        if self._hold is not None:
            self._hold.more(data)
            return
        if self._head_bytes:
            data = self._head_bytes + data
            self._head_bytes = b""
        try:
            answer = shared.answers.read(data)
            while answer is not None and answer.status < 200:
                self._interim(answer)
                data = data[answer.size :]
                answer = shared.answers.read(data) if data else None
        except BadAnswer as exc:
            named = client.named(self.head)
            shared.log.warning("the upstream's answer is refused: %s", exc, extra=named)
            self.refuse(Slug.UPSTREAM_BROKEN)
            return
        if answer is None:
            self._head_bytes = data
            return
        if answer.status == 408 and self._repeated():
            return
        if answer.cookies is not None or (answer.status in _NO and self.route.doubt is not None):
            self._judge(answer, data)
        else:
            self._begin(answer, data)

    def _interim(self, answer: AnswerHead) -> None:
        if answer.status == 101:
            raise BadAnswer("it changes the protocol, which nobody asked for")
        if answer.cookies is not None:
            raise BadAnswer("it sets a cookie before it answers")
        self._retry = b""
        if self.head.version == b"1":  # RFC 9110 section 15.2: never to an HTTP/1.0 client
            self.client.write(answer_head(answer, self.client.shared.bare, False, False))

    def _repeated(self) -> bool:
        """Whether the request was sent again: a connection that had been idle may have ended with
        a 408 before it came (RFC 9110 section 15.5.9)."""
        upstream = self.upstream
        if upstream is None or not upstream.used or not self._retry:
            return False
        upstream.drop()
        return self.retry()

    def _begin(self, answer: AnswerHead, data: bytes) -> None:
        """Pass on the head, and what `data` holds of the body behind it."""
        client, head = self.client, self.head
        start = self.route.page_start
        if start:
            data = begin_with(start, answer, data, bodiless=head.method == b"HEAD")
        length = answer.length
        if answer.bodiless or head.method == b"HEAD":
            length = 0
        # A client that still sends its request cannot be read for another one.
        close = self.uploading or not head.persistent or client.shared.stopping
        framed = answer.chunked and not head.kind.last and answer.status != 204
        self.answering = True
        if length is None:
            self._unsized(answer, data, framed, close)
            return
        self._close = close
        self.reusable = answer.persistent
        size = answer.size
        here = len(data) - size
        if answer.whole and here <= length and not (close or framed or self.route.answer.names):
            client.write(data)
        else:
            body = (memoryview(data) if here > _COPIED else data)[size : size + length]
            client.write(answer_head(answer, self.route, framed, close, body))
        if here >= length:
            self.finish(here == length)
        else:
            self.left = length - here
            self._splice_down()

    def _unsized(self, answer: AnswerHead, data: bytes, framed: bool, close: bool) -> None:
        """The same where the length is not known beforehand."""
        client = self.client
        size = answer.size
        unknown = not answer.chunked
        if unknown:  # the end of the connection is the end of the body
            close = True
            # In chunks where an early end has to show and a reset cannot say it, or would take
            # the answer from a client that still sends.
            framed = not self.head.kind.last and (self.uploading or not client.can_reset)
            self._refused = self.uploading and answer.status >= 400
        self._close = close
        self.reusable = answer.persistent and not unknown
        wire = answer_head(answer, self.route, framed, close)
        if answer.chunked:
            self.chunks = ChunkDecoder()
            client.write(wire)
            if len(data) > size:
                self._body(data[size:])
        elif framed:
            self.chunks = EndlessBody()
            client.write(wire)
            if len(data) > size:
                self._body(data[size:])
        else:
            client.write(wire + data[size:])

    def _judge(self, answer: AnswerHead, data: bytes) -> None:
        """The answer sets cookies, or refuses what the gate put into the request: the gate may have
        to look at it."""
        doubt, hands_out = self.route.doubt if answer.status in _NO else None, False
        try:
            if answer.cookies is not None:
                answer.keep_cookies_here()
                hands_out = hands_out_session(self.client.shared.gate, answer)
            doubted = doubt() if doubt is not None else None
            if hands_out or doubted is not None:
                self._hold = Hold(self, answer, data, doubted, hands_out=hands_out)
                return
        except Exception as exc:
            self.fail(exc)
            return
        self._begin(answer, data)

    def let_through(self, answer: AnswerHead, data: bytes) -> None:
        """The gate has nothing against an answer that was held back."""
        self._hold = None
        self.touched = self.client.shared.now
        upstream = self.upstream
        self._begin(answer, data)
        if self._lost is not None:
            if not self.ended:
                self.upstream_ended(self._lost)
        elif upstream is not None:
            upstream.go_on_reading(Why.DECIDING)

    # -- the body -----------------------------------------------------------------------------

    def _body(self, data: bytes) -> None:
        client = self.client
        left = self.left
        if left is not None:
            if len(data) < left:
                self.left = left - len(data)
                client.write(data)
                self._splice_down()
            else:
                client.write(data if len(data) == left else data[:left])
                self.finish(len(data) == left)
            return
        chunks = self.chunks
        if chunks is None:
            client.write(data)
            return
        try:
            framed, content = chunks.feed(data)
        except BadChunk as exc:
            named = client.named(self.head)
            client.shared.log.warning("the upstream's answer is cut off: %s", exc, extra=named)
            self.truncate()
            return
        pieces = framed if self.head.version == b"1" else content
        if pieces:
            client.write(b"".join(pieces))
        if chunks.done:
            self.finish(not chunks.rest)

    def client_writable(self, writable: bool) -> None:
        """The client's buffer has filled up or run empty."""
        if self.upstream is None:
            return
        if not writable:
            self.upstream.stop_reading(Why.OTHER_SIDE)
            return
        self.touched = self.client.shared.now
        if self._wants_splice:
            self._splice_down()
        self.upstream.go_on_reading(Why.OTHER_SIDE)

    def _splice_down(self) -> None:
        left, upstream, client = self.left, self.upstream, self.client
        if left is None or left < client.shared.limits.splice_from or upstream is None:
            return
        if not AVAILABLE or self._down is not None:
            return
        source, sink = upstream.plain_fd(), client.plain_fd()
        transport = client.transport
        if source is None or sink is None or transport is None:
            return
        if transport.get_write_buffer_size():
            # Tell us when it is empty, not when it is half so.
            self._wants_splice = True
            transport.set_write_buffer_limits(0)
            return
        if self._wants_splice:
            self._wants_splice = False
            transport.set_write_buffer_limits()
        try:
            self._down = Mover(
                client.shared.pipes, source, sink, left, self.moved, self._spliced_down
            )
        except OSError:
            return  # out of descriptors: the transports go on by themselves
        upstream.stop_reading(Why.SPLICING)

    def _spliced_down(self, outcome: Outcome, exc: OSError | None) -> None:
        self._down = None
        if outcome is Outcome.DONE:
            self.left = 0
            self.finish(True)
        elif outcome is Outcome.SOURCE_ENDED:
            self.truncate()
        else:
            self.client.leave()

    # -- the end ------------------------------------------------------------------------------

    def read_late(self) -> None:
        """Writing to the upstream has failed: what came before is its answer all the same."""
        late = self.late
        if late is None or self._down is not None:  # which reads to the end by itself
            return
        self.reusable = False
        for data in late.read():
            self.answer_data(data)
            if self.ended or self._down is not None:
                return

    def upstream_ended(self, exc: BaseException | None) -> None:
        """The upstream closed its connection (exc: or broke it) before we let go of it."""
        if self._down is not None:
            return
        exc = exc or self._broken
        if self._hold is not None:
            self._lost = exc or ConnectionAbortedError()
            return
        if self.answering:
            endless = isinstance(self.chunks, EndlessBody)
            ended = exc is None or self._refused
            if self.left is None and (self.chunks is None or endless) and ended:
                if endless:
                    self.client.write(EndlessBody.END)
                self.finish(False)  # the end of a body without length
            else:
                self.truncate()
            return
        upstream = self.upstream
        if upstream is not None:
            upstream.drop()
        fresh = upstream is None or not upstream.used
        if not fresh and not self._head_bytes and self.retry():
            return
        self.refuse(Slug.UPSTREAM_BROKEN)

    def finish(self, clean: bool) -> None:
        """The answer has been passed on whole.

        Args:
            clean: the upstream connection stands exactly at the end of the answer.
        """
        client, upstream, uploading = self.client, self.upstream, self.uploading
        reusable = upstream is not None and clean and self.reusable and not uploading
        pooled = self.head.kind.repeatable and self.late is None
        if reusable and (pooled or self._spare()):
            self._close_late()
            self._let_go()
        else:
            self.stop()
        if self._close:
            client.answered(close=True, unread=uploading)
        else:
            client.ready()

    def _spare(self) -> bool:
        """Whether a connection made for this one request is worth keeping: the upstream has all
        of its body, and none is idle already."""
        transport = None if self.upstream is None else self.upstream.transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        return not self.client.shared.pool.idle

    def _close_late(self) -> None:
        if self.late is not None:
            self.late.close()
            self.late = None

    def _let_go(self) -> None:
        """The upstream's connection can carry another exchange."""
        upstream, self.upstream = self.upstream, None
        self.ended = self.clean = True
        self._retry = b""
        if upstream is not None:
            if upstream.stopped:
                upstream.go_on_reading(Why.ANY)
            self.client.shared.pool.give(upstream, self.touched)

    def truncate(self) -> None:
        """The answer breaks off: the client must see that."""
        delimited = self.left is None and (self.chunks is None or self.head.version == b"0")
        unread = self.uploading
        self.stop()
        if unread and not delimited:  # a client that still sends has to be able to read it
            self.client.answered(close=True, unread=True)
        else:
            self.client.cut_off(reset=delimited)

    def refuse(self, slug: Slug, **detail: str) -> None:
        """An answer of our own instead of the upstream's, where that is still possible."""
        if self.answering:
            self.truncate()
            return
        unread = self.uploading
        self.stop()
        self.client.refuse(slug, self.head, unread=unread, **detail)

    def replace(self, answer: Answer) -> None:
        unread = self.uploading
        self.stop()
        self.client.answer(answer, self.head, unread=unread)

    def fail(self, exc: Exception) -> None:
        """An exception out of the gate."""
        unread = self.uploading
        self.stop()
        self.client.fail(exc, self.head, unread=unread)

    def stop(self) -> None:
        self.ended = True
        if self._down is not None:
            self._down.stop()
            self._down = None
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None
        self._close_late()
        if self.upstream is not None:
            self.upstream.drop()
            self.upstream = None
