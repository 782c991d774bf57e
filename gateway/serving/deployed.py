"""What is served, and how it is asked for: by one process or several, until another takes its
place."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.proxy.forwarder import Forwarder
from gateway.serving.board import Board
from gateway.serving.reloading import Reload, Reloaded
from gateway.serving.sockets import Listener


class Running(Protocol):
    """What `start` made: a forwarder, and how to close what stands behind it."""

    forwarder: Forwarder

    def refused(self, lines: Sequence[str]) -> None:
        """What was to take its place, or the place of a certificate, cannot be used: have the
        administrators told."""
        ...

    async def close(self) -> None: ...


Start: TypeAlias = Callable[[], Awaitable[Running]]
"""Called once in each worker, in its event loop, and at each reload."""


class Observed(Protocol):
    """The numbers of a worker, and of all."""

    async def keep(self) -> None:
        """Note them on the board for as long as the worker runs."""
        ...

    async def page(self, accept: str) -> tuple[str, bytes]: ...


Observe: TypeAlias = Callable[[Callable[[], Running], Board, int], Observed]
"""Given what runs at present, the board, and the worker's place on it."""


class Certificates(Protocol):
    """The files of the own TLS. tried: their state as of the last `read`."""

    @property
    def tried(self) -> object: ...

    def state(self) -> object:
        """What is another where a file was changed."""
        ...

    def read(self) -> ssl.SSLContext:
        """Raises ListenError."""
        ...

    def told(self, outcome: Reloaded, *, first: bool) -> None:
        """What came of reading them again. first: in the worker that speaks for all."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a serving needs to go on with another configuration.

    reload: reads it. adopted: the serving for what was read.
    """

    reload: Reload
    adopted: Callable[[bytes], Serving]


@dataclass(frozen=True, slots=True)
class Serving:
    """What to serve where. ready: called once the sockets are bound, with each address as it came
    to be (`str` of it).

    observe, scrapes: how those who watch are answered, and where. certificates: where `tls` comes
    from. renewal: None where SIGHUP is a stop.
    """

    start: Start
    listeners: Sequence[Listener]
    tls: ssl.SSLContext | None = None
    workers: int = 1
    ready: Callable[[list[str]], None] | None = None
    observe: Observe | None = None
    scrapes: Listener | None = None
    certificates: Certificates | None = None
    renewal: Renewal | None = None
