"""A listener that speaks TLS: connections whose handshake is not over are counted, timed and let
go like all others.

Within a listener of the event loop they would be nobody's until the handshake ends, so whoever
connects and says nothing would hold descriptors that no room can be made of.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Final, Protocol

from gateway.proxy.forwarder import Forwarder

_PAUSE: Final = 0.1  # seconds until a connection is accepted again, where none could be


class Greeting:
    """A connection until its handshake is over; then it is a client's.

    forwarder: whose client it will be. since: when it came, in the forwarder's time.
    """

    __slots__ = ("_task", "forwarder", "since", "sock")

    waits = True

    def __init__(self, forwarder: Forwarder, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.forwarder = forwarder
        self.sock = sock
        self.since = forwarder.shared.now
        self._task = asyncio.get_running_loop().create_task(self._shake(context))

    async def _shake(self, context: ssl.SSLContext) -> None:
        within = self.forwarder.shared.limits.head_time
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self.forwarder.client(),
                self.sock,
                ssl=context,
                ssl_handshake_timeout=within,
            )
        except (OSError, ssl.SSLError):  # no TLS, or it took too long
            pass
        finally:
            self.forwarder.greeted(self)

    def leave(self) -> None:
        """It is not waited for any more: the end of what comes ends the handshake."""
        self.forwarder.greeted(self)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Taker(Protocol):
    """Whose connections they become."""

    @property
    def forwarder(self) -> Forwarder: ...


class SecureListener:
    """Accepts on a listening socket, which is its own from now on.

    context: for connections that come from now on.

    Args:
        most: connections that are accepted in one turn.
    """

    def __init__(
        self, taker: Taker, sock: socket.socket, context: ssl.SSLContext, most: int
    ) -> None:
        self._taker = taker
        self._sock = sock
        self.context = context
        self._most = most
        self._loop = asyncio.get_running_loop()
        sock.listen(most)
        self._listen()

    def _listen(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(self._most):
            try:
                sock, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                self._taker.forwarder.shared.log.error("a connection cannot be accepted: %s", exc)
                self._loop.remove_reader(self._sock.fileno())
                self._loop.call_later(_PAUSE, self._listen)
                return
            sock.setblocking(False)
            forwarder = self._taker.forwarder
            forwarder.greet(Greeting(forwarder, sock, self.context))

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
