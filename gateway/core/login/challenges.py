"""Challenges for WebAuthn, each good for one answer.

One for somebody known is kept in the store. One for anybody is not: it stands in a signed ticket,
so that asking for many fills nothing, and only its use leaves a mark.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing
from gateway.core.crypto.signing import SKEW, Tickets
from gateway.core.store import Key, Store

_BYTES = 32  # W3C WebAuthn Level 3 section 13.4.3 asks for at least 16


class Challenges:
    """Args: life: seconds an answer may take."""

    def __init__(
        self, store: Store, ring: KeyRing, clock: Clock, random: Random, life: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._life = life
        self._tickets = Tickets(ring, clock, "challenge", life)

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

    def ticket(self) -> tuple[str, bytes]:
        """A fresh challenge for anybody, and the ticket that brings it back."""
        challenge = self._random(_BYTES)
        return self._tickets.make(urlsafe_b64encode(challenge).decode()), challenge

    async def burn_ticket(self, ticket: str) -> bytes:
        """The challenge of a ticket, the first time; b"" for a used, old or foreign one."""
        parts = self._tickets.read(ticket)
        if parts is None or len(parts) != 1:
            return b""
        # Kept until no gateway, however its clock goes, reads the ticket any more.
        expires = self._clock() + self._life + 2 * SKEW
        first = await self._store.claim(Key("challenge", "", parts[0]), expires=expires)
        return urlsafe_b64decode(parts[0]) if first else b""
