"""Peers that say whose requests they bring, and are not believed: a proxy that nobody named?

Behind one all people are one network, and a few wrong passwords hold all of them back. What a
running gateway sees of it is kept for `check`.
"""

from __future__ import annotations

from typing import Final

from gateway.core.clock import Clock
from gateway.core.http.facts import IPAddress
from gateway.core.store import Key, Store

_KEPT: Final = 7 * 86400.0
_MOST: Final = 20


async def note(store: Store, clock: Clock, peer: IPAddress) -> None:
    """Keep it for a week. Any client can send the field, so only a few are kept.

    Raises:
        StoreUnavailable
    """
    if len(await store.items("stranger", "")) < _MOST:
        await store.put(Key("stranger", "", str(peer)), b"", expires=clock() + _KEPT)


async def noted(store: Store) -> list[str]:
    """Their addresses. Raises StoreUnavailable."""
    return [name for name, _ in await store.items("stranger", "")]
