"""Connections and exchanges of which each request is told to an access log once it is over: what
they do to requests is what the classes above them do.

Only a forwarder that was given such a log makes these. A request is over with its answer, or when
one of the two sides has left.
"""

from __future__ import annotations

from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.core.counters import Notes
from gateway.core.errors import Slug
from gateway.core.http import request_id
from gateway.proxy.client import ClientConnection, Keeper
from gateway.proxy.exchange import Exchange
from gateway.proxy.handover import Handed
from gateway.proxy.http1.syntax import without
from gateway.proxy.metered import Metered, MeteredClient, MeteredWatched
from gateway.proxy.ports import Access, Answer
from gateway.proxy.watched import Watched

if TYPE_CHECKING:
    from gateway.core.http.facts import Facts
    from gateway.core.http.trace_context import Trace
    from gateway.proxy.http1.body import Body
    from gateway.proxy.http1.request import RequestHead
    from gateway.proxy.http1.response import AnswerHead
    from gateway.proxy.http1.route import Route
    from gateway.proxy.roles import Downstream
    from gateway.proxy.shared import Shared
    from gateway.proxy.splice import Outcome

LEFT: Final = "client left"
CUT: Final = "cut off"
_TRACED: Final = {b"traceparent"}
_STATE: Final = {b"tracestate"}
_NOBODY: Final = 499
"""The status of a request whose client left before an answer, as nginx writes it."""


class _Request:
    """What is noted of the present request of a connection.

    came: its bytes, and those of what was sent ahead. gone: bytes of its answer's body.
    began: when its first byte came, 0.0 between requests. head_seen: the answer's has passed.
    """

    __slots__ = ("began", "came", "gone", "head", "head_seen", "status", "trace", "why")

    def __init__(self, came: int) -> None:
        self.came = came
        self.gone = self.status = 0
        self.began = 0.0
        self.head: RequestHead | None = None
        self.why = ""
        self.head_seen = False
        self.trace: Trace | None = None


class _Way:
    """What is noted of an exchange.

    status: the upstream's, 0 before its answer. took: seconds until it began to answer, counted
    from `went`. flies, rises: bytes that the present movers are to move, less what was counted.
    """

    __slots__ = ("began", "flies", "rises", "status", "took", "went")

    def __init__(self) -> None:
        self.status = self.flies = self.rises = 0
        self.took: float | None = None
        self.began = self.went = perf_counter()


class _Logged(ClientConnection):
    __slots__ = ()

    noted: _Request

    def __init__(self, shared: Shared, keeper: Keeper) -> None:
        super().__init__(shared, keeper)
        self.noted = _Request(0)

    def data_received(self, data: bytes) -> None:
        self.noted.came += len(data)
        super().data_received(data)

    def _head(self, data: bytes) -> None:
        if not self.noted.began:
            self.noted.began = perf_counter()
        super()._head(data)

    def id_of(self, head: RequestHead) -> bytes:
        noted, sampling = self.noted, self.shared.sampling
        noted.head = head
        line = super().id_of(head)
        if sampling is not None and noted.trace is None:
            trusted, said = self.behind_proxy, head.said
            noted.trace = trace = sampling.begin(said.block, trusted=trusted)
            said.kept = without(said.kept, _TRACED if trusted else _TRACED | _STATE)
            head.id = line = b"%s\ntraceparent: %s\r" % (line, trace.value.encode())
        return line

    def facts(self, head: RequestHead) -> Facts:
        found = super().facts(head)
        found.notes.trace = self.noted.trace
        return found

    def write(self, data: bytes) -> None:
        noted = self.noted
        if noted.head_seen:
            noted.gone += len(data)
        elif not data.startswith(b"HTTP/1.1 1"):
            noted.head_seen = True
            noted.gone += len(data) - data.find(b"\r\n\r\n") - 4
        super().write(data)

    def refuse(self, slug: Slug, head: RequestHead | None, *, unread: bool, **detail: str) -> None:
        self.noted.why = slug
        super().refuse(slug, head, unread=unread, **detail)

    def answer(self, answer: Answer, head: RequestHead | None, *, unread: bool) -> None:
        self.noted.status = answer.status
        super().answer(answer, head, unread=unread)

    # -- the end of a request -----------------------------------------------------------------

    def answered(self, *, close: bool, unread: bool) -> None:
        stage = self.stage
        broken = isinstance(stage, LoggedExchange) and not self.noted.status and stage.unfinished
        self._over(CUT if broken else "")
        super().answered(close=close, unread=unread)

    def ready(self) -> None:
        self._over("")
        super().ready()

    def cut_off(self, *, reset: bool) -> None:
        self._over(CUT)
        super().cut_off(reset=reset)

    def _gone(self) -> None:
        if self.noted.head is not None:
            self._over(LEFT)
        super()._gone()

    def _over(self, ended: str) -> None:
        noted, stage, log = self.noted, self.stage, self.shared.access
        if not noted.began:
            return
        head = noted.head
        facts = head.facts if head is not None else None
        notes = facts.notes if facts is not None else Notes()
        status, upstream, asked, rule = noted.status, None, None, notes.rule
        if isinstance(stage, LoggedExchange):
            way = stage.noted
            upstream, asked = way.took, way.began - noted.began
            status = status or way.status
            rule = rule or stage.route.forward.rule
            noted.gone += stage.flown()
            noted.came += stage.risen()
        elif isinstance(stage, Handed):
            status = status or stage.status
        if ended is LEFT and not noted.head_seen:
            status = _NOBODY
        if log is not None:
            log(
                Access(
                    id=request_id.text(self._unread_id if head is None else head.id or b""),
                    client=self._whose(head),
                    user=notes.user,
                    line=b"" if head is None else head.line,
                    block=b"" if head is None else head.block,
                    status=status,
                    came=noted.came - len(self._buffer if head is not None else b""),
                    gone=noted.gone,
                    seconds=perf_counter() - noted.began,
                    upstream=upstream,
                    slug=notes.slug or noted.why,
                    rule=rule,
                    ended=ended,
                    asked=asked,
                    trace=noted.trace,
                )
            )
        self.noted = _Request(len(self._buffer))

    def _whose(self, head: RequestHead | None) -> str:
        if head is None or self.unknown:
            return str(self._peer or "")
        return str(self._address or "")


