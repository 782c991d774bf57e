"""Bodies as they arrive, one interface for both framings. No I/O."""

from __future__ import annotations

from typing import Final, Protocol

BODY_ENDS: Final = "its body ends too early"


class Body(Protocol):
    """Finds the end of a body. `ChunkDecoder` is the other one."""

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> tuple[list[bytes], list[bytes]]:
        """What to send on, and the bare content of it; raises `chunked.BadChunk`."""
        ...


class EndlessBody:
    """A body that ends with its connection, put into chunks."""

    __slots__ = ()
    END: Final = b"0\r\n\r\n"
    done = False
    rest = b""

    def feed(self, data: bytes) -> tuple[list[bytes], list[bytes]]:
        return [b"%x\r\n" % len(data), data, b"\r\n"], [data]


class SizedBody:
    """A body of declared length. `left`: bytes still to come."""

    __slots__ = ("done", "left", "rest")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> tuple[list[bytes], list[bytes]]:
        left = self.left
        if len(data) >= left:
            self.rest = data[left:]
            data = data[:left]
            self.done = True
        self.left = left - len(data)
        return [data], [data]
