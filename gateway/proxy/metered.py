"""Connections and exchanges that count and take the time: what they do to requests is what the
classes above them do.

Only a forwarder that was given counters makes these, so that where nobody counts, nothing of it
runs. On the straight path it is three looks at the clock, two times kept and an addition; there
the class above is named, since `super()` costs more than all of that.
"""

from __future__ import annotations

from time import perf_counter
from types import MappingProxyType
from typing import Final

from gateway.core.counters import Counted, Counters, Notes, Tally, Timed
from gateway.core.errors import Slug
from gateway.core.http.facts import Facts
from gateway.proxy.client import ClientConnection, Keeper
from gateway.proxy.exchange import Exchange
from gateway.proxy.handover import Handed
from gateway.proxy.http1.body import Body
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.route import Route
from gateway.proxy.ports import Answer
from gateway.proxy.roles import Downstream
from gateway.proxy.shared import Shared
from gateway.proxy.splice import Outcome
from gateway.proxy.watched import Watched

_UNREAD: Final = "(unread)"
"""Stands for the rule of a request that none was asked about."""


class MeteredClient(ClientConnection):
    """began: when what has come of the head of the present request was looked at, or 0.0."""

    __slots__ = ("_counters", "_slug", "began", "took", "upstream_took")

    def __init__(self, shared: Shared, keeper: Keeper) -> None:
        super().__init__(shared, keeper)
        assert shared.counters is not None
        self._counters: Final[Counters] = shared.counters
        self.took: Final = shared.counters.times(Timed.GATEWAY).took
        self.upstream_took: Final = shared.counters.times(Timed.UPSTREAM).took
        self.began = 0.0
        self._slug = ""

    def _head(self, data: bytes) -> None:
        self.began = perf_counter()
        ClientConnection._head(self, data)

    def sent(self, now: float, facts: Facts | None) -> None:
        """The request is on its way to the upstream, or answered: our part is over."""
        if self.began:
            waited = 0.0 if facts is None else facts.notes.waited
            self.took(max(0.0, now - self.began - waited))
            self.began = 0.0

    def tally(self, route: Route) -> Tally:
        """Where it is counted that the upstream answers what goes this way."""
        rule = route.forward.rule or _UNREAD
        route.tally = found = self._counters.count(Counted.REQUESTS, rule, "forwarded")
        return found

    def refuse(self, slug: Slug, head: RequestHead | None, *, unread: bool, **detail: str) -> None:
        self._slug = slug
        super().refuse(slug, head, unread=unread, **detail)

    def answer(self, answer: Answer, head: RequestHead | None, *, unread: bool) -> None:
        stage, facts = self.stage, None if head is None else head.facts
        notes = facts.notes if facts is not None else Notes()
        slug, self._slug = notes.slug or self._slug, ""
        rule = notes.rule
        if not rule and isinstance(stage, Exchange):
            rule = stage.route.forward.rule
        self._told(rule, slug, answer.status)
        self.sent(perf_counter(), facts)
        super().answer(answer, head, unread=unread)

    def answered(self, *, close: bool, unread: bool) -> None:
        stage = self.stage
        if isinstance(stage, Handed):
            notes = stage.facts.notes
            self._told(notes.rule, notes.slug, stage.status)
            self.sent(perf_counter(), stage.facts)
        super().answered(close=close, unread=unread)

    def _told(self, rule: str, slug: str, status: int) -> None:
        verdict = "failed" if status >= 500 else "refused" if slug else "answered"
        self._counters.counted(Counted.REQUESTS, rule or _UNREAD, verdict)
        if slug:
            self._counters.counted(Counted.REFUSALS, slug)


class Metered(Exchange):
    """Takes the time from the last byte of a request that went up to the first of its answer."""

    __slots__ = ()

    def __init__(self, client: Downstream, head: RequestHead, route: Route) -> None:
        super().__init__(client, head, route)
        self.sent_at = 0.0

    def again(self, head: RequestHead, route: Route) -> None:
        Exchange.again(self, head, route)
        self.sent_at = now = perf_counter()
        client: MeteredClient = self.client  # type: ignore[assignment]
        client.took(now - client.began)
        client.began = 0.0

    def start(self, first: bytes, body: Body | None, *, foreign: bool = False) -> None:
        super().start(first, body, foreign=foreign)
        self.sent_at = now = perf_counter()
        self.client.sent(now, self.head.facts)  # type: ignore[attr-defined]

    def _send(self, framed: list[bytes]) -> None:
        super()._send(framed)
        self.sent_at = perf_counter()

    def _spliced_up(self, outcome: Outcome, exc: OSError | None) -> None:
        super()._spliced_up(outcome, exc)
        self.sent_at = perf_counter()

    def answer_data(self, data: bytes) -> None:
        sent = self.sent_at
        if sent and not self.answering:
            self.sent_at = 0.0
            client: MeteredClient = self.client  # type: ignore[assignment]
            client.upstream_took(perf_counter() - sent)
            tally = self.route.tally or client.tally(self.route)
            tally.number += 1
        Exchange.answer_data(self, data)


class MeteredWatched(Metered, Watched):
    __slots__ = ()


MeteredClient.instead = MappingProxyType({Exchange: Metered, Watched: MeteredWatched})
