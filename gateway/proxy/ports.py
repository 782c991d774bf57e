"""What the forwarder asks the rest of the gateway, and what it is told.

The forwarder knows bytes, framing and connections; it knows no users, rules or factors. A
`Gate` (put together in `gateway.app`) decides, the forwarder carries out.

What is called when, for one request:

1. The head is judged by `gateway.proxy.http1.request`. What it does not accept is answered with
   `Gate.refusal(None, slug, …)` and the connection closes; nothing else is asked.
2. `Gate.quick(method, path)`, unless the request carries a credential or a cookie of the
   gateway's own, or its target is refused. Its answers are kept in a bounded memo keyed by the
   request line, so it must be pure. A credential that comes again on its connection is let pass
   while `Gate.alike` says so.
3. Where there is no such way: a target that cannot be taken apart is refused (`ambiguous_target`),
   the client's address is found, `Facts` are built, once, and `Gate.plan(facts)` is asked. While an
   awaitable plan is pending nothing more is read from the client; if the client leaves, the
   awaitable is cancelled.
4. The plan is carried out. For a `Forward`, `Gate.client_fields(client)` gives the fields that
   depend on the deployment and the client only; it is asked once per connection (and again when
   a trusted proxy sends another client's request on the same connection).
5. For each Set-Cookie of the upstream's answer `Gate.sets_session(value)` is asked; the first
   True leads to `await Gate.hold(facts, status, fields)` before anything of the answer is sent.
6. Where the forwarder cannot go on: `Gate.refusal(facts, slug)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import NamedTuple, Protocol, TypeAlias

from gateway.core.errors import Slug
from gateway.core.http.facts import Facts, Field, IPAddress
from gateway.core.http.trace_context import Trace
from gateway.core.values import dataclass


class Watch(Protocol):
    """Wants to know how the upstream answered one request."""

    def answered(self, status: int | None, length: int | None = None) -> None:
        """Called once, at the head of its answer. Never raises.

        Args:
            status: None where there was no answer.
            length: of its body in bytes, None where it does not say.
        """
        ...


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request upstream and stream the answer back.

    A value that several requests share (made once per rule, say) is rendered once.

    replace: header fields to replace (a value) or to leave out (None), by lower-case name;
        hygiene has already dropped what never passes.
    add: header fields to add (an injected credential). Names in `add`, like those of
        `Gate.client_fields`, take the place of every field of that name from the client.
    answer_add: fields to add to the answer (Content-Security-Policy, say), in place of the
        upstream's fields of that name.
    private: the answer is for who asked, so that no cache on its way may keep it for others; how
        long the client's own may, stays as the upstream says.
    doubt: called where the upstream refuses such a request (401, 403). What it gives is waited for
        before anything of the answer is sent, and a Refusal out of it is answered instead.
    watch: told of the answer.
    page_start: what an HTML page in the answer begins with, before what the upstream sends. Such a
        request goes on without the fields that ask for less than the whole page, plain.
    rule: the name of the rule that decided, where requests are counted.
    """

    replace: Mapping[str, str | None] = field(default_factory=dict)
    add: tuple[Field, ...] = ()
    answer_add: tuple[Field, ...] = ()
    private: bool = False
    doubt: Callable[[], Awaitable[None] | None] | None = None
    watch: Watch | None = None
    page_start: bytes = b""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete small answer of the gateway's own. `close`: end the connection after it.

    reason: of the status line, for clients that show nothing else; "" for the usual phrase.
    Content-Length, Date and Connection are the forwarder's to write; a body to HEAD is not
    sent.
    """

    status: int
    fields: tuple[Field, ...]
    body: bytes
    close: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Give this request to the pages (aiohttp); the connection closes after their answer."""

    facts: Facts
    context: object = None


class Inspector(Protocol):
    """Judges a body as it streams. Bytes are content (chunk framing removed), in order.

    `feed` is called with every piece before any of it may be sent upstream. Until it has answered
    with a plan, all is kept back by the forwarder (the inspector must decide within
    `hold_limit` bytes; beyond it the request is refused as `body_too_large`). Afterwards it
    answers None (go on) or an Answer: then the request to the upstream is cut off before its
    end, by a reset where the connection knows one, and the client gets the Answer. A HandOver
    gets what was kept back, then the rest.

    safe: how many bytes of the content, from its beginning, may go upstream: whatever a server
        makes of a body that breaks off there must be what the plan allows. What is behind is
        kept back. Looked at after every answer of `feed` once there is a plan; after `finish`
        everything goes.
    """

    hold_limit: int

    @property
    def safe(self) -> int: ...

    def feed(self, data: bytes) -> Plan | Awaitable[Plan] | None: ...

    def finish(self) -> Plan | Awaitable[Plan] | None:
        """The body has ended; called before its last byte is sent upstream."""
        ...


