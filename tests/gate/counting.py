"""A store that counts what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from gateway.core.store import Store, writes
from tests.gate.served import Served

_WRITES = frozenset({"put", "delete", "claim", "append", "trim"})


class Counting:
    """A store that counts its calls, and those that are a write transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: list[tuple[str, bool]] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        async def counted(*args: Any, **named: Any) -> Any:
            written = name in _WRITES or (name == "count" and named.get("add", 1) > 0)
            if name == "transact":
                written = any(map(writes, args[0]))
            # What is frozen is looked at all the time, and for no request.
            if getattr(args[0], "kind", "") != "freeze" if args else True:
                self.calls.append((name, written))
            return await call(*args, **named)

        return counted

    def taken(self) -> tuple[int, int]:
        """How many calls there were since the last look, and how many transactions."""
        calls, self.calls = self.calls, []
        return len(calls), sum(written for _, written in calls)


Count: TypeAlias = Callable[[Served], Counting]
"""Begin to count the calls of one gateway (the fixture `count`, asked for before it starts)."""
