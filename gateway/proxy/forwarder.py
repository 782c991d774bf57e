"""What all connections share: the gate, the upstream's pool, the memo of quick decisions, time.

One `Forwarder` per process. It makes the client connections a listener asks for, and one sweeper
looks after every timeout.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Final, Protocol

from gateway.core.errors import MESSAGES, Slug
from gateway.core.http.facts import Facts, IPAddress, Networks, is_trusted
from gateway.proxy.client import ClientConnection
from gateway.proxy.descriptors import Descriptors, pending
from gateway.proxy.http1.request import Base, RequestHead
from gateway.proxy.http1.request_fields import Said
from gateway.proxy.http1.route import Rendered, RequestKind, Route
from gateway.proxy.limits import Limits
from gateway.proxy.ports import Answer, Forward, Gate, PageServer
from gateway.proxy.room import Room
from gateway.proxy.splice import Pipes
from gateway.proxy.upstream_pool import Pool, UpstreamAddress

_MEMO: Final = 8192
_MEMO_LINE: Final = 256
_TELL_AGAIN: Final = 3600.0  # seconds
_STRANGERS: Final = 20  # peers told of in that time: any client can send the field
_WORTH_A_LOOK: Final = 64  # one in so many has to wait, or looking costs more than it brings


class Waiting(Protocol):
    """A connection that may be closed to make room for others, see `Forwarder.greet`.

    waits: nothing is under way on it. since: when that began, in the forwarder's time.
    """

    @property
    def waits(self) -> bool: ...
    @property
    def since(self) -> float: ...
    @property
    def sock(self) -> socket.socket | None: ...

    def leave(self) -> None:
        """It is not waited for any more."""
        ...


class Forwarder:
    """Bytes between clients and one upstream.

    Args:
        trusted: networks of proxies whose X-Forwarded-For is believed.
        base: the path of the public address; None for the root of a host.
        credential_cookies: names of the cookies in which the upstream takes a credential.
        stranger: told of peers that send X-Forwarded-For and are no trusted proxies.
    """

    def __init__(
        self,
        gate: Gate,
        endpoint: UpstreamAddress,
        pages: PageServer,
        *,
        limits: Limits | None = None,
        trusted: Networks = (),
        credential_cookies: Iterable[str] = (),
        stranger: Callable[[IPAddress], None] = lambda _: None,
        base: Base | None = None,
    ) -> None:
        self.gate: Final = gate
        self.authority: Final = endpoint.authority
        self.pages: Final = pages
        self.limits: Final = limits or Limits()
        self.trusted: Final = trusted
        self._stranger: Final = stranger
        self._strangers: dict[IPAddress, float] = {}
        self.base: Final = base
        self._credential_cookies: Final = [name.encode() for name in credential_cookies]
        self.log: Final = logging.getLogger("gateway.proxy")
        self.descriptors: Final = Descriptors(self._open, self._close_one)
        self.pool: Final = Pool(endpoint, self.limits.pool, self.descriptors)
        self.pipes: Final = Pipes(self.descriptors)
        self.room: Final = Room(self.limits.held)
        self.clients: Final[dict[ClientConnection, None]] = {}
        """All connections of clients, the first that came first."""
        self._greetings: dict[Waiting, None] = {}
        self._waiting: list[tuple[float, Waiting]] = []
        self._looked = -1.0
        self.bare: Final = Route(Forward())
        self.stopping = False
        self.now = 0.0
        """Seconds in which peers were heard, as of the last tick: exact enough for timeouts."""
        self._ticked = 0.0
        self.memo: dict[bytes, RequestKind] = {}
        self._routes: dict[int, Route] = {}
        self._addresses: dict[IPAddress | None, Rendered] = {}
        self._told: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    # -- connections --------------------------------------------------------------------------

    def client(self) -> ClientConnection:
        """A protocol for a connection that a listener has accepted."""
        if self._timer is None:
            self._tick()
        return ClientConnection(self)

    def greet(self, greeting: Waiting) -> None:
        """A connection that has to speak TLS first."""
        if self._timer is None:
            self._tick()
        if greeting.sock is not None:
            self.descriptors.arrived(greeting.sock.fileno())
        self._greetings[greeting] = None

    def greeted(self, greeting: Waiting) -> None:
        """It has, or it never will."""
        self._greetings.pop(greeting, None)

    def gone(self, client: ClientConnection) -> None:
        self.clients.pop(client, None)
        if self._empty is not None and not self.clients:
            self._empty.set()

    def _open(self) -> int:
        """Descriptors of connections and what belongs to them."""
        lines = len(self.clients) + len(self._greetings) + len(self.pool.open)
        return lines + self.pipes.open

    def _close_one(self) -> None:
        """Close the client's connection that has waited longest, for others to come."""
        while True:
            while self._waiting:
                since, client = self._waiting.pop()
                here = client in self.clients or client in self._greetings
                if here and client.waits and client.since == since and not pending(client.sock):
                    client.leave()
                    return
            if self._looked == self.now:
                return
            every: list[Waiting] = [*self.clients, *self._greetings]
            found = [(client.since, client) for client in every if client.waits]
            if _WORTH_A_LOOK * len(found) < len(every) or not found:
                self._looked = self.now  # nearly all of them are busy: not again in this tick
            found.sort(key=itemgetter(0))  # of the same moment, the one that came first
            self._waiting = found[::-1]

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        tick = self.limits.tick
        moment = loop.time()
        # While the loop did not turn (a busy machine, a stopped process) nobody was heard: that
        # is our silence, not theirs.
        self.now = now = self.now + min(moment - self._ticked, 2 * tick)
        self._ticked = moment
        self._timer = loop.call_later(tick, self._tick)
        for client in list(self.clients):
            client.sweep(now)
        self.pool.sweep(now - self.limits.pool_idle)

    async def stop(self) -> None:
        """Stop gracefully: idle connections close now, transfers finish within `limits.drain`,
        what is left then is cut off."""
        self.stopping = True
        self._empty = asyncio.Event()
        for greeting in list(self._greetings):
            greeting.leave()
        for client in list(self.clients):
            if client.stage is None:
                client.finish()
        if self.clients:
            try:
                await asyncio.wait_for(self._empty.wait(), self.limits.drain)
            except TimeoutError:
                for client in list(self.clients):
                    client.leave()
        self.pool.close()
        self.pipes.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await asyncio.sleep(0)  # the transports say goodbye in their next turn

    # -- decisions remembered -----------------------------------------------------------------

    def quick(self, head: RequestHead) -> Route | None:
        """The straight path for a request line that `memo` does not hold, if it has one."""
        forward = self.gate.quick(head.method.decode("latin-1"), head.target.decode("latin-1"))
        if forward is None:
            return None
        route = self._routes.get(id(forward))
        if route is None or route.forward is not forward:
            route = Route(forward, lasting=True)
            if len(self._routes) < _MEMO:
                self._routes[id(forward)] = route
        if len(head.line) <= _MEMO_LINE:
            if len(self.memo) >= _MEMO:
                self.memo.clear()  # filled by someone who asks for ever new paths
            self.memo[head.line] = route.kind(head.kind)
        return route

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

    def unknown_client(self, what: str) -> None:
        """A trusted proxy named a client by what is no address: said once, not for each."""
        if what not in self._told:
            self._told.add(what)
            self.log.warning(
                "a trusted proxy sends %s in X-Forwarded-For; such clients count as unknown: "
                "outside of all networks, and all as one when tries are counted",
                what,
            )

    def proxied(self, peer: IPAddress | None, *, by_name: bool) -> None:
        """A peer said whose request it brings and was not believed: once an hour for each.

        Args:
            by_name: it did so in X-Forwarded-For, the field that is read.
        """
        trusted = peer is not None and is_trusted(peer, self.trusted)
        if peer is None or (trusted and by_name):
            return
        recent = {one: at for one, at in self._strangers.items() if self.now - at < _TELL_AGAIN}
        if peer in recent or len(recent) >= _STRANGERS:
            return
        self._strangers = {**recent, peer: self.now}
        if trusted:
            self.log.warning(
                "%s is in trusted_proxies but sends Forwarded only, which is not read: all people "
                "behind it are one network; let it send X-Forwarded-For",
                peer,
            )
            return
        self.log.warning(
            "%s sends %s but is not in trusted_proxies: if it is a proxy of yours, all people "
            "behind it are one network and are held back together; set trusted_proxies: [%s]",
            peer,
            "X-Forwarded-For" if by_name else "Forwarded",
            peer,
        )
        self._stranger(peer)

    def refusal(self, facts: Facts | None, slug: Slug, detail: Mapping[str, str]) -> Answer:
        try:
            return self.gate.refusal(facts, slug, **detail)
        except Exception:
            self.log.exception("a refusal could not be worded")
            return Answer(MESSAGES[slug].status, (), b"", close=True)
