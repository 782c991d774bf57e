"""What had arrived on a connection when writing to it failed.

A server that answers early (413, 403) and closes without having read the request resets the
connection. The event loops give a connection up with the first write that fails, whatever is
still to be read; the kernel keeps what came before the reset, so it is read here, from a
duplicate of the descriptor. A client that speaks to the server directly reads it, too.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Any, Final

from gateway.proxy.connection import Connection

_PIECE: Final = 65536


class Readable(ssl.SSLObject):
    """A TLS connection that can be fed by hand, too; see `ssl.SSLContext.sslobject_class`.

    incoming: where its event loop puts what came from the socket.
    unread: what had come when its event loop began to end it. uvloop drops that where the peer
        closes while reading is paused: the end of a body whose reader is slow.
    """

    incoming: ssl.MemoryBIO
    unread: bytes = b""

    @classmethod
    def _create(cls, incoming: ssl.MemoryBIO, *others: Any, **named: Any) -> Readable:
        made: Readable = super()._create(incoming, *others, **named)  # type: ignore[misc]
        made.incoming = incoming
        return made

    def unwrap(self) -> None:
        self.unread += b"".join(self.rest())
        super().unwrap()

    def rest(self) -> Iterator[bytes]:
        """All that has come and was not read."""
        while True:
            try:
                data = self.read(_PIECE)
            except ssl.SSLError:  # nothing more, the end, or a record that was cut off
                return
            if not data:
                return
            yield data


class Late:
    """Kept beside a connection as long as an answer is awaited on it.

    Raises:
        OSError: there are no descriptors left.
    """

    __slots__ = ("_fd", "_tls")

    def __init__(self, connection: Connection) -> None:
        transport = connection.transport
        sock = None if transport is None else transport.get_extra_info("socket")
        tls = None if transport is None else transport.get_extra_info("ssl_object")
        self._tls: Readable | None = tls if isinstance(tls, Readable) else None
        self._fd = -1 if sock is None or (tls and not self._tls) else os.dup(sock.fileno())

    def read(self) -> Iterator[bytes]:
        """All there is."""
        if self._tls is not None:
            yield from self._decrypted(self._tls)
        else:
            yield from self._raw()

    def _raw(self) -> Iterator[bytes]:
        while self._fd >= 0:
            try:
                data = os.read(self._fd, _PIECE)
            except OSError:  # nothing more, or the reset itself
                return
            if not data:
                return
            yield data

    def _decrypted(self, tls: Readable) -> Iterator[bytes]:
        for data in self._raw():
            tls.incoming.write(data)
        yield from tls.rest()

    def close(self) -> None:
        """Let go of the connection. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
