"""What the parts of one connection are to each other: a `Stage` deals with a request, and asks its
client's connection (`Downstream`) for all it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.core.errors import Slug
from gateway.core.http.facts import Facts, IPAddress
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.route import Rendered
from gateway.proxy.ports import Answer, Forward
from gateway.proxy.shared import Shared


class Stage(Protocol):
    """What a connection is busy with between the head of a request and the end of its answer."""

    def client_data(self, data: bytes) -> None: ...

    def client_writable(self, writable: bool) -> None: ...

    def client_ended(self) -> None:
        """The client sends no more, but waits for its answer."""
        ...

    def client_gone(self) -> None:
        """The client has left: let go of everything, send nothing."""
        ...

    def sweep(self, now: float) -> None:
        """Look at the time (`Shared.now`)."""
        ...


class Downstream(Protocol):
    """What a stage may ask of the client's connection.

    instead: the classes of exchanges that stand in for others here (`watched.exchange_for`).
    fields: what is added to this client's requests. full: it does not take what is written to it.
    stopped: why nothing is read from it (`connection.Why`).
    """

    instead: Mapping[type[Any], type[Any]]
    noted: Any
    shared: Shared
    stage: Stage | None
    fields: Rendered
    full: bool
    stopped: int
    transport: asyncio.Transport | None

    # -- reading ------------------------------------------------------------------------------

    def stop_reading(self, why: int) -> None: ...

    def go_on_reading(self, why: int) -> None: ...

    def keep(self, data: bytes) -> None:
        """Bytes of the next requests, sent ahead."""
        ...

    def in_turns(self, rest: bytes) -> bytes:
        """From now on a little of what comes is looked at in each turn of the loop; what of
        `rest` may be looked at now."""
        ...

    @property
    def sends_no_more(self) -> bool: ...

    def no_more(self) -> None:
        """Nothing more comes, and what came is looked at."""
        ...

    # -- who asks -----------------------------------------------------------------------------

    @property
    def unknown(self) -> bool:
        """Nobody has asked yet whose requests these are."""
        ...

    def client_of(self, head: RequestHead) -> IPAddress | None:
        """Whose request it is; `fields` are theirs afterwards."""
        ...

    def id_of(self, head: RequestHead) -> bytes:
        r"""What a request is called: a line of a head, "\n…\r"; nothing where none has a name."""
        ...

    def named(self, head: RequestHead) -> dict[str, str]:
        """What a message of the log about that request is given (`extra`)."""
        ...

    def facts(self, head: RequestHead) -> Facts:
        """Raises Refusal: `ambiguous_target`."""
        ...

    def passed(self, head: RequestHead, facts: Facts, decided: Forward) -> None:
        """The gate has seen a request with a credential and let it go on at once."""
        ...

    # -- answering ----------------------------------------------------------------------------

    def write(self, data: bytes) -> None: ...

    def plain_fd(self) -> int | None:
        """The descriptor, where bytes may pass below the transport."""
        ...

    def answer(self, answer: Answer, head: RequestHead | None, *, unread: bool) -> None:
        """Send an answer of the gateway's own. unread: some of the request is still to come."""
        ...

    def refuse(self, slug: Slug, head: RequestHead | None, *, unread: bool, **detail: str) -> None:
        """Answer with a refusal of the forwarder's own."""
        ...

    def fail(self, exc: Exception, head: RequestHead, *, unread: bool) -> None:
        """Answer an exception out of the gate."""
        ...

    # -- the end of an answer -----------------------------------------------------------------

    def ready(self) -> None:
        """On to the next request."""
        ...

    def next_request(self) -> None:
        """Look at what was sent ahead."""
        ...

    def answered(self, *, close: bool, unread: bool) -> None:
        """The answer has been written: on to the next request, or to the end."""
        ...

    def finish(self) -> None:
        """End the connection once the client has what was written to it."""
        ...

    @property
    def can_reset(self) -> bool:
        """Whether the client can tell a broken connection from one that has ended."""
        ...

    def cut_off(self, *, reset: bool) -> None:
        """End the connection in the middle of an answer."""
        ...

    def leave(self) -> None:
        """The client has left, or is not waited for any more."""
        ...
