"""What the forwarder asks the rest of the gateway, and what it is told.

The forwarder knows bytes, framing and connections; it knows no users, rules or factors. A
`Gate` (put together in `gateway.app`) decides, the forwarder carries out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from gateway.core.facts import Facts, Field


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request upstream and stream the answer back.

    replace: header fields to replace (a value) or to leave out (None), by lower-case name;
        hygiene has already dropped what never passes.
    add: header fields to add (own_fields of the upstream, an injected credential).
    answer_add: fields to add to the answer (Content-Security-Policy, say).
    """

    replace: Mapping[str, str | None] = field(default_factory=dict)
    add: tuple[Field, ...] = ()
    answer_add: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete small answer of the gateway's own. `close`: end the connection after it."""

    status: int
    fields: tuple[Field, ...]
    body: bytes
    close: bool = False


@dataclass(frozen=True, slots=True)
class HandOver:
    """Give the whole connection, with this request, to the aiohttp application."""

    facts: Facts
    context: object = None


class Inspector(Protocol):
    """Judges a body as it streams. Bytes are content (chunk framing removed), in order.

    `feed` is called with every piece before it may be sent upstream. Until it has answered
    with a plan, pieces are kept back by the forwarder (the inspector must decide within
    `hold_limit` bytes). Afterwards it answers None (go on) or an Answer: then the request to
    the upstream is cut off before its end and the client gets the Answer.
    """

    hold_limit: int

    def feed(self, data: bytes) -> Plan | Awaitable[Plan] | None: ...

    def finish(self) -> Plan | Awaitable[Plan] | None:
        """The body has ended; called before its last byte is sent upstream."""
        ...


@dataclass(frozen=True, slots=True)
class Inspect:
    """Decide by the body: feed it to the inspector, then do as it says."""

    inspector: Inspector


Plan: TypeAlias = Forward | Answer | HandOver | Inspect


class Gate(Protocol):
    """Decides on requests and answers. Exceptions out of it become 500 `internal`."""

    def plan(self, facts: Facts) -> Plan | Awaitable[Plan]:
        """What to do with a request. Synchronous wherever no store is needed."""
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

    def refusal(self, facts: Facts | None, slug: str, **detail: str) -> Answer:
        """The answer for what the forwarder itself refuses (bad_request, upstream_timeout…).

        `facts` is None where the head could not be read.
        """
        ...