class LoggedExchange(Exchange):
    __slots__ = ()

    noted: _Way

    def __init__(self, client: Downstream, head: RequestHead, route: Route) -> None:
        super().__init__(client, head, route)
        self.noted = _Way()

    def again(self, head: RequestHead, route: Route) -> None:
        self.noted = _Way()
        super().again(head, route)

    def start(self, first: bytes, body: Body | None, *, foreign: bool = False) -> None:
        super().start(first, body, foreign=foreign)
        self.noted.went = perf_counter()

    def _send(self, framed: list[bytes]) -> None:
        super()._send(framed)
        self.noted.went = perf_counter()

    def answer_data(self, data: bytes) -> None:
        noted = self.noted
        if noted.took is None:
            noted.took = perf_counter() - noted.went
            if self.plain:
                noted.status = 200  # what passes as it comes always is; `_begin` knows better
        super().answer_data(data)

    def _begin(self, answer: AnswerHead, data: bytes) -> None:
        self.noted.status = answer.status
        super()._begin(answer, data)

    @property
    def unfinished(self) -> bool:
        """The answer has begun, and not ended as it said."""
        open_ = self.chunks is not None and not self.chunks.done
        return self.answering and (bool(self.left) or open_)

    # -- below the transports -----------------------------------------------------------------

    def flown(self) -> int:
        """Bytes of the answer that moved below the transports and were not counted yet."""
        if self._down is None:
            return 0
        meant, self.noted.flies = self.noted.flies, self._down.left
        return meant - self._down.left

    def risen(self) -> int:
        """The same of the request."""
        if self._mover is None:
            return 0
        meant, self.noted.rises = self.noted.rises, self._mover.left
        return meant - self._mover.left

    def _splice_down(self) -> None:
        before = self._down
        super()._splice_down()
        if self._down is not before and self._down is not None:
            self.noted.flies = self._down.left

    def _spliced_down(self, outcome: Outcome, exc: OSError | None) -> None:
        self.client.noted.gone += self.flown()
        super()._spliced_down(outcome, exc)

    def _splice_up(self) -> None:
        before = self._mover
        super()._splice_up()
        if self._mover is not before and self._mover is not None:
            self.noted.rises = self._mover.left

    def _spliced_up(self, outcome: Outcome, exc: OSError | None) -> None:
        self.client.noted.came += self.risen()
        super()._spliced_up(outcome, exc)
        self.noted.went = perf_counter()


class _Watched(LoggedExchange, Watched):
    __slots__ = ()


class _Metered(LoggedExchange, Metered):
    __slots__ = ()


class _MeteredWatched(LoggedExchange, MeteredWatched):
    __slots__ = ()


class LoggedClient(_Logged):
    __slots__ = ()

    instead = MappingProxyType[type[Any], type[Any]]({Exchange: LoggedExchange, Watched: _Watched})


class LoggedMeteredClient(_Logged, MeteredClient):
    __slots__ = ()

    instead = MappingProxyType[type[Any], type[Any]]({Exchange: _Metered, Watched: _MeteredWatched})
