"""Verified credentials: keyed hashes of what a login that passed the second factor earned.

The store never holds a credential, only that one with this hash was earned, by whom and when.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from gateway.core.accounts.repository import Accounts
from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal
from gateway.core.login.models import Verified
from gateway.core.store import Key, Put, Store
from gateway.core.upstream import Credential, Issued
from gateway.core.user_id import user_id as id_of


class Credentials:
    """Args: lifetime: seconds a credential counts whose own lifetime is not known."""

    def __init__(
        self, store: Store, ring: KeyRing, accounts: Accounts, clock: Clock, lifetime: float
    ) -> None:
        self._store = store
        self._ring = ring
        self._accounts = accounts
        self._clock = clock
        self._lifetime = lifetime

    def earning(
        self, user_id: str, issued: Iterable[Issued], *, proved_at: float, factor: str, epoch: int
    ) -> tuple[tuple[str, ...], list[Put]]:
        """What makes credentials verified: the names of their records, and these.

        One that names another person is passed over: an answer to a login of one person
        cannot verify what is another's. One that names nobody (an opaque session cookie) is
        theirs; a record of its own says so.
        """
        names, records = [], []
        for one in issued:
            opaque = not one.credential.user
            if not opaque and _owner(one.credential) != user_id:
                continue
            lifetime = self._lifetime if one.lifetime is None else one.lifetime
            expires = self._clock() + lifetime
            name = self._name(user_id, one.credential)
            records.append(_record(user_id, name, proved_at, factor, epoch, expires))
            if opaque:
                whose = self._ring.digest("opaque", one.credential.secret)
                records.append(Put(_whose(whose), user_id.encode(), expires=expires))
            names.append(name)
        return tuple(names), records

    async def earn(
        self, user_id: str, issued: Iterable[Issued], *, proved_at: float, factor: str, epoch: int
    ) -> None:
        """Make credentials verified at once."""
        _, records = self.earning(user_id, issued, proved_at=proved_at, factor=factor, epoch=epoch)
        if records:
            await self._store.transact(records)

    async def find(self, credential: Credential) -> Verified | None:
        """Who earned this credential, and how, if it is verified and nothing ended it since."""
        owner = _owner(credential) if credential.user else await self._whose(credential)
        if owner is None:
            return None
        names = self._ring.digests("credential", owner, credential.secret)
        records = await self._store.get_many([Key("credential", owner, name) for name in names])
        found = [json.loads(record.value) for record in records if record is not None]
        epoch = await self._accounts.epoch(owner) if found else 0
        for data in found:
            if data["epoch"] == epoch:
                return Verified(owner, data["proved"], data["factor"])
        return None

    async def _whose(self, opaque: Credential) -> str | None:
        """Whose login earned a credential that names nobody."""
        names = self._ring.digests("opaque", opaque.secret)
        for record in await self._store.get_many([_whose(name) for name in names]):
            if record is not None:
                return record.value.decode()
        return None

    def names(self, user_id: str, issued: Iterable[Issued]) -> tuple[str, ...]:
        """The names of the records that `earning` makes of these."""
        return tuple(self._name(user_id, one.credential) for one in issued)

    async def renew(
        self, user_id: str, names: Iterable[str], *, proved_at: float, factor: str, epoch: int
    ) -> None:
        """Carry credentials of a live session over to a newer proof or epoch."""
        for name in names:
            record = await self._store.get(Key("credential", user_id, name))
            if record is not None:
                expires = json.loads(record.value)["expires"]
                put = _record(user_id, name, proved_at, factor, epoch, expires)
                await self._store.transact([put])

    async def drop(self, user_id: str, names: Iterable[str]) -> None:
        for name in names:
            await self._store.delete(Key("credential", user_id, name))

    def _name(self, user_id: str, credential: Credential) -> str:
        return self._ring.digest("credential", user_id, credential.secret)


def _record(user_id: str, name: str, proved: float, factor: str, epoch: int, expires: float) -> Put:
    data = {"proved": proved, "factor": factor, "epoch": epoch, "expires": expires}
    value = json.dumps(data, separators=(",", ":")).encode()
    return Put(Key("credential", user_id, name), value, expires)


def _whose(name: str) -> Key:
    return Key("opaque", "", name)


def _owner(credential: Credential) -> str | None:
    try:
        return id_of(credential.user)
    except Refusal:
        return None
