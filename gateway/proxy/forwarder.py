"""One forwarder per process: it makes the client connections a listener asks for, keeps them, and
one sweeper looks after every timeout. What they share is in `shared.py`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Final, Protocol

from gateway.core.counters import Counters
from gateway.core.http.facts import IPAddress, Networks
from gateway.core.http.request_id import RequestIds
from gateway.core.http.trace_context import Sampling
from gateway.proxy.client import ClientConnection
from gateway.proxy.descriptors import Descriptors, pending
from gateway.proxy.http1.request import Base
from gateway.proxy.limits import Limits
from gateway.proxy.ports import AccessLog, Gate, PageServer
from gateway.proxy.shared import Shared
from gateway.proxy.upstream_pool import UpstreamAddress

_WORTH_A_LOOK: Final = 64  # one in so many has to wait, or looking costs more than it brings


class Evictable(Protocol):
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


class Greeted(Protocol):
    """A connection that speaks TLS first, `Evictable`. forwarder: whose client it will be."""

    forwarder: Forwarder
    since: float

    @property
    def waits(self) -> bool: ...
    @property
    def sock(self) -> socket.socket | None: ...

    def leave(self) -> None: ...


class Forwarder:
    """Bytes between clients and one upstream.

    Args:
        trusted: networks of proxies whose X-Forwarded-For is believed.
        base: the path of the public address; None for the root of a host.
        credential_cookies: names of the cookies in which the upstream takes a credential.
        stranger: told of peers that send X-Forwarded-For and are no trusted proxies.
        watched_hosts: whatever is asked for at one of these (as browsers write them, in lower
            case), the gate looks at it.
        counters: where requests are counted and timed; without any, nothing is.
        ids: makes what requests are called; without it they have no names.
        access: told of each request once it is over.
        sampling: which of them are traced, for `access`.
    """

    def __init__(
        self,
        gate: Gate,
        upstream: UpstreamAddress,
        pages: PageServer,
        *,
        limits: Limits | None = None,
        trusted: Networks = (),
        credential_cookies: Iterable[str] = (),
        stranger: Callable[[IPAddress], None] = lambda _: None,
        base: Base | None = None,
        watched_hosts: Iterable[str] = (),
        counters: Counters | None = None,
        ids: RequestIds | None = None,
        access: AccessLog | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        self.shared: Final = Shared(
            gate,
            upstream,
            pages,
            Descriptors(self._open, self._close_one),
            limits=limits or Limits(),
            trusted=trusted,
            credential_cookies=credential_cookies,
            stranger=stranger,
            base=base,
            watched_hosts=watched_hosts,
            counters=counters,
            ids=ids,
            access=access,
            sampling=sampling,
        )
        self._make: type[ClientConnection] = ClientConnection
        if access is not None:
            from gateway.proxy import logged

            self._make = logged.LoggedClient if counters is None else logged.LoggedMeteredClient
        elif counters is not None:
            from gateway.proxy import metered

            self._make = metered.MeteredClient
        self.clients: Final[dict[ClientConnection, None]] = {}
        """All connections of clients, the first that came first."""
        self._greetings: dict[Greeted, None] = {}
        self._waiting: list[tuple[float, Evictable]] = []
        self._looked = -1.0
        self._ticked = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None
        self._next: Forwarder | None = None

    # -- connections --------------------------------------------------------------------------

    def client(self) -> ClientConnection:
        """A protocol for a connection that a listener has accepted."""
        if self._timer is None:
            self._tick()
        return self._make(self.shared, self)

    def greet(self, greeting: Greeted) -> None:
        """A connection that has to speak TLS first."""
        if self._timer is None:
            self._tick()
        if greeting.sock is not None:
            self.shared.descriptors.arrived(greeting.sock.fileno())
        self._greetings[greeting] = None

    def greeted(self, greeting: Greeted) -> None:
        """It has, or it never will."""
        self._greetings.pop(greeting, None)

    def came(self, client: ClientConnection) -> None:
        if self._next is not None:  # its TLS began before
            client.move(self._next.shared, self._next)
            self._next.came(client)
            return
        sock = client.sock
        if sock is not None:
            self.shared.descriptors.arrived(sock.fileno())
        self.clients[client] = None

    def gone(self, client: ClientConnection) -> None:
        self.clients.pop(client, None)
        if self._empty is not None and not self.clients:
            self._empty.set()

    # -- another in its place -------------------------------------------------------------------

    def retire(self, successor: Forwarder) -> None:
        """Hand every connection on, those that are busy when they are ready for another request."""
        self._next = successor
        self.shared.leaving = True
        for greeting in list(self._greetings):
            del self._greetings[greeting]
            greeting.forwarder = successor
            greeting.since += successor.shared.now - self.shared.now
            successor.greet(greeting)
        for client in list(self.clients):
            if client.stage is None:
                self._hand_on(client, successor)
        self.shared.pool.sweep(self.shared.now)

    def left_over(self, client: ClientConnection) -> None:
        if not self.shared.stopping and self._next is not None:
            self._hand_on(client, self._next)
        elif client.idle:
            client.finish()

    def _hand_on(self, client: ClientConnection, successor: Forwarder) -> None:
        successor.take(client)
        self.gone(client)

    def take(self, client: ClientConnection) -> None:
        """A connection of another forwarder's."""
        if self._next is not None:
            self._next.take(client)
            return
        if self._timer is None:
            self._tick()
        client.move(self.shared, self)
        self.clients[client] = None

    async def empty(self) -> None:
        """Wait for the last connection to go."""
        self._empty = self._empty or asyncio.Event()
        if self.clients:
            await self._empty.wait()

    def _open(self) -> int:
        """Descriptors of connections and what belongs to them."""
        lines = len(self.clients) + len(self._greetings) + len(self.shared.pool.open)
        return lines + len(self.shared.asking.open) + self.shared.pipes.open

    def _close_one(self) -> None:
        """Close the client's connection that has waited longest, for others to come."""
        now = self.shared.now
        fresh = False
        while True:
            while self._waiting:
                since, client = self._waiting.pop()
                here = client in self.clients or client in self._greetings
                if here and client.waits and client.since == since and not pending(client.sock):
                    client.leave()
                    return
            if fresh:  # something has come on each of them: nobody waits
                self._looked = now
            if self._looked == now:
                return
            every: list[Evictable] = [*self.clients, *self._greetings]
            found = [(client.since, client) for client in every if client.waits]
            if _WORTH_A_LOOK * len(found) < len(every) or not found:
                self._looked = now  # nearly all of them are busy: not again in this tick
            fresh = True
            found.sort(key=itemgetter(0))  # of the same moment, the one that came first
            self._waiting = found[::-1]

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        shared = self.shared
        tick = shared.limits.tick
        moment = loop.time()
        # While the loop did not turn (a busy machine, a stopped process) nobody was heard: that
        # is our silence, not theirs.
        shared.now = now = shared.now + min(moment - self._ticked, 2 * tick)
        self._ticked = moment
        self._timer = loop.call_later(tick, self._tick)
        for client in list(self.clients):
            client.sweep(now)
        shared.pool.sweep(now - shared.limits.pool_idle)
        shared.asking.sweep(now - shared.limits.pool_idle)

    async def stop(self) -> None:
        """Stop gracefully: idle connections close now, transfers finish within `limits.drain`,
        what is left then is cut off."""
        shared = self.shared
        shared.stopping = shared.leaving = True
        self._empty = self._empty or asyncio.Event()
        for greeting in list(self._greetings):
            greeting.leave()
        for client in list(self.clients):
            if client.stage is None:
                client.finish()
        if self.clients:
            try:
                await asyncio.wait_for(self._empty.wait(), shared.limits.drain)
            except TimeoutError:
                for client in list(self.clients):
                    client.leave()
        shared.pool.close()
        shared.asking.close()
        shared.pipes.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await asyncio.sleep(0)  # the transports say goodbye in their next turn
