"""Enrolments that are not finished: kept sealed, apart from the account, until they are.

Each is of one pending login or session, and goes on with the one that follows it in the same
browser. Its time begins with the step it waits at and is not prolonged by that.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from gateway.core.accounts.records import Device, device_of
from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.login.models import Pending, Session
from gateway.core.store import Key, Record, Store

_PURPOSE = "enrolling"


class DraftState(StrEnum):
    OFFERED = "offered"  # waits for a code, or for the browser's answer
    CODES = "codes"  # recovery codes are shown and wait to be confirmed


@dataclass(frozen=True, slots=True)
class Draft:
    """One unfinished enrolment.

    kind: "totp", "webauthn", or "recovery" for new codes of a person who has factors.
    state, shown: of the offer (`gateway.core.accounts.factor.Offer`).
    device: what will be added. codes: keyed hashes of the recovery codes that are shown.
    plain: these codes, to show them again until somebody says that they are saved.
    until: when it is over; 0 for a full life from now on.
    """

    kind: str
    name: str
    stage: DraftState
    state: str = field(default="", repr=False)
    shown: str = field(default="", repr=False)
    device: Device | None = None
    codes: tuple[str, ...] = field(default=(), repr=False)
    plain: tuple[str, ...] = field(default=(), repr=False)
    until: float = 0.0


class Drafts:
    def __init__(self, store: Store, ring: KeyRing, clock: Clock, life: float) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._life = life

    async def put(self, user_id: str, ref: str, draft: Draft) -> None:
        """Keep the draft of a pending login or session; it replaces an earlier one."""
        await self._put(user_id, ref, draft, None)

    async def advance(self, user_id: str, ref: str, before: Draft, after: Draft) -> bool:
        """Put one in the place of another; False where that is not the one any more."""
        key = Key("enrolling", user_id, ref)
        record = await self._store.get(key)
        if record is None or self._read(user_id, ref, record) != before:
            return False
        return await self._put(user_id, ref, after, record.version)

    async def _put(self, user_id: str, ref: str, draft: Draft, version: int | None) -> bool:
        dated = replace(draft, until=draft.until or self._clock() + self._life)
        plain = json.dumps(asdict(dated), separators=(",", ":")).encode()
        sealed = self._ring.seal(_PURPOSE, f"{ref}/{user_id}", plain)
        key = Key("enrolling", user_id, ref)
        put = self._store.put(key, sealed, expires=dated.until, if_version=version)
        return await put is not None

    async def get(self, user_id: str, ref: str) -> Draft | None:
        record = await self._store.get(Key("enrolling", user_id, ref))
        return None if record is None else self._read(user_id, ref, record)

    def _read(self, user_id: str, ref: str, record: Record) -> Draft | None:
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
                "plain": tuple(data["plain"]),
                "device": device_of(data["kind"], device) if device else None,
            }
        )

    async def move(self, user_id: str, ref: str, after: str) -> None:
        """Let the draft go on under another login or session, if there is one."""
        draft = await self.get(user_id, ref)
        if draft is not None and await self.burn(user_id, ref):
            await self.put(user_id, after, draft)

    async def burn(self, user_id: str, ref: str) -> bool:
        """Take it away; True for exactly one caller."""
        return await self._store.delete(Key("enrolling", user_id, ref))


def codes_of(who: Pending | Session) -> str:
    """Where new codes of somebody who has factors are kept: beside an offer, not in its place."""
    return f"{who.id}/codes"
