"""What all connections of one forwarder share: limits, pool, pipes, gate, memo, time.

A connection knows this and not who keeps it, so nothing of what is remembered outlives its
forwarder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.core.counters import Counters
from gateway.core.errors import MESSAGES, Refusal, Slug
from gateway.core.http.facts import Facts, IPAddress, Networks
from gateway.core.http.path import parse_target
from gateway.core.http.request_id import RequestIds
from gateway.core.http.trace_context import Sampling
from gateway.proxy.descriptors import Descriptors
from gateway.proxy.http1.request import Base, RequestHead, RequestReader
from gateway.proxy.http1.request_fields import Said
from gateway.proxy.http1.response import AnswerReader
from gateway.proxy.http1.route import Rendered, Route
from gateway.proxy.limits import Limits
from gateway.proxy.peers import Peers
from gateway.proxy.ports import AccessLog, Answer, Forward, Gate, PageServer
from gateway.proxy.room import Room
from gateway.proxy.splice import Pipes
from gateway.proxy.upstream_pool import Pool, UpstreamAddress

_MEMO: Final = 8192
_MEMO_LINE: Final = 256


class Shared:
    """Arguments as for `Forwarder`. Attributes:

    pool: connections for what clients send. asking: those for the gateway's own questions.
    bare: the way of what goes on as it came. stopping: no other requests are taken.
    leaving: that, or they are taken by another forwarder.
    now: seconds in which peers were heard, as of the last tick: exact enough for timeouts.
    counters: where, None where nothing is. ids: what requests are called, None where they have no
    names. access: told of each request, None where nobody is. sampling: makes traces.
    requests, answers: read heads, and remember what comes again. `requests.known` are the kinds of
        first lines that have a straight path.
    """

    __slots__ = (
        "_addresses", "_closed", "_credential_cookies", "_routes", "access", "answers", "asking",
        "authority", "bare", "base", "counters", "descriptors", "gate", "ids", "leaving", "limits",
        "log", "now", "pages", "peers", "pipes", "pool", "requests", "room", "sampling", "stopping",
        "trusted",
    )  # fmt: skip

    def __init__(
        self,
        gate: Gate,
        upstream: UpstreamAddress,
        pages: PageServer,
        descriptors: Descriptors,
        *,
        limits: Limits,
        trusted: Networks,
        credential_cookies: Iterable[str],
        stranger: Callable[[IPAddress], None],
        base: Base | None,
        watched_hosts: Iterable[str],
        counters: Counters | None = None,
        ids: RequestIds | None = None,
        access: AccessLog | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        self.gate: Final = gate
        self.authority: Final = upstream.authority
        self.pages: Final = pages
        self.limits: Final = limits
        self.trusted: Final = trusted
        self.base: Final = base
        self.log: Final = logging.getLogger("gateway.proxy")
        self.descriptors: Final = descriptors
        self.peers: Final = Peers(trusted, stranger)
        self.pool: Final = Pool(upstream, limits.pool, descriptors)
        self.asking: Final = Pool(upstream, limits.pool, descriptors)
        self.pipes: Final = Pipes(descriptors)
        self.room: Final = Room(limits.held)
        self.bare: Final = Route(Forward())
        self.counters: Final = counters
        self.ids: Final = ids
        self.access: Final = access
        self.sampling: Final = sampling
        self.stopping = self.leaving = False
        self.now = 0.0
        self.requests: Final = RequestReader(limits, watched_hosts)
        self.answers: Final = AnswerReader(limits.head)
        self._credential_cookies: Final = [name.encode() for name in credential_cookies]
        self._routes: dict[int, Route] = {}
        self._closed: dict[bytes, tuple[str, Forward]] = {}
        self._addresses: dict[IPAddress | None, Rendered] = {}

    def quick(self, head: RequestHead) -> Route | None:
        """The straight path for a request line that is not known, if it has one.

        Lines without one are not remembered: in the query of a guarded one may stand a secret.
        """
        try:
            head.parsed = parse_target(head.target.decode("latin-1"))
        except Refusal:
            return None
        forward = self.gate.quick(head.method.decode("latin-1"), head.parsed.path)
        if forward is None:
            return None
        route = self._routes.get(id(forward))
        if route is None or route.forward is not forward:
            route = Route(forward, lasting=True)
            if len(self._routes) < _MEMO:
                self._routes[id(forward)] = route
        if len(head.line) <= _MEMO_LINE:
            known = self.requests.known
            if len(known) >= _MEMO:
                known.clear()  # filled by someone who asks for ever new paths
            known[head.line] = route.kind(head.kind)
        return route

    def closed(self, head: RequestHead) -> tuple[str, Forward] | None:
        """The path of a request and its way, if it is one of `Gate.closed`."""
        known = self._closed.get(head.line)
        if known is not None:
            return known
        try:
            path = (head.parsed or parse_target(head.target.decode("latin-1"))).path
        except Refusal:
            return None
        forward = self.gate.closed(head.method.decode("latin-1"), path)
        if forward is None:
            return None
        # A query may hold a secret, and is not remembered.
        if len(head.line) <= _MEMO_LINE and b"?" not in head.line:
            if len(self._closed) >= _MEMO:
                self._closed.clear()
            self._closed[head.line] = path, forward
        return path, forward

    def anonymous(self, said: Said) -> bool:
        """Whether the only cookies of a request mean nothing to the upstream.

        The names are searched for as plain text: servers split the field differently.
        """
        return not any(map(said.block.__contains__, self._credential_cookies))

    def route(self, forward: Forward) -> Route:
        """A plan's route; one that lasts is rendered once."""
        route = self._routes.get(id(forward))
        return route if route is not None and route.forward is forward else Route(forward)

    def client_fields(self, address: IPAddress | None) -> Rendered:
        fields = self._addresses.get(address)
        if fields is None:
            fields = Rendered(self.gate.client_fields(address)).beyond_hygiene()
            if len(self._addresses) >= _MEMO:
                self._addresses.clear()
            self._addresses[address] = fields
        return fields

    def refusal(self, facts: Facts | None, slug: Slug, detail: Mapping[str, str]) -> Answer:
        try:
            return self.gate.refusal(facts, slug, **detail)
        except Exception:
            self.log.exception("a refusal could not be worded")
            return Answer(MESSAGES[slug].status, (), b"", close=True)
