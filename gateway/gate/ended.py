"""Credentials that have ended at the gateway while the index still takes them.

Each is looked up on its first request and then now and again; requests without one that a login
may have handed out never come here. Where the store is away they go on, as everything that passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from gateway.core.clock import Clock
from gateway.core.http.facts import Facts
from gateway.core.login.credentials import Credentials, Ended
from gateway.core.store import StoreUnavailable
from gateway.core.upstream import Upstream
from gateway.upstreams.carriers import cookie_values

FRESH: Final = 3.0
"""Seconds for which one that had not ended is believed; no end takes longer to reach a gateway."""
_KEPT: Final = 4096
_AWAY: Final = 5.0  # seconds for which a store that failed is not asked
_HASTE: Final = 2.0  # seconds that a request waits for the store
_RENEWED: Final = 0.5  # seconds in which a change of factors has carried over what goes on


class EndedCredentials:
    """One for a process. refused: whether it looks at all. base: the path of the public address."""

    def __init__(
        self,
        upstream: Upstream,
        credentials: Credentials,
        clock: Clock,
        *,
        base: str,
        refused: bool,
    ) -> None:
        self._upstream: Final = upstream
        self._credentials: Final = credentials
        self._clock: Final = clock
        self._base: Final = base
        self._refused: Final = refused
        self._seen: Final[dict[str, float]] = {}
        self._away_until = 0.0

    def look(self, facts: Facts) -> Awaitable[Ended | None] | None:
        """What of a request has ended; None where that needs no look.

        Raises:
            Refusal: `mixed_credentials`.
        """
        if not self._refused:
            return None
        traces = self._upstream.handed_out(facts)
        if all(self._fresh(self._credentials.traced(one)) for one in traces):
            return None
        return None if self._clock() < self._away_until else self._looked_up(traces)

    def alike(self, facts: Facts) -> Callable[[], bool]:
        """Whether `look` would say None of these facts."""
        if not self._refused:
            return lambda: True
        names = list(map(self._credentials.traced, self._upstream.handed_out(facts)))
        fresh = self._fresh
        return lambda: all(map(fresh, names))

    async def end(self, facts: Facts) -> tuple[str, ...]:
        """End the logins whose cookies of the index a request carries, known here or not; the
        Set-Cookie values that take these out of the browser."""
        traces = self._in_cookies(facts)
        clears = await self._credentials.end_traced(traces)
        self.forget()
        known = {clear.partition("=")[0] for clear in clears}
        plain = f"=; Path={self._base}/; Max-Age=0"
        there = (one for one in sorted(self._upstream.session_cookies) if cookie_values(facts, one))
        return (*clears, *(name + plain for name in there if name not in known))

    async def gone(self, facts: Facts) -> tuple[str, ...]:
        """The Set-Cookie values that take what has ended out of the browser that asks."""
        traces = self._in_cookies(facts)
        ended = await self._credentials.ended(traces) if traces else None
        return ended.clears if ended else ()

    def forget(self) -> None:
        """Believe nothing of before: something has just ended in this process."""
        self._seen.clear()

    # -- how ------------------------------------------------------------------------------

    async def _looked_up(self, traces: tuple[str, ...]) -> Ended | None:
        try:
            async with asyncio.timeout(_HASTE):
                ended = await self._credentials.ended(traces)
                if ended is not None and ended.by_epoch:
                    await asyncio.sleep(_RENEWED)
                    ended = await self._credentials.ended(traces)
        except (StoreUnavailable, TimeoutError):
            self._away_until = self._clock() + _AWAY
            return None
        if ended is None:
            for one in traces:
                self._remember(self._credentials.traced(one))
        return ended

    def _fresh(self, name: str) -> bool:
        return 0 <= self._clock() - self._seen.get(name, -FRESH) < FRESH

    def _remember(self, name: str) -> None:
        self._seen.pop(name, None)
        if len(self._seen) >= _KEPT:
            del self._seen[next(iter(self._seen))]
        self._seen[name] = self._clock()

    def _in_cookies(self, facts: Facts) -> tuple[str, ...]:
        only = tuple(field for field in facts.fields if field[0] == "cookie")
        return self._upstream.handed_out(replace(facts, fields=only)) if only else ()
