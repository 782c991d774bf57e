"""Who would be refused for lack of a second factor: what store and index server know together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Final

from gateway.app.domain import limits_of
from gateway.app.upstream import calls_to
from gateway.core.account_store import Accounts
from gateway.core.errors import Refusal
from gateway.core.lacking import Lacking, lacking
from gateway.core.upstream import Listing
from gateway.stores import open_store
from gateway.upstreams import UPSTREAMS, FormOptions

if TYPE_CHECKING:
    from gateway.settings import Settings

_LONGEST: Final = 64 * 2**20
"""Bytes of a list of users; devpi's holds the configuration of every index as well."""


@dataclass(frozen=True, slots=True)
class Roll:
    """lacking: people without a second factor.

    refused_from: from when on they are refused, in seconds since the epoch; 0 since ever, None
        never.
    complete: whether the index server told its users; else only those who have come here are
        known. why_not: the reason, where it could have told; "" where its kind cannot.
    """

    lacking: tuple[Lacking, ...]
    refused_from: float | None
    complete: bool
    why_not: str = ""

    def refused_at(self, now: float) -> bool:
        return self.refused_from is not None and self.refused_from <= now


async def call_roll(settings: Settings) -> Roll:
    """Ask the store, and the index server where its kind tells its users.

    Raises:
        StoreUnavailable
    """
    names: tuple[str, ...] | None = None
    why_not = ""
    try:
        names = await _users(settings)
    except Refusal as refusal:
        why_not = refusal.text
    found = await _lacking(settings, names or ())
    return Roll(found, limits_of(settings).refused_from, names is not None, why_not)


async def _users(settings: Settings) -> tuple[str, ...] | None:
    """The index server's users; None where its kind has no list."""
    upstream = UPSTREAMS[settings.upstream.kind](FormOptions())
    if not isinstance(upstream, Listing):
        return None
    calls = calls_to(settings, longest=_LONGEST)
    try:
        return upstream.users_answer(await calls.ask(upstream.users_call()))
    finally:
        await calls.close()


def _untouched(settings: Settings) -> bool:
    """Whether the store is a file that the first start will make; a look must not."""
    address = str(settings.store)
    path = address.removeprefix("sqlite:")
    return path != address and not Path(path).exists()


async def _lacking(settings: Settings, names: tuple[str, ...]) -> tuple[Lacking, ...]:
    if _untouched(settings):
        return tuple(Lacking(name, seen=False) for name in sorted(names))
    store = await open_store(str(settings.store), time)
    try:
        return await lacking(Accounts(store), names, now=time())
    finally:
        await store.close()
