"""Who would be refused for lack of a second factor: what store and index server know together."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Final

from gateway.app.domain import calls_to, limits_of
from gateway.core.accounts.repository import Accounts
from gateway.core.administration import Lacking, lacking
from gateway.core.errors import Refusal
from gateway.core.upstream import Listing
from gateway.settings.files import unmade_store
from gateway.stores import open_store
from gateway.upstreams import UPSTREAMS, FormOptions

if TYPE_CHECKING:
    from gateway.settings import Settings

_LONGEST: Final = 64 * 2**20
"""Bytes of a list of users; devpi's holds the configuration of every index as well."""


@dataclass(frozen=True, slots=True)
class Roll:
    """lacking: people without a second factor.

    refused_from: when they begin to be refused, in epoch seconds; 0: always, None: never.
    complete: whether all users are known; else only those who have come here are.
    why_not: why the index server did not tell them, where its kind could have.
    """

    lacking: tuple[Lacking, ...]
    refused_from: float | None
    complete: bool
    why_not: str = ""

    def everybody_at(self, now: float) -> bool:
        """Whether whoever lacks a second factor is refused by then."""
        return self.refused_from is not None and self.refused_from <= now

    def refused_at(self, now: float) -> tuple[Lacking, ...]:
        """Who is refused: everybody, or those whose factors were reset, who need an invitation
        whatever holds for others."""
        everybody = self.everybody_at(now)
        return tuple(one for one in self.lacking if everybody or one.invited_only)


async def call_roll(settings: Settings, named: tuple[str, ...] | None = None) -> Roll:
    """Ask the store, and the index server where its kind tells its users.

    Args:
        named: further users; for a kind that tells none these are taken for all.

    Raises:
        StoreUnavailable
    """
    names: tuple[str, ...] | None = None
    why_not = ""
    try:
        names = await users_of(settings)
    except Refusal as refusal:
        why_not = refusal.text
    found = await _lacking(settings, (*(names or ()), *(named or ())))
    complete = not why_not and (names, named) != (None, None)
    return Roll(found, limits_of(settings).refused_from, complete, why_not)


async def users_of(settings: Settings) -> tuple[str, ...] | None:
    """The index server's users; None where its kind has no list.

    Raises:
        Refusal: it did not tell them.
    """
    upstream = UPSTREAMS[settings.upstream.kind](FormOptions())
    if not isinstance(upstream, Listing):
        return None
    calls = calls_to(settings, longest=_LONGEST)
    try:
        return upstream.users_answer(await calls.ask(upstream.users_call()))
    finally:
        await calls.close()


async def _lacking(settings: Settings, names: tuple[str, ...]) -> tuple[Lacking, ...]:
    if unmade_store(settings.store) is not None:  # a look must not make it
        return tuple(Lacking(name, seen=False) for name in sorted(set(names)))
    store = await open_store(settings.store, time)
    try:
        return await lacking(Accounts(store), names, now=time())
    finally:
        await store.close()
