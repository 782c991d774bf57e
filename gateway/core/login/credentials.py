"""Verified credentials: keyed hashes of what a login that passed the second factor earned.

The store never holds a credential, only that one with this hash was earned, by whom and when, and
that it has ended. What ends is kept as long as the upstream may take it: a second record finds it
by its trace (`Issued.trace`), however it is spelled.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from gateway.core.accounts.repository import Accounts
from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal
from gateway.core.login.models import Verified
from gateway.core.store import Key, Put, Record, Store
from gateway.core.upstream import Credential, Issued
from gateway.core.user_id import user_id as id_of

KEPT: Final = 30 * 86400.0
"""Seconds that more is known of a credential which does not tell its own end."""


class Ended(NamedTuple):
    """What has ended among some credentials.

    by_epoch: only by a change of a factor or the password; those of the session that made the
        change are carried over a moment later (`renew`).
    clears: Set-Cookie values that take what has ended out of a browser.
    """

    by_epoch: bool
    clears: tuple[str, ...]


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
        found: dict[str, dict[str, Any]] = {}
        beside = []
        for one in issued:
            opaque = not one.credential.user
            if not opaque and _owner(one.credential) != user_id:
                continue
            lifetime = self._lifetime if one.lifetime is None else one.lifetime
            expires = self._clock() + lifetime
            kept = expires + KEPT if opaque else expires
            name = self._name(user_id, one.credential)
            data = {"proved": proved_at, "factor": factor, "epoch": epoch, "ended": False}
            clears = found[name]["clears"] if name in found else []
            clears = [*clears, one.clear] if one.clear else clears
            found[name] = {**data, "expires": expires, "kept": kept, "clears": clears}
            if opaque:
                whose = self._ring.digest("opaque", one.credential.secret)
                beside.append(Put(_whose(whose), user_id.encode(), expires=kept))
            if one.trace:
                where = json.dumps([user_id, name]).encode()
                beside.append(Put(_traced(self.traced(one.trace)), where, expires=kept))
        records = [_record(user_id, name, data) for name, data in found.items()]
        return tuple(found), [*records, *beside]

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
        found = [_read(record) for record in records if record is not None]
        epoch = await self._accounts.epoch(owner) if found else 0
        for data in found:
            if self._counts(data, epoch):
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
            if record is None:
                continue
            data = _read(record)
            if data["ended"]:
                continue
            data |= {"proved": proved_at, "factor": factor, "epoch": epoch}
            put = _record(user_id, name, data)
            # Lost against an end.
            await self._store.put(
                put.key, put.value, expires=put.expires, if_version=record.version
            )

    # -- ends -----------------------------------------------------------------------------

    async def end(self, user_id: str, names: Iterable[str]) -> tuple[str, ...]:
        """End credentials; the Set-Cookie values that take their cookies out of a browser."""
        named = sorted(names)
        if not named:
            return ()
        records = await self._store.get_many([Key("credential", user_id, one) for one in named])
        found = [
            (name, _read(record))
            for name, record in zip(named, records, strict=True)
            if record is not None
        ]
        if found:
            steps = [_record(user_id, name, {**data, "ended": True}) for name, data in found]
            await self._store.transact(steps)
        return tuple(clear for _, data in found for clear in data["clears"])

    async def live(self, user_id: str, *, but: Collection[str], epoch: int) -> list[str]:
        """The names of a person's credentials that count, without some."""
        items = await self._store.items("credential", user_id)
        return [
            name for name, record in items if name not in but and self._counts(_read(record), epoch)
        ]

    async def ended(self, traces: Sequence[str]) -> Ended | None:
        """Whether any credential of these traces was earned and has ended since."""
        by_epoch, flagged, clears = False, False, list[str]()
        for user_id, name in await self._at(traces):
            record = await self._store.get(Key("credential", user_id, name))
            if record is None:
                continue
            data = _read(record)
            older = not data["ended"] and data["epoch"] < await self._accounts.epoch(user_id)
            if data["ended"] or older:
                by_epoch, flagged = by_epoch or older, flagged or data["ended"]
                clears += data["clears"]
        return Ended(not flagged, tuple(clears)) if by_epoch or flagged else None

    async def end_traced(self, traces: Sequence[str]) -> tuple[str, ...]:
        """End what these are traces of, as `end`."""
        clears: tuple[str, ...] = ()
        for user_id, name in await self._at(traces):
            clears += await self.end(user_id, (name,))
        return clears

    async def _at(self, traces: Sequence[str]) -> list[tuple[str, str]]:
        """Whose credentials these are traces of, and the names of their records."""
        names = [name for one in traces for name in self._ring.digests("traced", one)]
        records = await self._store.get_many(list(map(_traced, names)))
        return [tuple(json.loads(record.value)) for record in records if record is not None]

    def traced(self, trace: str) -> str:
        """What a trace is kept by."""
        return self._ring.digest("traced", trace)

    def _counts(self, data: dict[str, Any], epoch: int) -> bool:
        lives = data["epoch"] == epoch and not data["ended"]
        return lives and self._clock() < data["expires"]

    def _name(self, user_id: str, credential: Credential) -> str:
        return self._ring.digest("credential", user_id, credential.secret)


def _read(record: Record) -> dict[str, Any]:
    data = json.loads(record.value)
    return {"ended": False, "kept": data["expires"], "clears": [], **data}


def _record(user_id: str, name: str, data: dict[str, Any]) -> Put:
    value = json.dumps(data, separators=(",", ":")).encode()
    return Put(Key("credential", user_id, name), value, data["kept"])


def _whose(name: str) -> Key:
    return Key("opaque", "", name)


def _traced(name: str) -> Key:
    return Key("traced", "", name)


def _owner(credential: Credential) -> str | None:
    try:
        return id_of(credential.user)
    except Refusal:
        return None
