"""What both ends have in common: a transport whose reading several parts may stop."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import struct
from typing import Final, cast

_KEEPALIVE: Final = ("TCP_KEEPIDLE", "TCP_KEEPINTVL")
_EVERY: Final = 10  # seconds


class Why:
    """Reasons to stop reading; reading goes on when none is left. (Plain numbers: an IntFlag
    costs a request more than its head.)"""

    OTHER_SIDE: Final = 1  # its buffer is full
    DECIDING: Final = 2
    SPLICING: Final = 4
    AHEAD: Final = 8  # enough of the next requests has come
    CONNECTING: Final = 16
    ANY: Final = 31
    TURN: Final = 32  # the others' turn comes first; never lifted by others
    ENDED: Final = 64  # nothing more comes; for good, so not among ANY


class Connection(asyncio.Protocol):
    """One end. Subclasses are told what happens by asyncio's own methods.

    stopped: why nothing is read (`Why`), 0 while something is.
    """

    __slots__ = ("stopped", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.stopped = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        # asyncio sets it only where it knows the protocol of the socket; without it a head
        # and a body sent apart wait for each other (Nagle against delayed acknowledgement).
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def sock(self) -> socket.socket | None:
        """The socket below the transport, for its descriptor."""
        transport = self.transport
        return None if transport is None else transport.get_extra_info("socket")

    def stop_reading(self, why: int) -> None:
        if not self.stopped and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        self.stopped |= why

    def go_on_reading(self, why: int) -> None:
        if not self.stopped & why:
            return
        self.stopped &= ~why
        if not self.stopped and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def plain_fd(self) -> int | None:
        """The descriptor, where bytes may pass below the transport (no TLS)."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return None
        if transport.get_extra_info("sslcontext") is not None:
            return None
        sock = transport.get_extra_info("socket")
        return None if sock is None else cast(int, sock.fileno())

    def watch(self) -> None:
        """Have the kernel ask the peer now and then whether it is there (TCP)."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        if sock is None or sock.family == socket.AF_UNIX:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), _EVERY)

    @property
    def vanished(self) -> bool:
        """Whether a peer that sends no more has gone altogether, as far as the kernel knows."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        if sock is None or not hasattr(select, "poll"):
            return False
        if sock.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(sock.fileno(), 0)
        return bool(poll.poll(0))

    @property
    def closed_tls(self) -> bool:
        """Once the connection has ended: whether the peer said so within TLS (RFC 9112 section
        9.8). The loops tell of both ends alike. True without TLS, where nothing could be said."""
        transport = self.transport
        tls = None if transport is None else transport.get_extra_info("ssl_object")
        if tls is None:
            return True
        try:
            return bool(tls.read(1) == b"")
        except ssl.SSLZeroReturnError:  # the same, after we have closed it too
            return True
        except ssl.SSLError:
            return False

    @property
    def can_reset(self) -> bool:
        """Whether the peer can tell a broken connection from one that has ended."""
        transport = self.transport
        sock = None if transport is None else transport.get_extra_info("socket")
        return sock is not None and sock.family != socket.AF_UNIX

    def reset_at_end(self, on: bool) -> None:
        """From now on the peer sees a reset however this connection ends, be it with the process
        (on), or a plain end after all that was sent (off)."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError, ValueError):  # it has ended already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))

    def reset(self) -> None:
        """End the connection so that the peer sees that something is missing."""
        transport = self.transport
        if transport is None:
            return
        if not transport.is_closing():
            self.reset_at_end(True)
        transport.abort()
