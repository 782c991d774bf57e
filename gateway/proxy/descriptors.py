"""File descriptors: as many as this process may have, and some kept for who comes next."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import socket
import termios
from collections.abc import Callable
from typing import Final

_MOST: Final = 1 << 20  # more is never of use, and some systems allow a thousand times that
_KEPT: Final = 2048
_LOG: Final = logging.getLogger("gateway.proxy")


def raise_limit() -> int:
    """Allow this process (and those it forks) as many descriptors as it may allow itself; how
    many that are now. The usual soft limit of 1,024 is for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """How many descriptors this process may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)


def kept(most: int) -> int:
    """How many of so many descriptors are not for connections that wait."""
    return min(most // 4, _KEPT)


def backlog(most: int, listeners: int) -> int:
    """How many connections may wait to be accepted on each listener: both event loops accept
    them all at once, before any can be looked at, so they have to fit in what is kept."""
    return max(4, min(1024, kept(most) // (2 * max(1, listeners))))


def pending(sock: socket.socket | None) -> bool:
    """Whether something has come on a connection that nobody has read yet."""
    if sock is None or sock.fileno() < 0:
        return False
    try:
        count = fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4)
    except OSError:
        return False
    return count != b"\0" * 4


class Descriptors:
    """How much room there is in one process.

    Args:
        count: how many descriptors the connections that come and go have.
        make: closes one connection that waits, if there is one.
    """

    __slots__ = ("_count", "_last", "_make", "_others", "_short", "_told")

    def __init__(self, count: Callable[[], int], make: Callable[[], None]) -> None:
        most = limit()
        self._count: Final = count
        self._make: Final = make
        self._short: Final = most - kept(most)
        self._last: Final = most - kept(most) // 2
        self._others: Final = _following() or 0
        self._told = False

    def arrived(self, descriptor: int) -> None:
        """Something new has this descriptor: make room where there is little left."""
        if self._used(descriptor) >= self._short:
            self._tell()
            self._make()

    def full(self) -> bool:
        """Whether what is left is for clients that come; makes room where there is little."""
        following = _following()
        if following is None:
            following = self._last
        self.arrived(following)
        return self._used(following) >= self._last

    def _used(self, descriptor: int) -> int:
        """How many are open, at least. The lowest free number goes to each new descriptor, so all
        below it are taken; where others above are too, the count tells."""
        return max(descriptor, self._others + self._count())

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            _LOG.warning(
                "nearly all of %d file descriptors are in use: connections that have waited "
                "longest are closed for new ones; a higher limit helps (LimitNOFILE, ulimit -n)",
                limit(),
            )


def _following() -> int | None:
    """The number that the next descriptor will have; None where there is none left."""
    try:
        following = os.dup(2)  # standard error; any would do
    except OSError:
        return None
    os.close(following)
    return following
