"""What systemd and a service tell each other: sd_notify(3), sd_listen_fds(3), the watchdog.

All of it does nothing where systemd did not ask for it in the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterable, MutableMapping
from mmap import mmap
from typing import Final

_FIRST: Final = 3  # the first descriptor that is passed, SD_LISTEN_FDS_START
_BEAT: Final = struct.Struct("d")


def inherited(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets that systemd has bound for this process; they are taken once."""
    mine = environment.pop("LISTEN_PID", "") == str(os.getpid())
    count = environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if not mine or not count.isascii() or not count.isdigit():
        return []
    found = []
    for number in range(_FIRST, _FIRST + int(count)):
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
        sock.setblocking(False)
        found.append(sock)
    return found


def notify(state: str) -> None:
    """Tell systemd the state of this service, such as "READY=1"."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    address = "\0" + place[1:] if place.startswith("@") else place
    with (
        contextlib.suppress(OSError),  # systemd is not there any more
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
    ):
        sock.connect(address)
        sock.sendall(state.encode())


def reloading() -> None:
    """Tell systemd that a new configuration is being read (`Type=notify-reload`); `READY=1`
    follows, whatever comes of it."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watched() -> float:
    """Seconds within which systemd wants a sign of life; 0.0 where it wants none."""
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    asked = os.environ.get("WATCHDOG_USEC", "")
    return int(asked) / 1e6 if mine and asked.isascii() and asked.isdigit() else 0.0


class Heartbeats:
    """Signs of life of the workers, in memory that they share with the process above them.

    Args:
        count: workers. within: seconds in which each has to give one; 0.0 for none.
    """

    def __init__(self, count: int, within: float) -> None:
        self.within: Final = within
        self._memory: Final = mmap(-1, count * _BEAT.size) if within else None

    def beat(self, worker: int) -> None:
        if self._memory is not None:
            _BEAT.pack_into(self._memory, worker * _BEAT.size, time.monotonic())

    def silent(self, workers: Iterable[int]) -> list[int]:
        """Those that gave none in time."""
        if self._memory is None:
            return []
        due = time.monotonic() - self.within
        found = []
        for worker in workers:
            (last,) = _BEAT.unpack_from(self._memory, worker * _BEAT.size)
            if last < due:
                found.append(worker)
        return found

    async def keep(self, worker: int) -> None:
        """Give them from the event loop, which is what can hang."""
        while self.within:
            self.beat(worker)
            await asyncio.sleep(self.within / 4)
