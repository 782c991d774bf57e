"""Room for bodies that wait to be judged, shared by all connections of a process.

Whoever may connect can make a body wait, without a password; so there is an end to how much of
them is kept. Where there is no more room, those that have waited longest make some: a client
that means well is through in a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


class Room:
    """Counts what is kept. limit: bytes over all owners. total: what they keep."""

    __slots__ = ("_kept", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.limit: Final = limit
        self.total = 0
        self._kept: Final[dict[object, tuple[int, Callable[[], None]]]] = {}

    def keep(self, owner: object, size: int, evict: Callable[[], None]) -> None:
        """An owner keeps so many bytes now.

        Args:
            evict: called when the owner, which has been there longest, must let go of them.
        """
        self.total += size - self._kept.get(owner, (0, evict))[0]
        self._kept[owner] = (size, evict)
        while self.total > self.limit:
            oldest = next(iter(self._kept))
            make_room = self._kept[oldest][1]
            self.free(oldest)
            make_room()

    def free(self, owner: object) -> None:
        """An owner keeps nothing any more."""
        kept = self._kept.pop(owner, None)
        if kept is not None:
            self.total -= kept[0]
