"""TLS that a client may close in its direction only, as TCP can be (RFC 8446 section 6.1).

The event loops end both directions once the peer's `close_notify` has come, and no answer can be
sent after that. OpenSSL sends on, so the loop is not told: the connection is, and ends it in time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast


class _Limited(Protocol):
    """What both event loops' TLS transports have, and asyncio.Transport does not name."""

    def set_read_buffer_limits(self, high: int, low: int) -> None: ...


class HalfClosable(ssl.SSLObject):
    """The server's side; see `ssl.SSLContext.sslobject_class`.

    incoming: where the event loop puts what came from the socket.
    """

    incoming: ssl.MemoryBIO
    _ended: Callable[[], None] | None = None
    _told = False

    @classmethod
    def _create(cls, incoming: ssl.MemoryBIO, *others: Any, **named: Any) -> HalfClosable:
        made: HalfClosable = super()._create(incoming, *others, **named)  # type: ignore[misc]
        made.incoming = incoming
        return made

    def begin(self, transport: asyncio.BaseTransport, ended: Callable[[], None]) -> None:
        """From now on the end of what the client sends is not the end of the connection.

        Whoever closes TLS often closes TCP behind it, which ends both directions for the loops. So
        nothing is read from the socket while something that came waits to be decrypted.

        Args:
            ended: called after all that the client has sent was given to the protocol.
        """
        cast(_Limited, transport).set_read_buffer_limits(1, 0)
        self._ended = ended

    def read(self, len: int = 1024, buffer: bytearray | None = None) -> bytes | int:  # type: ignore[override]
        if self._told:
            raise ssl.SSLWantReadError
        got: bytes | int = super().read(len, buffer)
        if got or self._ended is None:
            return got
        self._told = True
        self.incoming.write(b" ")  # waits for ever, and the socket with it
        asyncio.get_running_loop().call_soon(self._ended)
        raise ssl.SSLWantReadError
