"""The passwords of people in whose name publishers upload, sealed under the key ring.

Nothing but the keys is needed to open one, since no person is there when a job runs: what that
gives up stands in docs/security.md. Knows the store and the keys.
"""

from __future__ import annotations

import base64
import json
from typing import Final

from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.store import Key, Store
from gateway.core.upstream import Credential
from gateway.core.user_id import user_id as id_of

_PURPOSE: Final = "publisher account"


class PublisherAccounts:
    def __init__(self, store: Store, ring: KeyRing) -> None:
        self._store: Final = store
        self._ring: Final = ring

    async def keep(self, credential: Credential) -> None:
        """Keep a password that the index has taken. Raises StoreUnavailable."""
        owner = id_of(credential.user)
        await self._store.put(_key(owner), self._sealed(owner, credential))

    async def of(self, user: str) -> Credential | None:
        """What is kept of somebody; None for nothing, or where a key that sealed it is gone."""
        owner = id_of(user)
        record = await self._store.get(_key(owner))
        if record is None:
            return None
        data = json.loads(record.value)
        sealed = base64.b64decode(data["sealed"])
        try:
            secret = self._ring.open(_PURPOSE, owner, sealed).decode()
            found = Credential(data["user"], secret)
            if self._ring.sealed_under(sealed) != self._ring.active:
                fresh = self._sealed(owner, found)
                await self._store.put(_key(owner), fresh, if_version=record.version)
        except SealBroken:
            return None
        return found

    async def forget(self, user: str) -> bool:
        """True if there was something."""
        return await self._store.delete(_key(id_of(user)))

    def _sealed(self, owner: str, credential: Credential) -> bytes:
        sealed = self._ring.seal(_PURPOSE, owner, credential.secret.encode())
        data = {"user": credential.user, "sealed": base64.b64encode(sealed).decode()}
        return json.dumps(data, separators=(",", ":")).encode()


def _key(owner: str) -> Key:
    return Key("publisher-account", owner, "")
