"""Command-line logins that wait for a word in the browser.

A login without a code, by a person who has a live browser session, leaves a record here. Once
approved, the next try by the same client passes, once.

A client is a person's right password from one address by one program: devpi-client has nothing
else that stays the same from one try to the next. So another machine behind the same address
that knows the password as well, and is quicker, takes the approval up (docs/security.md).
"""

from __future__ import annotations

import hmac
import json
from typing import Any, Final

from gateway.core.clock import Clock, Random
from gateway.core.keys import KeyRing
from gateway.core.logins import Caller, Waiting
from gateway.core.random_text import token
from gateway.core.store import Key, Record, Store, StoreUnavailable

_ATTEMPTS: Final = 8
"""How often a step starts again where another try by the same client came in between."""


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
        """Let a login wait from now on; its id. One client waits once, however often it tries."""
        key = self._key(user_id, caller)
        for _ in range(_ATTEMPTS):
            record = await self._store.get(key)
            data = json.loads(record.value) if record else {}
            if data.get("epoch") != epoch:
                data = {
                    "id": token(self._random),
                    "address": caller.origin.address,
                    "user_agent": caller.origin.user_agent,
                    "approved": False,
                    "epoch": epoch,
                }
            elif data["approved"] or data["expires"] > self._clock() + self._life - 1:
                return str(data["id"])  # approved meanwhile, or tried this very second
            if await self._write(key, data, record):
                return str(data["id"])
        raise StoreUnavailable("another try always came in between")

    async def find(self, user_id: str, id: str) -> Waiting | None:
        found = await self._find(user_id, id)
        if found is None:
            return None
        data = json.loads(found[1].value)
        data.pop("epoch")
        return Waiting(user_id=user_id, **data)

    async def grant(self, user_id: str, id: str) -> bool:
        """Approve; False where nothing of that id waits. A second time changes nothing."""
        for _ in range(_ATTEMPTS):
            found = await self._find(user_id, id)
            if found is None:
                return False
            key, record = found
            data = json.loads(record.value)
            if data["approved"] or await self._write(key, data | {"approved": True}, record):
                return True
        raise StoreUnavailable("another try always came in between")

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

    async def _write(self, key: Key, data: dict[str, Any], over: Record | None) -> bool:
        """Write with a whole life ahead, if what it was made from is still there."""
        expires = self._clock() + self._life
        value = json.dumps(data | {"expires": expires}, separators=(",", ":")).encode()
        version = over.version if over else 0
        return await self._store.put(key, value, expires=expires, if_version=version) is not None

    def _key(self, user_id: str, caller: Caller) -> Key:
        place = str(caller.address or "")
        client = self._ring.digest("approval", user_id, place, caller.origin.user_agent)
        return Key("approval", user_id, client)
