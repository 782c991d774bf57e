"""The client's end: request heads in, plans carried out, answers out, one at a time.

What happens with bytes after a head is the business of the current `Stage`; this file knows when
one begins and ends, what of the next requests is kept, and how a connection is ended so that the
client can still read the last answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from gateway.core.counters import NOTES, Notes
from gateway.core.errors import Refusal, Slug
from gateway.core.http import request_id
from gateway.core.http.facts import (
    Facts,
    IPAddress,
    Unreadable,
    client_address,
    is_trusted,
    read_address,
)
from gateway.core.http.path import parse_target
from gateway.core.phrases import _
from gateway.proxy.connection import Connection, Why
from gateway.proxy.dispatch import forward, plan
from gateway.proxy.exchange import Exchange
from gateway.proxy.half_closed import HalfClosable
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.request_fields import COOKIE, Said
from gateway.proxy.http1.route import Rendered, Route
from gateway.proxy.http1.syntax import fields
from gateway.proxy.ports import Answer, Forward, Opens
from gateway.proxy.rewrite import own_answer
from gateway.proxy.roles import Stage
from gateway.proxy.shared import Shared
from gateway.proxy.stages import Between, Gone, Linger
from gateway.proxy.turns import Turns
from gateway.proxy.watched import exchange_for

_NONE: Final = Rendered(())
_UNKNOWN: Final = object()
_KEPT: Final = 4096  # bytes of fields


class Keeper(Protocol):
    """Who keeps the connections of clients."""

    def came(self, client: ClientConnection) -> None: ...

    def gone(self, client: ClientConnection) -> None: ...

    def left_over(self, client: ClientConnection) -> None:
        """One that is ready for its next request, though they are leaving (`Shared.leaving`)."""
        ...


class ClientConnection(Connection):
    """One connection of a client. noted: what an access log is told of a request (`logged`)."""

    __slots__ = (
        "_address", "_alike", "_buffer", "_keeper", "_known", "_lent", "_opens", "_peer", "_said",
        "_served", "_shown", "_straight", "_turns", "_unread_id", "fields", "full", "noted",
        "shared", "since", "stage",
    )  # fmt: skip

    noted: Any
    instead: Mapping[type[Any], type[Any]] = MappingProxyType({})

    def __init__(self, shared: Shared, keeper: Keeper) -> None:
        super().__init__()
        self.shared = shared
        self._keeper = keeper
        self.stage: Stage | None = None
        self.full = False  # it does not take what is written to it
        self.since = shared.now  # the first byte of a head, or the end of the last answer
        self.fields = _NONE
        self._buffer: bytes | bytearray = b""
        self._peer: IPAddress | None = None
        self._address: object = _UNKNOWN
        self._served = False
        self._unread_id = b""  # of a request whose head cannot be read
        self._known = False  # the client address holds for the whole connection
        self._straight: Exchange | None = None
        self._turns: Turns | None = None
        self._shown: bytes | None = None  # the fields of the last request with a credential
        self._alike: Callable[[], bool] | None = None  # whether others with these go on
        self._opens: Opens | None = None  # how, where they need a credential
        self._lent: Route | None = None  # the last way they went then
        self._said: Said | None = None  # and what they say, read once

    # -- asyncio's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._peer = read_address(peer[0].partition("%")[0])
        tls = transport.get_extra_info("ssl_object")
        if isinstance(tls, HalfClosable):
            tls.begin(transport, self._tls_closed)
        self._keeper.came(self)

    def data_received(self, data: bytes) -> None:
        if self.stage is None:
            self._head(data)
        elif self._turns is None:
            self.stage.client_data(data)
        else:
            self._turns.put(data)

    def _deliver(self, data: bytes) -> None:
        """What has come, in its turn."""
        if self.stage is None:
            self._head(data)
        else:
            self.stage.client_data(data)

    def in_turns(self, rest: bytes) -> bytes:
        """This client sends chunks: from now on a little of what it sends is looked at in each
        turn of the loop.

        Returns:
            What of `rest`, which has come already, may be looked at now.
        """
        if self._turns is None:
            self._turns = Turns(self, self._deliver)
        return self._turns.first(rest)

    def eof_received(self) -> bool:
        """The client sends no more. What it has asked for is answered (RFC 9112 section 9.6).

        Within TLS the loops tell of it when both directions have ended: who wants an answer closes
        TLS first (`_tls_closed`); without that somebody on the way could have ended it.
        """
        transport = self.transport
        if transport is not None and transport.get_extra_info("sslcontext") is not None:
            self._gone()
            return False
        return self._sends_no_more()

    def _tls_closed(self) -> None:
        """The client has closed TLS in its direction."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if not self._sends_no_more():
            transport.close()

    def _sends_no_more(self) -> bool:
        """Whether there is something to answer still."""
        transport, stage = self.transport, self.stage
        pending = self._turns is not None and self._turns.pending
        idle = stage is _GONE or (stage is None and not self._buffer and not pending)
        if transport is None or idle or self.vanished:
            self._gone()
            return False
        self.stop_reading(Why.ENDED)
        self.since = self.shared.now
        self.watch()
        self.no_more()
        return True

    @property
    def sends_no_more(self) -> bool:
        return bool(self.stopped & Why.ENDED)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._gone()
        self._keeper.gone(self)
        self.transport = None

    def _gone(self) -> None:
        stage, self.stage = self.stage, _GONE
        self._straight = self._shown = self._alike = self._opens = self._lent = self._said = None
        self._buffer = b""
        if self._turns is not None:
            self._turns.drop()
        self.since = self.shared.now
        if stage is not None:
            stage.client_gone()

    def pause_writing(self) -> None:
        self.full = True
        if self.stage is not None:
            self.stage.client_writable(False)

    def resume_writing(self) -> None:
        self.full = False
        if self.stage is not None:
            self.stage.client_writable(True)

    # -- another forwarder ----------------------------------------------------------------------

    def move(self, shared: Shared, keeper: Keeper) -> None:
        """Go on with another forwarder: nothing is under way, and nothing of what was decided
        before counts."""
        self.since += shared.now - self.shared.now
        self.shared = shared
        self._keeper = keeper
        self.fields = _NONE
        self._address = _UNKNOWN
        self._known = False
        self._straight = self._shown = self._alike = self._opens = self._lent = self._said = None

    # -- heads --------------------------------------------------------------------------------

    def _head(self, data: bytes) -> None:
        shared = self.shared
        try:
            if self._buffer:
                data = self._longer(data)
                if not data:
                    return
            elif self._served:
                self.since = shared.now
            head = shared.requests.read(data)
            if head is None:
                shared.requests.unfinished(data, 0)
                self._buffer = bytearray(data)
                return
        except Refusal as refusal:
            self.refuse(refusal.slug, None, unread=True, **refusal.detail)
            return
        self._buffer = b""
        self._served = True
        rest = data[head.size :] if len(data) > head.size else b""
        if shared.base is not None:
            inside = shared.base.off(head)
            if inside is None:
                self.refuse(Slug.NOT_HERE, head, unread=True)
                return
            head = inside
        said = head.said
        if (
            not said.personal
            or (said.personal == COOKIE and shared.anonymous(said))
            or (said.block == self._shown and self._as_before(head))
        ):  # fmt: skip
            route = head.kind.route or shared.quick(head)
        else:
            route = None
        if route is None and self._opens is not None and said.block == self._shown:
            route = self._opened(head)
        if route is None:
            plan(self, head, rest)
        elif rest or said.length != 0 or not self._known:
            forward(self, head, route, rest)
        else:  # what nearly all requests are; `forward` would do the same
            exchange = self._straight
            if exchange is not None and exchange.clean:
                self.stage = exchange
                exchange.again(head, route)
            else:
                self.stage = self._straight = exchange = exchange_for(self, head, route)
                exchange.start(b"", None)

    def _as_before(self, head: RequestHead) -> bool:
        """Whether the gate lets a request go on unseen that has the fields of the last one."""
        holds = self._alike
        return holds is not None and _without_body(head) and holds()

    def passed(self, head: RequestHead, facts: Facts, decided: Forward) -> None:
        """The gate has seen a request with a credential and let it go on at once. Programs send
        the same fields again and again, so what they were is kept, by this connection only."""
        block = head.said.block
        if block != self._shown:
            self._alike = self._opens = self._lent = self._said = None
            self._shown = block if len(block) <= _KEPT else None
        elif _without_body(head):
            if decided.private:
                if self._opens is None and self.shared.closed(head) is not None:
                    self._opens = self.shared.gate.opens(facts)
            elif self._alike is None:
                route = head.kind.route or self.shared.quick(head)
                if route is not None and route.forward is decided:
                    self._alike = self.shared.gate.alike(facts)

    def _opened(self, head: RequestHead) -> Route | None:
        """The way of a request that needs a credential, and has the fields of the last one."""
        if self._opens is None or head.said.expects or not _without_body(head):
            return None
        closed = self.shared.closed(head)
        if closed is None:
            return None
        path, base = closed
        way = self._opens(head.method.decode("latin-1"), path, base)
        if way is None:
            return None
        lent = self._lent
        if lent is None or lent.forward is not way:
            self._lent = lent = Route(way, lasting=True)
        if self._said is None:
            self._said = head.said
            head.said.shared = True
        else:
            head.said = self._said
        return lent

    def _longer(self, data: bytes) -> bytes:
        """All that has come of a head; nothing where its end is still missing. Raises Refusal."""
        assert isinstance(self._buffer, bytearray)
        buffer = self._buffer
        seen = len(buffer)
        buffer += data
        if buffer.find(b"\r\n\r\n", max(0, seen - 3)) < 0:
            self.shared.requests.unfinished(buffer, seen)
            return b""
        return bytes(buffer)

    def keep(self, data: bytes) -> None:
        """Bytes of the next requests, sent ahead."""
        if not data:
            return
        if not self._buffer:
            self._buffer = bytearray(data)
        else:
            self._buffer += data
        if len(self._buffer) > self.shared.limits.pipelined:
            self.stop_reading(Why.AHEAD)

    @property
    def idle(self) -> bool:
        """Nothing has come of the next request."""
        return self.stage is None and not self._buffer

    @property
    def waits(self) -> bool:
        """Nothing is under way for the client: another may have its place."""
        stage, transport = self.stage, self.transport
        if stage is _GONE:  # it does not read the end of its answer
            return transport is not None and transport.get_write_buffer_size() > 0
        return stage is None or isinstance(stage, Linger)

    # -- decisions ----------------------------------------------------------------------------

    def facts(self, head: RequestHead) -> Facts:
        """What the gate is told of a request, made once. Raises Refusal: `ambiguous_target`."""
        facts = head.facts
        if facts is None:
            target = head.target.decode("latin-1")
            path, query = head.parsed or parse_target(target)
            head.facts = facts = Facts(
                head.method.decode("latin-1"), target, path, query, fields(head.block),
                self.client_of(head), Notes(request_id.text(self.id_of(head))),
            )  # fmt: skip
        NOTES.set(facts.notes)
        return facts

    def id_of(self, head: RequestHead) -> bytes:
        """What a request is called (`request_id`): as a trusted proxy says, or anew."""
        line = head.id
        if line is None:
            given, ids = head.said.id, self.shared.ids
            if given is None and ids is not None and ids.ready:  # as nearly always
                line = ids.ready.pop()
            elif ids is None:
                line = b""
            else:
                line = given if given and self.behind_proxy else ids.line()
            head.id = line
        return line

    def named(self, head: RequestHead) -> dict[str, str]:
        """What a message of the log about that request is given."""
        return {"request": request_id.text(self.id_of(head))}

    @property
    def behind_proxy(self) -> bool:
        trusted, peer = self.shared.trusted, self._peer
        return bool(trusted) and (peer is None or is_trusted(peer, trusted))

    def _placeless(self, head: RequestHead) -> Facts:
        """Who asks and how, of a request that asks for nothing in particular: for the form of a
        refusal, never for a decision."""
        method, notes = head.method.decode("latin-1"), Notes(request_id.text(self.id_of(head)))
        NOTES.set(notes)
        return Facts(method, "", "", "", fields(head.block), self.client_of(head), notes)

    @property
    def unknown(self) -> bool:
        """Nobody has asked yet whose requests these are."""
        return self.fields is _NONE

    def client_of(self, head: RequestHead) -> IPAddress | None:
        """Whose request it is, None where nobody can say; `fields` are theirs afterwards."""
        shared = self.shared
        values = [value.decode("latin-1") for value in head.said.forwarded_for or ()]
        address: IPAddress | None = None
        try:
            address = client_address(self._peer, values, shared.trusted)
        except Unreadable as exc:
            shared.peers.unknown(str(exc))
        if self.fields is _NONE or address != self._address:
            self._address = address
            self.fields = shared.client_fields(address)
            self._known = not shared.trusted
            if head.said.proxied and address is self._peer:
                shared.peers.proxied(address, shared.now, by_name=bool(values))
        return address

    # -- answers ------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def refuse(self, slug: Slug, head: RequestHead | None, *, unread: bool, **detail: str) -> None:
        """Answer with a refusal of the forwarder's own."""
        facts = None
        if head is None:
            ids = self.shared.ids
            self._unread_id = b"" if ids is None else ids.line()
            NOTES.set(Notes(request_id.text(self._unread_id)))
        else:
            with contextlib.suppress(Refusal):
                facts = self._placeless(head) if slug == Slug.AMBIGUOUS_TARGET else self.facts(head)
        answer = self.shared.refusal(facts, slug, detail)
        if head is None or slug in (Slug.BAD_REQUEST, Slug.REQUEST_TIMEOUT):
            unread = True  # the framing of what follows cannot be known
        self.answer(answer, head, unread=unread)

    def fail(self, exc: Exception, head: RequestHead, *, unread: bool) -> None:
        """Answer an exception out of the gate."""
        if isinstance(exc, Refusal):
            self.refuse(exc.slug, head, unread=unread, **exc.detail)
            return
        self.shared.log.error("a request failed", exc_info=exc, extra=self.named(head))
        self.refuse(Slug.INTERNAL, head, unread=unread)

    def answer(self, answer: Answer, head: RequestHead | None, *, unread: bool) -> None:
        """Send an answer of the gateway's own."""
        close = (
            answer.close or unread or head is None or not head.persistent
            or self.shared.stopping
        )  # fmt: skip
        bodiless = head is not None and head.method == b"HEAD"
        id = self._unread_id if head is None else self.id_of(head)
        self.write(own_answer(answer, close=close, bodiless=bodiless, id=id))
        self.answered(close=close, unread=unread)

    def answered(self, *, close: bool, unread: bool) -> None:
        """The answer has been written: on to the next request, or to the end."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if close:
            if (unread or self._buffer) and not self.sends_no_more:
                self._buffer = b""
                self.stage = Linger(self)
            else:
                self._ending()
                transport.close()
            return
        self.ready()

    def ready(self) -> None:
        """On to the next request."""
        self.stage = None
        self.since = self.shared.now
        if self.stopped:
            self.go_on_reading(Why.ANY)
            if self.stopped and not self._buffer:
                self.no_more()
                return
        if self._buffer or self.full:
            self.stage = Between(self)
        elif self.shared.leaving:
            self._keeper.left_over(self)

    def next_request(self) -> None:
        """Look at what was sent ahead."""
        self.stage = None
        if self.shared.leaving:
            self._keeper.left_over(self)
        data, self._buffer = bytes(self._buffer), b""
        if data:
            self._head(data)
            if self.sends_no_more:
                self.no_more()

    def no_more(self) -> None:
        """Nothing more comes, and what came is looked at: but for what waits for its turn."""
        if self._turns is not None and self._turns.pending:
            return
        if self.stage is not None:
            self.stage.client_ended()
        elif self._buffer:
            self.refuse(Slug.BAD_REQUEST, None, unread=True, why=_("its head ends too early"))
        else:
            self.finish()

    def finish(self) -> None:
        """End the connection once the client has what was written to it."""
        transport = self.transport
        # Below TLS there may be more to write; who has closed it is not waited for.
        if transport is None or not (transport.get_write_buffer_size() or self.sends_no_more):
            self.leave()
        else:
            self._ending()
            transport.close()

    def cut_off(self, *, reset: bool) -> None:
        """End the connection in the middle of an answer.

        Args:
            reset: the plain end of the connection would look like the end of the body.
        """
        self._ending()
        if reset:
            self.reset()
        elif self.transport is not None:
            self.transport.close()

    def _ending(self) -> None:
        self.stage = _GONE
        self.since = self.shared.now

    def leave(self) -> None:
        """The client has left, or is not waited for any more."""
        self._gone()
        if self.transport is not None:
            self.transport.abort()

    def sweep(self, now: float) -> None:
        stage = self.stage
        limits = self.shared.limits
        waiting = now - self.since
        if stage is _GONE:
            if waiting > limits.linger:  # it does not even read the end of its answer
                self.leave()
        elif stage is not None:
            if self.sends_no_more and not self._is_there(now):
                self.leave()
                return
            stage.sweep(now)
        elif self._served and not self._buffer:
            if waiting > limits.idle:
                self.leave()
        elif waiting > limits.head_time:
            if self._buffer:
                self.refuse(Slug.REQUEST_TIMEOUT, None, unread=True)
            else:
                self.leave()

    def _is_there(self, now: float) -> bool:
        """Look for a client that sends no more, and may have gone altogether.

        The kernel cannot tell a connection that was closed from one that is closed in one
        direction. What is sent to the first comes back as a reset, so a client that waits long
        is sent an interim answer, which it has to be able to skip (RFC 9110 section 15.2).
        """
        if self.vanished:
            return False
        stage = self.stage
        if isinstance(stage, Exchange) and now - self.since > self.shared.limits.half_closed:
            self.since = now
            if not stage.answering and not stage.head.kind.last:
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True


def _without_body(head: RequestHead) -> bool:
    return head.kind.repeatable and head.said.length == 0


_GONE: Final = Gone()
