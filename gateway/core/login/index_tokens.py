"""API tokens that the index makes and keeps itself (devpi-tokens), made behind a second factor.

The store holds a keyed hash of the name that such a token says of itself, never the token. Whether
one of that name is genuine, still there, and allowed what it asks for, only the index can tell.
"""

from __future__ import annotations

import json
from typing import Final

from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing
from gateway.core.login.models import BY_DEVICE, Session, Verified
from gateway.core.store import Key, Store

_KIND: Final = "index-token"


class IndexTokens:
    """Args: lifetime: seconds for which one is remembered."""

    def __init__(self, store: Store, ring: KeyRing, clock: Clock, lifetime: float) -> None:
        self._store: Final = store
        self._ring: Final = ring
        self._clock: Final = clock
        self._lifetime: Final = lifetime

    async def remember(self, user_id: str, name: str, proof: Verified | Session) -> bool:
        """One was made with a proof; whether it counts from now on."""
        if proof.user_id != user_id or proof.factor in ("", BY_DEVICE):
            return False
        key = Key(_KIND, user_id, self._ring.digest("index token", user_id, name))
        value = json.dumps({"proved": proof.proved_at, "factor": proof.factor}).encode()
        await self._store.put(key, value, expires=self._clock() + self._lifetime)
        return True

    async def find(self, user_id: str, name: str) -> Verified | None:
        """What one was made with, if it was made here."""
        hashes = self._ring.digests("index token", user_id, name)
        for record in await self._store.get_many([Key(_KIND, user_id, one) for one in hashes]):
            if record is not None:
                data = json.loads(record.value)
                return Verified(user_id, data["proved"], data["factor"])
        return None

    async def forget(self, user_id: str) -> None:
        """None of a person counts any more: the password was changed, say."""
        for name, _ in await self._store.items(_KIND, user_id):
            await self._store.delete(Key(_KIND, user_id, name))
