"""Command-line logins that wait for a word in the browser.

A login without a code, by a person who has a live browser session, leaves a record here. Once
approved, the next try by the same client (person, network and user agent) passes, once.
"""

from __future__ import annotations

import hmac
import json

from gateway.core.clock import Clock, Random
from gateway.core.keys import KeyRing
from gateway.core.logins import Caller, Waiting
from gateway.core.random_text import token
from gateway.core.store import Key, Record, Store
from gateway.core.tries import network


class Approvals:
    """Args: life: seconds an approval is waited for, and then good for."""

    def __init__(
        self, store: Store, ring: KeyRing, clock: Clock, random: Random, life: float
    ) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._random = random
        self._life = life

    async def ask(self, user_id: str, caller: Caller, epoch: int) -> str:
        """Let a login wait; its id. One client waits once, however often it tries."""
        key = self._key(user_id, caller)
        record = await self._store.get(key)
        if record is not None and json.loads(record.value)["epoch"] == epoch:
            return str(json.loads(record.value)["id"])
        id = token(self._random)
        expires = self._clock() + self._life
        data = {
            "id": id,
            "address": caller.origin.address,
            "user_agent": caller.origin.user_agent,
            "expires": expires,
            "approved": False,
            "epoch": epoch,
        }
        await self._store.put(key, _dump(data), expires=expires)
        return id

    async def find(self, user_id: str, id: str) -> Waiting | None:
        found = await self._find(user_id, id)
        if found is None:
            return None
        data = json.loads(found[1].value)
        data.pop("epoch")
        return Waiting(user_id=user_id, **data)

    async def grant(self, user_id: str, id: str) -> bool:
        """Approve; False where nothing of that id waits."""
        found = await self._find(user_id, id)
        if found is None:
            return False
        key, record = found
        data = json.loads(record.value)
        expires = self._clock() + self._life
        data |= {"approved": True, "expires": expires}
        written = await self._store.put(
            key, _dump(data), expires=expires, if_version=record.version
        )
        return written is not None

    async def take(self, user_id: str, caller: Caller, epoch: int) -> bool:
        """Whether this client was approved; uses the approval up."""
        key = self._key(user_id, caller)
        record = await self._store.get(key)
        if record is None:
            return False
        data = json.loads(record.value)
        if not data["approved"] or data["epoch"] != epoch:
            return False
        return await self._store.delete(key, if_version=record.version)

    async def _find(self, user_id: str, id: str) -> tuple[Key, Record] | None:
        for name, record in await self._store.items("approval", user_id):
            if hmac.compare_digest(json.loads(record.value)["id"].encode(), id.encode()):
                return Key("approval", user_id, name), record
        return None

    def _key(self, user_id: str, caller: Caller) -> Key:
        place = network(caller.address)
        client = self._ring.digest("approval", user_id, place, caller.origin.user_agent)
        return Key("approval", user_id, client)


def _dump(data: dict[str, object]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
