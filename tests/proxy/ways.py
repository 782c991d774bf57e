"""The ways bytes can take: from which kind of listener to which kind of upstream."""

from __future__ import annotations

import asyncio
import functools
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.proxy.upstream_pool import UpstreamAddress
from gateway.serving.sockets import tls_context
from tests.support.certificates import certificate_for_localhost

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Arrived = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


@dataclass(frozen=True)
class Way:
    """front: what clients connect to, back: where the upstream listens; tcp, tls or unix.
    splice: whether the platform has it."""

    front: str = "tcp"
    back: str = "tcp"
    splice: bool = True

    def __str__(self) -> str:
        return f"{self.front}-{self.back}" + ("" if self.splice else " without splice")


DIRECT = Way()
WAYS = (
    DIRECT,
    Way(splice=False),
    Way("unix", "unix"),
    Way("tls", "unix"),
    Way("unix", "tls"),
    Way("tls", "tls"),
)
_taken = [DIRECT]


def taken() -> Way:
    """The way that conversations take now."""
    return _taken[-1]


@contextmanager
def taking(way: Way) -> Iterator[None]:
    _taken.append(way)
    try:
        yield
    finally:
        _taken.pop()


class Closable(ssl.SSLObject):
    """A client's TLS that reads on after it has closed its own direction: the end is an end."""

    def read(self, len: int = 1024, buffer: bytearray | None = None) -> bytes | int:  # type: ignore[override]
        try:
            return super().read(len, buffer)
        except ssl.SSLZeroReturnError:
            return b""


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext, ssl.SSLContext]:
    """For a server named localhost, for the forwarder that trusts it, and for clients that do."""
    with tempfile.TemporaryDirectory() as place:
        cert, key = certificate_for_localhost(Path(place))
        client = ssl.create_default_context(cafile=cert)
        client.sslobject_class = Closable
        return tls_context(str(cert), str(key)), ssl.create_default_context(cafile=cert), client


async def listen(
    kind: str, place: Path, protocol: Callable[[], asyncio.Protocol]
) -> tuple[asyncio.Server, str]:
    """A server of that kind, and its port or path."""
    loop = asyncio.get_running_loop()
    if kind == "unix":
        path = str(place / f"{len(list(place.iterdir()))}.sock")
        return await loop.create_unix_server(protocol, path), path
    context = contexts()[0] if kind == "tls" else None
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context)
    return server, str(server.sockets[0].getsockname()[1])


async def connect(kind: str, where: str, limit: int) -> Streams:
    """A client's connection to a server of `listen`."""
    if kind == "unix":
        return await asyncio.open_unix_connection(where, limit=limit)
    context = contexts()[2] if kind == "tls" else None
    name = "localhost" if context else None
    return await asyncio.open_connection(
        "127.0.0.1", int(where), limit=limit, ssl=context, server_hostname=name
    )


def endpoint(kind: str, where: str) -> UpstreamAddress:
    """How the forwarder is told of a server of `listen`."""
    if kind == "unix":
        return UpstreamAddress.parse(f"unix:{where}")
    if kind == "tls":
        return UpstreamAddress.parse(f"https://127.0.0.1:{where}", contexts()[1])
    return UpstreamAddress.parse(f"http://127.0.0.1:{where}")
