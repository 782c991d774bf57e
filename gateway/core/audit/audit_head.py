"""The head record: how far the chain of the audit trail has come, under a keyed hash of its own.

    {"n": 7, "last": "…", "mac": "…"}

It may be behind the chain (a gateway died between the two writes), never ahead of it: then the
end was cut off. Knows the store and the keys.
"""

from __future__ import annotations

import hmac
import json
from typing import Final

from gateway.core.audit.entry import START, NotAuthentic
from gateway.core.crypto.keyring import KeyRing
from gateway.core.store import Key, Store, StoreUnavailable

HEAD: Final = Key("audit", "", "head")

_PURPOSE: Final = "audit head"
_TRIES: Final = 200


class Head:
    def __init__(self, store: Store, ring: KeyRing) -> None:
        self._store: Final = store
        self._ring: Final = ring

    async def get(self) -> tuple[int, str] | None:
        """Number and hash of the last entry.

        Raises:
            NotAuthentic: the record is not the gateway's.
        """
        record = await self._store.get(HEAD)
        return None if record is None else self._read(record.value)

    async def known(self) -> tuple[int, str]:
        """The same, and the start of a chain for what is missing or not the gateway's."""
        try:
            return await self.get() or (0, START)
        except NotAuthentic:
            return 0, START

    async def begin(self) -> None:
        """Before the first entry, and never later: a head that is missing was removed."""
        await self._store.put(HEAD, self._signed(0, START), if_version=0)

    async def move(self, number: int, mac: str) -> None:
        """To an entry just written, unless a later one is there.

        Raises:
            StoreUnavailable
        """
        for _ in range(_TRIES):
            record = await self._store.get(HEAD)
            try:
                if record is None or self._read(record.value)[0] >= number:
                    return
            except NotAuthentic:
                return  # left for `verify` to find, as one that is missing
            value = self._signed(number, mac)
            if await self._store.put(HEAD, value, if_version=record.version) is not None:
                return
        raise StoreUnavailable("the head of the audit log cannot be written")

    def _signed(self, number: int, mac: str) -> bytes:
        signed = self._ring.digest(_PURPOSE, str(number), mac)
        return json.dumps({"n": number, "last": mac, "mac": signed}).encode()

    def _read(self, raw: bytes) -> tuple[int, str]:
        try:
            fields = json.loads(raw)
            number, last, mac = int(fields["n"]), str(fields["last"]), str(fields["mac"])
        except (ValueError, KeyError, TypeError):
            raise NotAuthentic("cannot be read") from None
        for wanted in self._ring.digests(_PURPOSE, str(number), last):
            if hmac.compare_digest(wanted.encode(), mac.encode("utf-8", "replace")):
                return number, last
        raise NotAuthentic("does not carry a hash under any of the keys")
