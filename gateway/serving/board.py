"""A board in memory that the workers of one gateway share: each writes its own place, any of them
reads all.

What a worker that is gone has written stays, so the one that follows it at its place goes on from
there. It is memory without a file: nothing is left behind by whoever ends how.
"""

from __future__ import annotations

import struct
from mmap import mmap
from typing import Final
from zlib import crc32

_HEAD: Final = struct.Struct("II")  # bytes that follow, and their checksum
_TRIES: Final = 10  # to read while it is written


class Board:
    """Args: places: workers. size: bytes of each place; memory is taken only where it is used."""

    def __init__(self, places: int, size: int = 1 << 20) -> None:
        self.places: Final = places
        self._size: Final = size
        self._memory: Final = mmap(-1, places * size)

    def post(self, place: int, data: bytes) -> bool:
        """Write, in place of what was there; False where it does not fit."""
        if len(data) > self._size - _HEAD.size:
            return False
        at = place * self._size
        _HEAD.pack_into(self._memory, at, 0, 0)
        self._memory[at + _HEAD.size : at + _HEAD.size + len(data)] = data
        _HEAD.pack_into(self._memory, at, len(data), crc32(data))
        return True

    def read(self, place: int) -> bytes:
        """What was written last there; nothing before that, or where it is being written."""
        at = place * self._size
        for _ in range(_TRIES):
            length, check = _HEAD.unpack_from(self._memory, at)
            if length <= self._size - _HEAD.size:
                data = self._memory[at + _HEAD.size : at + _HEAD.size + length]
                if length and crc32(data) == check:
                    return data
        return b""
