"""Reading and changing tokens: every change is a conditional write over the version read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from gateway.core.store import Key, Record, Store, StoreUnavailable
from gateway.core.tokens.records import (
    LastUse,
    Token,
    dump,
    dump_use,
    key_of,
    load,
    load_use,
    use_key,
)

LINGER: Final = 30 * 86400.0
"""Seconds a record stays after its token has ended, so that who tries it is told why."""
SHORT_LINGER: Final = 86400.0
"""The same for what was minted: there is one for each job."""

_ROUNDS: Final = 100


class TokenRecords:
    def __init__(self, store: Store) -> None:
        self._store: Final = store

    async def get(self, owner: str, id: str) -> Token | None:
        record = await self._store.get(key_of(owner, id))
        return load(owner, id, record.value) if record else None

    async def with_use(self, owner: str, id: str) -> tuple[Token | None, LastUse]:
        """A token and its last use, by one read."""
        keys = [key_of(owner, id), use_key(owner, id)]
        record, used = await self._store.get_many(keys)
        token = load(owner, id, record.value) if record else None
        return token, load_use(used.value) if used else LastUse()

    async def of(self, owner: str) -> list[Token]:
        """A person's tokens, the newest first; those that have ended lately among them."""
        return _sorted(owner, await self._store.items("token", owner))

    async def pages(self) -> AsyncIterator[list[tuple[Token, LastUse]]]:
        """Everybody's, by their owners, each with its last use."""
        after: str | None = None
        while owners := await self._store.names("token-owner", "", after=after):
            after = owners[-1]
            tokens = await self._store.items_of("token", owners)
            uses = await self._store.items_of("token-use", owners)
            page = []
            for owner in owners:
                used = {id: load_use(record.value) for id, record in uses.get(owner, ())}
                found = _sorted(owner, tokens.get(owner, ()))
                page += [(one, used.get(one.id, LastUse())) for one in found]
            yield page

    async def add(self, token: Token) -> None:
        expires = _until(token)
        if not await self._store.put(
            key_of(token.owner, token.id), dump(token), expires=expires, if_version=0
        ):
            raise StoreUnavailable("a new token's id is taken")
        await self._store.put(Key("token-owner", "", token.owner), b"")

    async def change(
        self, owner: str, id: str, work: Callable[[Token], Token]
    ) -> tuple[Token, Token] | None:
        """Read, work, write if unchanged; again when another was faster.

        Returns:
            The token before and after; None where there is none.
        """
        for _ in range(_ROUNDS):
            record = await self._store.get(key_of(owner, id))
            if record is None:
                return None
            before = load(owner, id, record.value)
            after = work(before)
            if after == before:
                return before, after
            written = await self._store.put(
                key_of(owner, id),
                dump(after),
                expires=_until(after),
                if_version=record.version,
            )
            if written is not None:
                return before, after
        raise StoreUnavailable("a token is changed by too many at once")

    async def last_use(self, owner: str, id: str) -> LastUse:
        record = await self._store.get(use_key(owner, id))
        return load_use(record.value) if record else LastUse()

    async def last_uses(self, owner: str) -> dict[str, LastUse]:
        items = await self._store.items("token-use", owner)
        return {id: load_use(record.value) for id, record in items}

    async def used(self, token: Token, use: LastUse) -> None:
        key = use_key(token.owner, token.id)
        await self._store.put(key, dump_use(use), expires=_until(token))


def _sorted(owner: str, items: Iterable[tuple[str, Record]]) -> list[Token]:
    found = [load(owner, id, record.value) for id, record in items]
    return sorted(found, key=lambda one: (-one.created, one.id))


def _until(token: Token) -> float:
    return token.expires + (SHORT_LINGER if token.minted else LINGER)
