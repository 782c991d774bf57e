"""The small stages of a client connection: gone, lingering, waiting for a decision."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from gateway.proxy.connection import Why
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.ports import Plan
from gateway.proxy.roles import Downstream

_QUIET = 5.0  # seconds without a byte after which a lingering client has understood


class Gone:
    """The connection is ending; nothing that still comes matters."""

    __slots__ = ()

    def client_data(self, data: bytes) -> None: ...

    def client_writable(self, writable: bool) -> None: ...

    def client_ended(self) -> None: ...

    def client_gone(self) -> None: ...

    def sweep(self, now: float) -> None: ...


class Linger:
    """The last answer is out, but the client is still sending: read and drop what comes.

    Closing at once would reset the connection, and the client would lose the answer before it
    has read it (RFC 9112 section 9.6).
    """

    __slots__ = ("_began", "_client", "_heard")

    def __init__(self, client: Downstream) -> None:
        self._client = client
        self._began = self._heard = client.shared.now
        client.go_on_reading(Why.ANY)
        transport = client.transport
        if transport is not None and transport.can_write_eof():
            with contextlib.suppress(OSError):  # the client has left
                transport.write_eof()

    def client_data(self, data: bytes) -> None:
        self._heard = self._client.shared.now

    def client_writable(self, writable: bool) -> None:
        pass

    def client_ended(self) -> None:
        self._client.finish()

    def client_gone(self) -> None:
        pass

    def sweep(self, now: float) -> None:
        if now - self._began > self._client.shared.limits.linger or now - self._heard > _QUIET:
            self._client.leave()


class Between:
    """One answer is out and the next request is here already: its turn comes with the loop's,
    so that a client that pipelines does not keep others waiting. And not before the client has
    read on: what it asks for and never takes would fill our memory."""

    __slots__ = ("_client", "_since", "_turn", "_unread")

    def __init__(self, client: Downstream) -> None:
        self._client = client
        self._turn: asyncio.Handle | None = None
        self._unread = 0
        self._since = client.shared.now
        self.client_writable(not client.full)

    def client_data(self, data: bytes) -> None:
        self._client.keep(data)

    def client_writable(self, writable: bool) -> None:
        if writable and self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._client.next_request)

    def client_ended(self) -> None:
        pass

    def client_gone(self) -> None:
        if self._turn is not None:
            self._turn.cancel()

    def sweep(self, now: float) -> None:
        transport = self._client.transport
        unread = 0 if transport is None else transport.get_write_buffer_size()
        if unread != self._unread:
            self._unread = unread
            self._since = now
        elif now - self._since > self._client.shared.limits.stall:
            self._client.leave()


class Planning:
    """The gate is asking its store or the upstream. A little more is read meanwhile, so that a
    client that leaves is noticed."""

    __slots__ = ("_carry_out", "_client", "_head", "_rest", "_task")

    def __init__(
        self,
        client: Downstream,
        plan: Awaitable[Plan],
        head: RequestHead,
        rest: bytes,
        carry_out: Callable[[Downstream, Plan, RequestHead, bytes], None],
    ) -> None:
        self._client = client
        self._carry_out = carry_out
        self._head = head
        self._rest = rest
        self._task = asyncio.get_running_loop().create_task(self._wait(plan))

    async def _wait(self, plan: Awaitable[Plan]) -> None:
        client = self._client
        try:
            decided = await plan
        except Exception as exc:
            client.go_on_reading(Why.DECIDING)
            client.fail(exc, self._head, unread=True)
            return
        client.go_on_reading(Why.DECIDING)
        if client.stage is self:
            self._carry_out(client, decided, self._head, self._rest)
            if client.sends_no_more:
                client.no_more()

    def client_data(self, data: bytes) -> None:
        self._rest += data
        if len(self._rest) > self._client.shared.limits.pipelined:
            self._client.stop_reading(Why.DECIDING)

    def client_writable(self, writable: bool) -> None:
        pass

    def client_ended(self) -> None:
        pass

    def client_gone(self) -> None:
        self._task.cancel()

    def sweep(self, now: float) -> None:
        pass
