"""Where state is kept: one file per backend, chosen by the scheme of the store's address.

Knows the schemes only; a backend and its library are imported when one is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final, TypeAlias

from gateway.core.clock import Clock
from gateway.core.store import Store
from gateway.stores.address import BadStoreAddress

__all__ = ["OPENERS", "BadStoreAddress", "open_store"]

Opener: TypeAlias = Callable[[str, Clock], Store]


def _sqlite(url: str, clock: Clock) -> Store:
    from gateway.stores.sqlite.store import open_sqlite

    return open_sqlite(url, clock)


def _redis(url: str, clock: Clock) -> Store:
    from gateway.stores.redis.store import open_redis

    return open_redis(url, clock)


OPENERS: Final = MappingProxyType[str, Opener](
    {
        "sqlite": _sqlite,
        "redis": _redis,
        "rediss": _redis,
        "redis+sentinel": _redis,
        "rediss+sentinel": _redis,
        "redis+cluster": _redis,
        "rediss+cluster": _redis,
    }
)


async def open_store(url: str, clock: Clock) -> Store:
    """Make the store of an address. Nothing is connected or created before its first use.

    Args:
        url: `sqlite:PATH`, `redis://…`, `rediss://…`, `redis+sentinel://…`, `redis+cluster://…`.

    Raises:
        BadStoreAddress: the address cannot be read; its text shows no password.
    """
    scheme = url.partition(":")[0].lower()
    opener = OPENERS.get(scheme)
    if opener is None:
        known = ", ".join(f"{name}:" for name in OPENERS)
        raise BadStoreAddress(f"the store's address must start with one of {known}")
    return opener(url, clock)
