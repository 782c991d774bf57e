"""Bytes of a client that sends chunks, a little in each turn of the loop.

Taking a chunk apart costs the same whatever is in it: a read full of chunks of one byte is a tenth
of a second, and twenty such clients would keep everybody waiting for seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.proxy.connection import Why
from gateway.proxy.roles import Downstream

TURN: Final = 4096
"""Bytes in one turn."""


class Turns:
    """What one connection has sent and is still to be looked at.

    deliver: takes the bytes of one turn.
    """

    __slots__ = ("_at", "_client", "_data", "_deliver", "_handle")

    def __init__(self, client: Downstream, deliver: Callable[[bytes], None]) -> None:
        self._client: Final = client
        self._deliver: Final = deliver
        self._data = b""
        self._at = 0
        self._handle: asyncio.Handle | None = None

    def first(self, data: bytes) -> bytes:
        """What of that may be looked at now; the rest is delivered in its turn."""
        if len(data) <= TURN:
            return data
        self._data = data[TURN:] + self._data[self._at :]
        self._at = 0
        self._queue()
        return data[:TURN]

    def put(self, data: bytes) -> None:
        """The next bytes have come."""
        if self._handle is None and len(data) <= TURN:
            self._deliver(data)
            return
        self._data = self._data[self._at :] + data
        self._at = 0
        if self._handle is None:
            self._take()

    @property
    def pending(self) -> bool:
        """Something has come that nobody has looked at."""
        return self._handle is not None

    def drop(self) -> None:
        """Nobody looks at them any more."""
        self._data = b""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _queue(self) -> None:
        if self._handle is None:
            self._client.stop_reading(Why.TURN)
            self._handle = asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        self._handle = None
        piece = self._data[self._at : self._at + TURN]
        self._at += len(piece)
        if self._at < len(self._data):
            self._queue()
        else:
            self._data = b""
            self._at = 0
            self._client.go_on_reading(Why.TURN)
        self._deliver(piece)
        if self._client.sends_no_more:
            self._client.no_more()
