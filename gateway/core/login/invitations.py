"""Whose invitation a link is, for as long as it is worth saying what has become of it.

The account has the live one; this tells those apart that were used or replaced.
"""

from __future__ import annotations

from typing import Final

from gateway.core.crypto.keyring import KeyRing
from gateway.core.store import Key, Store

_PURPOSE: Final = "invitation link"
_REMEMBERED: Final = 90 * 86400.0
"""Seconds after its end for which a link is known."""


class Invitations:
    def __init__(self, store: Store, ring: KeyRing) -> None:
        self._store = store
        self._ring = ring

    async def remember(self, token: str, user_id: str, expires: float) -> None:
        """Before the invitation holds, so that no live one is unknown."""
        key = Key("invitation", "", self._ring.digest(_PURPOSE, token))
        await self._store.put(key, user_id.encode(), expires=expires + _REMEMBERED)

    async def whose(self, token: str) -> str:
        """The user id, "" for a token that is unknown."""
        keys = [Key("invitation", "", one) for one in self._ring.digests(_PURPOSE, token)]
        found = [one for one in await self._store.get_many(keys) if one is not None]
        return found[0].value.decode() if found else ""
