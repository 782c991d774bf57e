"""Inspectors that say what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.proxy.ports import Answer, Forward, Inspect, Plan
from tests.proxy.passgate import PassGate


class Scripted:
    """An inspector that says what a test wants once it has seen enough."""

    def __init__(
        self,
        *,
        after: int = 0,
        say: Plan | None = None,
        bad: bytes = b"!",
        last: Callable[[], Plan | Awaitable[Plan] | None] = lambda: None,
        slow: bool = False,
        hold_limit: int = 1000,
    ) -> None:
        self.hold_limit = hold_limit
        self.seen = b""
        self._after = after
        self._say = say or Forward(add=(("X-Judged", "yes"),))
        self._bad = bad
        self._last = last
        self._slow = slow
        self._decided = False

    @property
    def safe(self) -> int:
        """All that was seen, but for what looks like the beginning of something bad."""
        return len(self.seen) - self.seen.endswith(b"?")

    def feed(self, data: bytes) -> Plan | Awaitable[Plan] | None:
        self.seen += data
        if self._bad in data:
            return Answer(403, (), b"bad")
        if self._decided or len(self.seen) < self._after:
            return None
        self._decided = True
        return self._later() if self._slow else self._say

    async def _later(self) -> Plan:
        await asyncio.sleep(0.02)
        return self._say

    def finish(self) -> Plan | Awaitable[Plan] | None:
        if not self._decided:
            return self._say
        return self._last()


def judged(inspector: Scripted) -> PassGate:
    gate = PassGate()
    gate.decide = lambda facts: Inspect(inspector)
    return gate
