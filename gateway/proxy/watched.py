"""An exchange of which somebody wants to know how the upstream answered (`Forward.watch`)."""

from __future__ import annotations

from gateway.core.counters import NOTES
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.response import AnswerHead
from gateway.proxy.http1.route import Route
from gateway.proxy.roles import Downstream


class Watched(Exchange):
    """Tells the watch once: the status of the answer, or that there was none."""

    __slots__ = ("_told",)

    def __init__(self, client: Downstream, head: RequestHead, route: Route) -> None:
        super().__init__(client, head, route)
        self._told = False

    def _bodiless(self, wire: bytes) -> None:
        super()._bodiless(wire)
        self.plain = False  # else the answer might pass unread

    def _begin(self, answer: AnswerHead, data: bytes) -> None:
        self._tell(answer.status, answer.length)
        super()._begin(answer, data)

    def _judge(self, answer: AnswerHead, data: bytes) -> None:
        self._tell(answer.status, answer.length)
        super()._judge(answer, data)

    def stop(self) -> None:
        self._tell(None)
        super().stop()

    def _tell(self, status: int | None, length: int | None = None) -> None:
        watch = self.route.forward.watch
        if watch is not None and not self._told:
            self._told = True
            if self.head.facts is not None:  # the context may be that of another request
                NOTES.set(self.head.facts.notes)
            watch.answered(status, length)


def exchange_for(client: Downstream, head: RequestHead, route: Route) -> Exchange:
    kind = Exchange if route.forward.watch is None else Watched
    instead: type[Exchange] = client.instead.get(kind, kind)
    return instead(client, head, route)
