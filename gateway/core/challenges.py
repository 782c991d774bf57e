"""Challenges for WebAuthn: kept in the store, good for one answer."""

from __future__ import annotations

from gateway.core.clock import Clock, Random
from gateway.core.store import Key, Store

_BYTES = 32  # W3C WebAuthn Level 3 section 13.4.3 asks for at least 16


class Challenges:
    """Args: life: seconds an answer may take."""

    def __init__(self, store: Store, clock: Clock, random: Random, life: float) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._life = life

    async def new(self, ref: str) -> bytes:
        """A fresh challenge for what `ref` names (a pending login, say); an earlier one is void."""
        challenge = self._random(_BYTES)
        expires = self._clock() + self._life
        await self._store.put(Key("challenge", "", ref), challenge, expires=expires)
        return challenge

    async def burn(self, ref: str) -> bytes:
        """Take the challenge away, before any answer is looked at; b"" where there is none."""
        record = await self._store.get(Key("challenge", "", ref))
        if record is None:
            return b""
        taken = await self._store.delete(Key("challenge", "", ref), if_version=record.version)
        return record.value if taken else b""
