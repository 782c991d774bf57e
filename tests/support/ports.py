"""Ports for servers that tests start: none is given twice, in whatever test process.

A port that the kernel chose is free again until the server binds it: meanwhile another test, or any
connection that goes out, may be given it. Those here lie below what the kernel chooses from.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Final

from gateway.cli.demo.processes import listens

_PORTS: Final = range(20_000, 30_000)
_SEVERAL: Final = 50


def _free_ports() -> Iterator[int]:
    """Several at a time are claimed by a name that ends with this process."""
    claims: list[socket.socket] = []
    for number in range(os.getpid(), os.getpid() + len(_PORTS)):
        first = _PORTS[number * _SEVERAL % len(_PORTS)]
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0ports of tests from {first}")
        except OSError:
            claim.close()
            continue
        claims.append(claim)
        yield from (port for port in range(first, first + _SEVERAL) if not listens(port))


_free: Final = _free_ports()


def free_port() -> int:
    """A loopback port that nothing listens on."""
    return next(_free)
