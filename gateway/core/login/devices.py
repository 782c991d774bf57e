"""Remembered devices: browsers that need no code at a login for a while.

A record keeps, sealed under a part in the device's cookie, the upstream credential of the last
login there: what a sign-in by passkey alone goes on with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.core.accounts.repository import Accounts
from gateway.core.audit.events import AuditSink, Event, Origin
from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.crypto.signing import Tickets, token
from gateway.core.login.models import FlowLimits, Held
from gateway.core.login.sealing import seal, unseal
from gateway.core.login.sessions import CHANGED, LINGER, OVER
from gateway.core.store import ItemsOf, Key, Record, Store
from gateway.core.wording import device_name

_PURPOSE = "device"


@dataclass(frozen=True, slots=True)
class Remembered:
    """A remembered device.

    proved_at, factor: the proof that came before it was remembered.
    held: what the last login on it earned; empty where only the record was read.
    """

    id: str
    user_id: str
    name: str
    address: str
    added: float
    used: float
    expires: float
    epoch: int
    proved_at: float
    factor: str
    held: Held = field(default_factory=Held, repr=False)


class Devices:
    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        accounts: Accounts,
        clock: Clock,
        random: Random,
        limits: FlowLimits,
        audit: AuditSink,
    ) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._random = random
        self._accounts = accounts
        self._audit = audit
        self._life = limits.remember
        self._tickets = Tickets(ring, clock, "device", limits.remember)

    @property
    def allowed(self) -> bool:
        return self._life > 0

    async def add(
        self, user_id: str, origin: Origin, *, epoch: int, proved_at: float, factor: str, held: Held
    ) -> str:
        """Remember a device; its cookie's value."""
        id, part, now = token(self._random), token(self._random, 32), self._clock()
        expires = now + self._life
        data = {
            "name": device_name(origin.user_agent),
            "address": origin.address,
            "added": now,
            "used": now,
            "expires": expires,
            "epoch": epoch,
            "proved_at": proved_at,
            "factor": factor,
        }
        await self._write(user_id, id, part, data, held)
        return self._tickets.make(user_id, id, part)

    async def get(self, cookie: str, *, user_id: str, epoch: int) -> Remembered | None:
        """The live device behind a cookie, if it is this person's of this epoch."""
        read = await self._read(cookie, user_id)
        if read is None:
            return None
        id, part, data, sealed = read
        if data["epoch"] != epoch:
            return None
        try:
            held = unseal(self._ring, _PURPOSE, f"{id}/{user_id}", part, sealed)
        except SealBroken:
            return None
        return Remembered(id=id, user_id=user_id, held=held, **data)

    async def use(self, cookie: str, user_id: str, origin: Origin, held: Held | None) -> None:
        """Note a login on a device, and what it earned (None: nothing new)."""
        read = await self._read(cookie, user_id)
        if read is None:
            return
        id, part, data, sealed = read
        try:
            kept = unseal(self._ring, _PURPOSE, f"{id}/{user_id}", part, sealed)
        except SealBroken:
            return
        data |= {"used": self._clock(), "address": origin.address}
        await self._write(user_id, id, part, data, held or kept)

    async def of(self, user_id: str, epoch: int) -> list[Remembered]:
        """The live devices of a person, last used first."""
        return self._live(user_id, epoch, await self._store.items("device", user_id))

    async def stored(self, ids: Sequence[str]) -> ItemsOf:
        """What the store has of at most a page of people; `counted` tells how many are live."""
        return await self._store.items_of("device", ids)

    def counted(self, found: ItemsOf, epochs: Mapping[str, int]) -> dict[str, int]:
        """How many are live, by people, whose epochs these are."""
        return {id: len(self._live(id, epochs.get(id, -1), items)) for id, items in found.items()}

    def _live(
        self, user_id: str, epoch: int, items: Sequence[tuple[str, Record]]
    ) -> list[Remembered]:
        found = []
        for name, record in items:
            data = json.loads(record.value)
            data.pop("sealed")
            if data["epoch"] == epoch and data["expires"] > self._clock():
                found.append(Remembered(id=name, user_id=user_id, **data))
        return sorted(found, key=lambda one: one.used, reverse=True)

    async def forget(self, user_id: str, id: str) -> bool:
        return await self._store.delete(Key("device", user_id, id))

    async def sweep(self, user_id: str, *, changed: str = CHANGED) -> None:
        """Forget what is over, and record each. changed: why those of an earlier epoch ended."""
        items = await self._store.items("device", user_id)
        epoch = await self._accounts.epoch(user_id) if items else 0
        for id, record in items:
            data = json.loads(record.value)
            why = changed if data["epoch"] < epoch else OVER
            if why == OVER and data["expires"] > self._clock():
                continue
            if await self.forget(user_id, id):
                origin = Origin(address=data["address"])
                said = f"{data['name']}: {why}"
                await self._audit.record(Event.DEVICE_FORGOTTEN, user_id, origin, detail=said)

    def id_in(self, cookie: str, user_id: str) -> str:
        """The id of the device a cookie names, "" for none of this person's."""
        parts = self._tickets.read(cookie) if cookie else None
        return parts[1] if parts and len(parts) == 3 and parts[0] == user_id else ""

    async def _read(self, cookie: str, user_id: str) -> tuple[str, str, dict[str, Any], str] | None:
        parts = self._tickets.read(cookie) if cookie and self.allowed else None
        if parts is None or len(parts) != 3 or parts[0] != user_id:
            return None
        record = await self._store.get(Key("device", user_id, parts[1]))
        if record is None:
            return None
        data = json.loads(record.value)
        if data["expires"] <= self._clock():
            return None
        return parts[1], parts[2], data, data.pop("sealed")

    async def _write(
        self, user_id: str, id: str, part: str, data: dict[str, Any], held: Held
    ) -> None:
        kept = Held(session=held.session, issued=held.issued)
        sealed = seal(self._ring, _PURPOSE, f"{id}/{user_id}", part, kept)
        value = json.dumps({**data, "sealed": sealed}, separators=(",", ":")).encode()
        await self._store.put(Key("device", user_id, id), value, expires=data["expires"] + LINGER)