@dataclass(frozen=True, slots=True)
class Inspect:
    """Decide by the body: feed it to the inspector, then do as it says."""

    inspector: Inspector


Plan: TypeAlias = Forward | Answer | HandOver | Inspect


Opens: TypeAlias = Callable[[str, str, Forward], Forward | None]
"""Asked before each request with its method, its path and a way of `Gate.closed`: how it goes on
with the credential it has, None where it has to be planned."""


class Gate(Protocol):
    """Decides on requests and answers. Exceptions out of it become 500 `internal`, but a
    `gateway.core.errors.Refusal` out of any method becomes `refusal(facts, its slug)`."""

    def quick(self, method: str, path: str) -> Forward | None:
        """The straight path: forward, whatever the header and body say?

        Not asked where a field or cookie may carry a credential: those requests are planned.
        Must depend on the two arguments alone (an unconditional `pass` rule is first match).
        `path` is decoded, see `gateway.core.http.path.Target`.
        """
        ...

    def client_fields(self, client: IPAddress | None) -> tuple[Field, ...]:
        """Fields set on every forwarded request of that client (X-Forwarded-For, X-Outside-URL,
        X-Forwarded-Proto …). Pure."""
        ...

    def plan(self, facts: Facts) -> Plan | Awaitable[Plan]:
        """What to do with a request. Synchronous wherever no store is needed."""
        ...

    def alike(self, facts: Facts) -> Callable[[], bool] | None:
        """Whether requests like this one, with a credential that `plan` let go on as `quick` says,
        go on without being planned.

        Like it is what has the same header fields and comes from the same client, by GET or HEAD
        and without a body, to whatever target `quick` has a path for.

        Returns:
            What is asked before each of them, and costs little; None where all are to be planned.
        """
        ...

    def closed(self, method: str, path: str) -> Forward | None:
        """The way, all but what stands for a credential, of requests that go on with one and with
        nothing else, whatever else the header and body say. As pure as `quick`."""
        ...

    def opens(self, facts: Facts) -> Opens | None:
        """As `alike`, for requests by the ways of `closed`."""
        ...

    def sets_session(self, set_cookie: str) -> bool:
        """Whether a Set-Cookie value of an upstream's answer hands out an upstream session."""
        ...

    def hold(
        self, facts: Facts, status: int, fields: tuple[Field, ...]
    ) -> Awaitable[Answer | None]:
        """An answer that hands out an upstream session is on its way: what to send instead.

        None lets the upstream's answer through (an already verified credential).
        """
        ...

    def refusal(self, facts: Facts | None, slug: Slug, **detail: str) -> Answer:
        """The answer for what the forwarder itself refuses (bad_request, upstream_timeout…).

        `facts` is None where the head could not be read.
        """
        ...


class Access(NamedTuple):
    """One request that is over, for an access log; nothing is escaped or left out yet.

    id: what it is called. client: its address, "" where nobody knows. user: whose it was, where
        that was verified for it.
    line, block: of its head as they came; empty where that cannot be read.
    status: 499 where the client left before an answer.
    came: bytes of the request, gone: of the body of the answer, with the framing of either.
    seconds: from its first byte on. upstream: until the index began to answer, None where it was
        not asked, or did not.
    slug: why it was refused. rule: the rule that decided, "" where nobody looked.
    ended: why the answer is not whole, "" where it is.
    asked: seconds after which it went on to the index, None where it did not.
    trace: its place in a trace, where one is made.
    """

    id: str
    client: str
    user: str
    line: bytes
    block: bytes
    status: int
    came: int
    gone: int
    seconds: float
    upstream: float | None
    slug: str
    rule: str
    ended: str
    asked: float | None = None
    trace: Trace | None = None


AccessLog: TypeAlias = Callable[[Access], None]
"""Told of each request once. Never raises, and waits for nothing."""


class PageServer(Protocol):
    """The HTTP server behind `HandOver` (an aiohttp `web.Server`, wired in `gateway.app`)."""

    def open(self, plan: HandOver) -> asyncio.Protocol:
        """A fresh server-side protocol for exactly one request.

        The forwarder calls its `connection_made` with a transport that stands for the client's,
        then `data_received` with the head (written anew, `Connection: close`, no `Expect`) and
        the judged body, and passes on `pause_writing`, `resume_writing` and `connection_lost`.
        Closing that transport ends the answer; the forwarder ends the connection.
        """
        ...

    def done(self, protocol: asyncio.Protocol) -> None:
        """The connection behind a protocol from `open` has ended."""
        ...
