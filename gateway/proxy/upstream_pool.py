"""Connections to the upstream: where it is, how one is made, which are idle."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from gateway.proxy.connection import Connection
from gateway.proxy.descriptors import Descriptors
from gateway.proxy.late import Readable

_PAUSE: Final = 0.02  # seconds; who waits longer than `Limits.connect` is refused elsewhere


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """Where the upstream listens. `path`: of a unix socket, "" for TCP."""

    host: str
    port: int
    path: str = ""
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str, tls: ssl.SSLContext | None = None) -> UpstreamAddress:
        """Read http://host:port, https://host:port or unix:/path.

        Args:
            tls: the context for https; the system's trust store by default.

        Raises:
            ValueError: another form, or a path after the host.
        """
        if url.startswith("unix:"):
            path = url.removeprefix("unix:").removeprefix("//")
            if not path:
                raise ValueError("the path of the unix socket is missing")
            return cls("localhost", 80, path)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("an upstream is http://host:port, https://host:port or unix:/path")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("an upstream's address has no path: the paths of clients are used")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return cls.at(parts.hostname, port, secure=secure, tls=tls)

    @classmethod
    def at(
        cls, host: str, port: int, *, secure: bool, tls: ssl.SSLContext | None = None
    ) -> UpstreamAddress:
        """A host that speaks TLS or not, with the same `tls`."""
        context = (tls or ssl.create_default_context()) if secure else None
        if context is not None:
            context.sslobject_class = Readable
        return cls(host, port, tls=context)

    @property
    def authority(self) -> bytes:
        """For Host, where a client sent none."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode("idna" if not host.isascii() else "ascii")


class Borrower(Protocol):
    """To whom a connection is lent for one exchange.

    uploading: some of the request is still to be sent.
    """

    uploading: bool

    def answer_data(self, data: bytes) -> None: ...

    def read_late(self) -> None:
        """Writing has failed: what came before that is the answer all the same."""
        ...

    def upstream_ended(self, exc: BaseException | None) -> None:
        """The upstream closed the connection (exc: or broke it)."""
        ...

    def upstream_full(self) -> None: ...

    def upstream_drained(self) -> None: ...


class UpstreamConnection(Connection):
    """One connection to the upstream, carrying one exchange at a time or idle."""

    __slots__ = ("_guarded", "exchange", "idle_since", "pool", "used")

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.exchange: Borrower | None = None
        self.idle_since = 0.0
        self.used = False
        self._guarded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.pool.open.add(self)

    def data_received(self, data: bytes) -> None:
        if self.exchange is not None:
            self.exchange.answer_data(data)
        else:  # bytes nobody asked for: whatever comes next would be taken for an answer
            self.drop()

    def eof_received(self) -> bool:
        self._read_unread()
        self._ended(None)
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self.pool.open.discard(self)
        self._read_unread()
        if self.exchange is not None and exc is not None:
            self.exchange.read_late()
        self._ended(exc)
        self.transport = None

    def _read_unread(self) -> None:
        """Pass on what the event loop did not, see `Readable`."""
        tls = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        if not isinstance(tls, Readable):
            return
        data, tls.unread = tls.unread + b"".join(tls.rest()), b""
        if data and self.exchange is not None:
            self.exchange.answer_data(data)

    def _ended(self, exc: BaseException | None) -> None:
        exchange = self.exchange
        if exchange is not None:
            if exc is None and not self.closed_tls:
                exc = ConnectionAbortedError("TLS was not closed")
            exchange.upstream_ended(exc)
        else:
            self.pool.forget(self)

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upstream_full()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upstream_drained()

    def guard(self) -> None:
        """A request with a body is under way. Some servers act on one that breaks off (wsgiref,
        gunicorn and paste hand it to pypiserver as it is), so that must not look like its end,
        even if this process is killed."""
        self._guarded = True
        self.reset_at_end(True)

    def unguard(self) -> None:
        """The request has gone out whole."""
        if self._guarded:
            self._guarded = False
            self.reset_at_end(False)

    def drop(self) -> None:
        """Close at once, whatever is still under way; a reset where some of a request is missing
        at the other side."""
        exchange, self.exchange = self.exchange, None
        self.pool.forget(self)
        transport = self.transport
        if transport is None:
            return
        if (exchange is not None and exchange.uploading) or transport.get_write_buffer_size():
            self.reset()
        else:
            self.unguard()
            transport.abort()


class Pool:
    """Upstream connections: `idle` ones, last used last, and all that are `open`."""

    __slots__ = ("_descriptors", "_endpoint", "_limit", "idle", "open")

    def __init__(self, endpoint: UpstreamAddress, limit: int, descriptors: Descriptors) -> None:
        self._endpoint: Final = endpoint
        self._descriptors: Final = descriptors
        self._limit: Final = limit
        self.idle: list[UpstreamConnection] = []
        self.open: set[UpstreamConnection] = set()

    def take(self) -> UpstreamConnection | None:
        """An idle connection, the most recently used."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            transport = connection.transport
            if transport is not None and not transport.is_closing():
                return connection
        return None

    def give(self, connection: UpstreamConnection, now: float) -> None:
        """A connection whose exchange has ended in good order."""
        connection.exchange = None
        connection.used = True
        connection.unguard()
        if len(self.idle) >= self._limit:
            connection.drop()
        else:
            connection.idle_since = now
            self.idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        if connection in self.idle:
            self.idle.remove(connection)

    async def connect(self) -> UpstreamConnection:
        """A new connection; or, where descriptors are rare, the first that others let go of.

        Raises:
            OSError: the upstream cannot be reached (TLS failures included).
        """
        loop = asyncio.get_running_loop()
        where = self._endpoint
        while self._descriptors.full():
            await asyncio.sleep(_PAUSE)
            free = self.take()
            if free is not None:
                return free
        if where.path:
            _, made = await loop.create_unix_connection(self._make, where.path)
        else:
            _, made = await loop.create_connection(
                self._make, where.host, where.port, ssl=where.tls
            )
        return made

    def _make(self) -> UpstreamConnection:
        return UpstreamConnection(self)

    def sweep(self, oldest: float) -> None:
        """Close connections idle since before `oldest`."""
        while self.idle and self.idle[0].idle_since < oldest:
            self.idle[0].drop()

    def close(self) -> None:
        for connection in list(self.open):
            connection.drop()
