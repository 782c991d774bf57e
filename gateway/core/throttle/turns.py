"""One after another: saves the lost races of writers that would meet at one record."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Final, TypeAlias

_Waiting: TypeAlias = deque[asyncio.Future[None]]


class NamedLocks:
    """Locks by name, there as long as somebody holds or awaits one; who came first is next. Of
    one event loop."""

    def __init__(self) -> None:
        self._held: Final[dict[Hashable, _Waiting]] = {}

    def of(self, name: Hashable) -> _NamedTurn:
        """A lock to be held with `async with`, once."""
        return _NamedTurn(self._held, name)


class _NamedTurn:
    __slots__ = ("_held", "_name")

    def __init__(self, held: dict[Hashable, _Waiting], name: Hashable) -> None:
        self._held = held
        self._name = name

    async def __aenter__(self) -> None:
        waiting = self._held.get(self._name)
        if waiting is None:
            self._held[self._name] = deque()
            return
        mine = asyncio.get_running_loop().create_future()
        waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # it had come already
                self._pass_on()
            elif mine in waiting:
                waiting.remove(mine)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        waiting = self._held[self._name]
        while waiting:
            one = waiting.popleft()
            if not one.done():
                one.set_result(None)
                return
        del self._held[self._name]
