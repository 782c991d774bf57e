"""Where the audit trail is fed to: a stream, a file, syslog (RFC 5424), a signed webhook.

Each says how far it has come, so that a feed that starts anew goes on there. Knows entries as
numbers and lines of JSON; what is fed is decided by `gateway.cli.feed`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from gateway.core.audit.entry import NotAuthentic, parse
from gateway.core.clock import Clock
from gateway.notify.courier import Undelivered
from gateway.notify.signed_post import SignedPost

_WITHIN: Final = 10.0
_AUTHPRIV: Final = 10
_NOTICE: Final = 5
_LONGEST_DATAGRAM: Final = 8192


class Line(NamedTuple):
    """An entry of the trail: its number and its stored form."""

    number: int
    raw: bytes


class Sink(Protocol):
    """Takes entries, in order."""

    def reached(self) -> int | None:
        """The number of the last entry it has, None where it cannot tell (a cursor has to).

        Raises:
            ValueError: it holds something else. OSError
        """
        ...

    async def take(self, lines: Sequence[Line]) -> None:
        """All of them, or the first ones; raises Undelivered with none of those lost that follow.

        Raises:
            Undelivered: worth another try. OSError
        """
        ...


class Stream:
    """Lines on a stream that somebody reads, such as stdout."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream: Final = stream

    def reached(self) -> int | None:
        return None

    async def take(self, lines: Sequence[Line]) -> None:
        self._stream.write(b"".join(line.raw + b"\n" for line in lines))
        self._stream.flush()


class FeedFile:
    """Lines at the end of a file, on the disk before the next ones are taken.

    It is its own cursor: an entry stands in it once, also after a crash in the middle of a line.
    The file may be moved away (logrotate) where a cursor is kept beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path

    def reached(self) -> int | None:
        """What stands behind the end of the last entry is cut off.

        Raises:
            ValueError: the file is something else, and left as it is. OSError
        """
        if not self._path.exists():
            return None
        with self._path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            tail = b""
            at = size
            while at and tail.count(b"\n") < 2:
                step = min(65536, at)
                at -= step
                file.seek(at)
                tail = file.read(step) + tail
            whole, _, rest = tail.rpartition(b"\n")
            try:
                number = parse(whole.rpartition(b"\n")[2]).number if size else None
            except NotAuthentic:
                raise ValueError(f"{self._path} does not end with entries of a trail") from None
            if rest:
                file.truncate(size - len(rest))
        return number

    async def take(self, lines: Sequence[Line]) -> None:
        def write() -> None:
            made = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(made, "wb") as file:
                file.write(b"".join(line.raw + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())

        await asyncio.to_thread(write)


class Syslog:
    """RFC 5424, by UDP (RFC 5426), TCP with octet counting (RFC 6587) or a unix socket.

    Only TCP tells that nobody is there; what was sent into a connection that then broke is sent
    again, and its number in the structured data says so.

    Args:
        address: udp://HOST:PORT, tcp://HOST:PORT or unix:/dev/log.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        wanted = parts.scheme in ("udp", "tcp") and parts.hostname and parts.port
        if not wanted and not (parts.scheme == "unix" and parts.path.startswith("/")):
            raise ValueError("syslog: takes udp://HOST:PORT, tcp://HOST:PORT or unix:/PATH")
        self._parts: Final = parts
        self._host: Final = socket.gethostname()[:255] or "-"
        self._sock: socket.socket | None = None

    def reached(self) -> int | None:
        return None

    async def take(self, lines: Sequence[Line]) -> None:
        try:
            async with asyncio.timeout(_WITHIN):
                await asyncio.to_thread(self._send, [self.message(line) for line in lines])
        except (OSError, TimeoutError) as error:
            if self._sock is not None:
                self._sock.close()
                self._sock = None
            raise Undelivered(type(error).__name__) from None

    def message(self, line: Line) -> bytes:
        entry = parse(line.raw)
        at = json.loads(line.raw)["at"]
        said = f'[meta sequenceId="{line.number % 2147483647 or 1}"]'
        head = f"<{_AUTHPRIV * 8 + _NOTICE}>1 {at} {self._host} index-gateway - "
        return f"{head}{entry.event[:32]} {said} ".encode("ascii", "replace") + line.raw

    def _send(self, messages: list[bytes]) -> None:
        if self._sock is None:
            self._sock = self._connected()
        if self._parts.scheme == "tcp":
            self._sock.sendall(b"".join(b"%d %s" % (len(one), one) for one in messages))
            return
        for one in messages:
            self._sock.sendall(one[:_LONGEST_DATAGRAM])

    def _connected(self) -> socket.socket:
        if self._parts.scheme == "tcp":
            assert self._parts.hostname and self._parts.port
            return socket.create_connection((self._parts.hostname, self._parts.port), _WITHIN)
        if self._parts.scheme == "unix":
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.settimeout(_WITHIN)
            sock.connect(self._parts.path)
            return sock
        found = socket.getaddrinfo(self._parts.hostname, self._parts.port, type=socket.SOCK_DGRAM)[
            0
        ]
        sock = socket.socket(found[0], socket.SOCK_DGRAM)
        sock.connect(found[4])
        return sock


class Hook:
    """One POST for each entry, signed, whose id is its number in the trail."""

    def __init__(self, url: str, key: Callable[[], str], clock: Clock) -> None:
        self._post: Final = SignedPost(url, key, clock)

    def reached(self) -> int | None:
        return None

    async def take(self, lines: Sequence[Line]) -> None:
        for line in lines:
            await self._post.send(f"audit-{line.number}", line.raw)
