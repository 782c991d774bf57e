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
from gateway.core.store import Key, Store
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

    async def earn(
        self,
        user_id: str,
        issued: Iterable[Issued],
        *,
        proved_at: float,
        factor: str,
        epoch: int,
        age: float = 0.0,
    ) -> tuple[str, ...]:
        """Make credentials verified; the names of their records.

        One that names another person is passed over: an answer to a login of one person
        cannot verify what is another's. One that names nobody (an opaque session cookie) is
        theirs; a record of its own says so.

        Args:
            age: seconds since the upstream issued them.
        """
        names = []
        for one in issued:
            opaque = not one.credential.user
            if not opaque and _owner(one.credential) != user_id:
                continue
            lifetime = self._lifetime if one.lifetime is None else one.lifetime
            expires = self._clock() + lifetime - age
            name = self._name(user_id, one.credential)
            await self._write(user_id, name, proved_at, factor, epoch, expires)
            if opaque:
                whose = self._ring.digest("opaque", one.credential.secret)
                await self._store.put(_whose(whose), user_id.encode(), expires=expires)
            names.append(name)
        return tuple(names)

    async def find(self, credential: Credential) -> Verified | None:
        """Who earned this credential, and how, if it is verified and nothing ended it since."""
        owner = _owner(credential) if credential.user else await self._whose(credential)
        if owner is None:
            return None
        for name in self._ring.digests("credential", owner, credential.secret):
            record = await self._store.get(Key("credential", owner, name))
            if record is None:
                continue
            data = json.loads(record.value)
            if data["epoch"] == await self._accounts.epoch(owner):
                return Verified(owner, data["proved"], data["factor"])
        return None

    async def _whose(self, opaque: Credential) -> str | None:
        """Whose login earned a credential that names nobody."""
        for name in self._ring.digests("opaque", opaque.secret):
            record = await self._store.get(_whose(name))
            if record is not None:
                return record.value.decode()
        return None

    def names(self, user_id: str, issued: Iterable[Issued]) -> tuple[str, ...]:
        """The names of the records that `earn` made of these."""
        return tuple(self._name(user_id, one.credential) for one in issued)

    async def renew(
        self, user_id: str, names: Iterable[str], *, proved_at: float, factor: str, epoch: int
    ) -> None:
        """Carry credentials of a live session over to a newer proof or epoch."""
        for name in names:
            record = await self._store.get(Key("credential", user_id, name))
            if record is not None:
                expires = json.loads(record.value)["expires"]
                await self._write(user_id, name, proved_at, factor, epoch, expires)

    async def drop(self, user_id: str, names: Iterable[str]) -> None:
        for name in names:
            await self._store.delete(Key("credential", user_id, name))

    def _name(self, user_id: str, credential: Credential) -> str:
        return self._ring.digest("credential", user_id, credential.secret)

    async def _write(
        self, user_id: str, name: str, proved: float, factor: str, epoch: int, expires: float
    ) -> None:
        data = {"proved": proved, "factor": factor, "epoch": epoch, "expires": expires}
        value = json.dumps(data, separators=(",", ":")).encode()
        await self._store.put(Key("credential", user_id, name), value, expires=expires)


def _whose(name: str) -> Key:
    return Key("opaque", "", name)


def _owner(credential: Credential) -> str | None:
    try:
        return id_of(credential.user)
    except Refusal:
        return None
