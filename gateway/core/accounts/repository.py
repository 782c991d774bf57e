"""Reading and changing accounts: every change is a conditional write over the version read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

from gateway.core.accounts.factor import Sealing
from gateway.core.accounts.records import Account, dump, load
from gateway.core.store import (
    PAGE,
    Key,
    Put,
    Record,
    Store,
    StoreStep,
    StoreUnavailable,
)

_ROUNDS: Final = 100

T = TypeVar("T")


class StoredAccount(NamedTuple):
    """An account with the version that a change of it names; 0 where it is none yet."""

    account: Account
    version: int


class Accounts:
    """Reads and changes accounts in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, user_id: str) -> Account | None:
        stored = await self.stored(user_id)
        return stored.account if stored else None

    async def stored(self, user_id: str) -> StoredAccount | None:
        record = await self._store.get(_key(user_id))
        return StoredAccount(load(record.value), record.version) if record else None

    async def many(self, ids: Sequence[str]) -> list[Account | None]:
        """The accounts of at most `PAGE` ids, in their order."""
        return [load(one.value) if one else None for one in await self.records(ids)]

    async def records(self, ids: Sequence[str]) -> list[Record | None]:
        """The same as they are stored; `change` takes one that was just read."""
        return await self._store.get_many([_key(id) for id in ids])

    async def epoch(self, user_id: str) -> int:
        """The person's epoch, 0 where there is no account yet."""
        account = await self.get(user_id)
        return account.epoch if account else 0

    async def change(
        self,
        user_id: str,
        user: str,
        work: Callable[[Account], tuple[Account, T]],
        *,
        now: float,
        seen: Record | None = None,
    ) -> T:
        """Read, work, write if unchanged; again when another was faster.

        Whoever was removed is back with any later change.

        Args:
            work: called with the account as it stands (a new one where there is none),
                possibly several times; it must be free of side effects. What it raises
                ends the change.
            seen: the record, where it was just read.

        Returns:
            What `work` gave beside the account.

        Raises:
            StoreUnavailable: also after 100 lost races.
        """
        for _ in range(_ROUNDS):
            record, seen = seen or await self._store.get(_key(user_id)), None
            account = load(record.value) if record else Account(user_id, user, created=now)
            changed, result = work(account)
            if record and changed == account:
                return result
            stored = StoredAccount(account, record.version if record else 0)
            steps = self.writing(stored, changed)
            if len(await self._store.transact(steps)) == len(steps):
                return result
        raise StoreUnavailable("an account is changed by too many at once")

    def writing(self, stored: StoredAccount, changed: Account) -> list[StoreStep]:
        """The steps that write a changed account over the one it was made from: for one
        transaction, and the last of them holds only where that is still there."""
        account, version = stored
        if account.removed and changed.removed == account.removed:
            changed = replace(changed, removed=0.0)
        steps: list[StoreStep] = []
        # First, so that a crash in between hides nobody from the list.
        if (not version or account.removed) and not changed.removed:
            steps.append(Put(_listed(account.id), b""))
        steps.append(Put(_key(account.id), dump(changed), if_version=version))
        return steps

    async def by_handle(self, handle: str) -> str | None:
        """The user id behind a WebAuthn user handle."""
        record = await self._store.get(Key("handle", "", handle))
        return record.value.decode() if record else None

    async def name_handle(self, handle: str, user_id: str) -> None:
        """Make a handle lead to a person. Written before the account, so none is lost."""
        await self._store.put(Key("handle", "", handle), user_id.encode())

    async def pages(self, limit: int = PAGE) -> AsyncIterator[list[str]]:
        """The ids of everybody with an account (and of those cut off while getting or losing
        one), in order, so many at a time."""
        page = await self._store.names("person", "", limit=limit)
        while page:
            yield page
            page = await self._store.names("person", "", after=page[-1], limit=limit)

    async def ids(self, *, after: str = "", limit: int = PAGE) -> list[str]:
        """One of these pages: the ids above `after`."""
        return await self._store.names("person", "", after=after or None, limit=limit)

    async def opened(self, factors: Iterable[object], most: int) -> int:
        """How many sealed secrets the keys open, of the first people, at most so many.

        Args:
            factors: kinds of factor; those that seal nothing are passed over.

        Raises:
            SealBroken: none of the keys opens one. StoreUnavailable
        """
        sealing = [factor for factor in factors if isinstance(factor, Sealing)]
        first: list[str] = await anext(self.pages(most), [])
        return sum(
            factor.opened(account)
            for account in filter(None, await self.many(first))
            for factor in sealing
        )

    async def unlist(self, user_id: str, handle: str) -> None:
        """Leave a removed person out of the list, and their handle out of the index."""
        await self._store.delete(_listed(user_id))
        if handle:
            await self._store.delete(Key("handle", "", handle))


def _listed(user_id: str) -> Key:
    return Key("person", "", user_id)


def _key(user_id: str) -> Key:
    return Key("user", user_id, "")
