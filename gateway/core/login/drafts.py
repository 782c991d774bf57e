"""Enrolments that are not finished: kept sealed, apart from the account, until they are."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from gateway.core.accounts.records import Device, device_of
from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.store import Key, Store

_PURPOSE = "enrolling"


class DraftState(StrEnum):
    OFFERED = "offered"  # waits for a code, or for the browser's answer
    CODES = "codes"  # recovery codes are shown and wait to be confirmed


@dataclass(frozen=True, slots=True)
class Draft:
    """One unfinished enrolment.

    kind: "totp" or "webauthn".
    state, shown: of the offer (`gateway.core.accounts.factor.Offer`).
    device: what will be added. codes: keyed hashes of the recovery codes that were shown.
    """

    kind: str
    name: str
    stage: DraftState
    state: str = field(default="", repr=False)
    shown: str = field(default="", repr=False)
    device: Device | None = None
    codes: tuple[str, ...] = field(default=(), repr=False)


class Drafts:
    def __init__(self, store: Store, ring: KeyRing, clock: Clock, life: float) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._life = life

    async def put(self, user_id: str, ref: str, draft: Draft) -> None:
        """Keep the draft of a pending login or session; it replaces an earlier one."""
        plain = json.dumps(asdict(draft), separators=(",", ":")).encode()
        sealed = self._ring.seal(_PURPOSE, f"{ref}/{user_id}", plain)
        expires = self._clock() + self._life
        await self._store.put(Key("enrolling", user_id, ref), sealed, expires=expires)

    async def get(self, user_id: str, ref: str) -> Draft | None:
        record = await self._store.get(Key("enrolling", user_id, ref))
        if record is None:
            return None
        try:
            data = json.loads(self._ring.open(_PURPOSE, f"{ref}/{user_id}", record.value))
        except SealBroken:
            return None
        device = data.pop("device")
        return Draft(
            **{
                **data,
                "stage": DraftState(data["stage"]),
                "codes": tuple(data["codes"]),
                "device": device_of(data["kind"], device) if device else None,
            }
        )

    async def burn(self, user_id: str, ref: str) -> bool:
        """Take it away; True for exactly one caller."""
        return await self._store.delete(Key("enrolling", user_id, ref))
