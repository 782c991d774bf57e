"""Pending logins: the first factor has passed, the second has not.

What the upstream answered waits here, sealed under a part that only the browser's cookie has.
A pending login ends at its first success, by the clock, or when the account changes.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.crypto.signing import Tickets, token
from gateway.core.login.models import FlowLimits, Held, Step
from gateway.core.login.sealing import seal, unseal
from gateway.core.store import Key, Store

_PURPOSE = "pending"
LINGER: Final = 3600.0
"""Seconds a login that has run out is remembered, so that its page can say where it led."""


class Opened(NamedTuple):
    """A pending login as stored, its account not yet looked at."""

    id: str
    user: str
    user_id: str
    step: Step
    made: float
    expires: float
    epoch: int
    invitation: str
    held: Held


class PendingLogins:
    def __init__(
        self, store: Store, ring: KeyRing, clock: Clock, random: Random, limits: FlowLimits
    ) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._random = random
        self._life = {Step.VERIFY: limits.pending, Step.ENROL: limits.enrolling}
        self._tickets = Tickets(ring, clock, "pending", max(self._life.values()) + LINGER)

    async def open(
        self, user: str, user_id: str, step: Step, held: Held, *, epoch: int, invitation: str
    ) -> str:
        """A new pending login; its cookie's value.

        Args:
            invitation: keyed hash of the invitation it came with, "" for none.
        """
        id, part = token(self._random), token(self._random, 32)
        now = self._clock()
        expires = now + self._life[step]
        data = {
            "user": user,
            "user_id": user_id,
            "step": step,
            "made": now,
            "expires": expires,
            "epoch": epoch,
            "invitation": invitation,
            "sealed": seal(self._ring, _PURPOSE, id, part, held),
        }
        value = json.dumps(data, separators=(",", ":")).encode()
        kept = expires + LINGER
        await self._store.put(Key("pending", "", id), value, expires=kept, if_version=0)
        return self._tickets.make(id, part)

    async def get(self, cookie: str) -> Opened | None:
        """The login behind a cookie, while it may wait."""
        opened = await self.left(cookie)
        return opened if opened is not None and self._clock() < opened.expires else None

    async def left(self, cookie: str) -> Opened | None:
        """The same, and one whose time is over, for what may be said of it."""
        parts = self._tickets.read(cookie) if cookie else None
        if parts is None or len(parts) != 2:
            return None
        id, part = parts
        record = await self._store.get(Key("pending", "", id))
        if record is None:
            return None
        data = json.loads(record.value)
        sealed = data.pop("sealed")
        try:
            held = unseal(self._ring, _PURPOSE, id, part, sealed)
        except SealBroken:
            return None
        return Opened(id=id, held=held, **{**data, "step": Step(data["step"])})

    async def burn(self, id: str) -> bool:
        """End it; True for exactly one caller."""
        return await self._store.delete(Key("pending", "", id))
