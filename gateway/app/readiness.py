"""Whether this worker can do all it is for: what load balancers ask before they send people here.

A look is shared by all who ask within two seconds, so asking costs nothing to speak of. Each part
has one word or sentence without names of machines: anybody may read it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from gateway.app.probe import exchange
from gateway.core.accounts.repository import Accounts
from gateway.core.clock import Clock
from gateway.core.crypto.keyring import SealBroken
from gateway.core.http.facts import Field
from gateway.core.login.services import Services
from gateway.core.store import Key, StoreUnavailable
from gateway.core.upstream import Call
from gateway.keystore import KeysUnusable
from gateway.proxy.http1.body import BadChunk
from gateway.proxy.http1.response import BadAnswer
from gateway.proxy.upstream_pool import UpstreamAddress

OK: Final = "ok"
_FRESH: Final = 2.0
_WITHIN: Final = 5.0
_ACCOUNTS: Final = 5
_ROOM: Final = 32 * 1024 * 1024


class Readiness:
    """Args:
    index: where the index server is; fields: what the gateway adds to requests there.
    file: the store's file, None where it has none here.
    """

    def __init__(
        self,
        services: Services,
        index: UpstreamAddress,
        fields: tuple[Field, ...],
        file: Path | None,
        clock: Clock,
    ) -> None:
        self._services: Final = services
        self._index: Final = index
        self._fields: Final = fields
        self._file: Final = file
        self._clock: Final = clock
        self._look: asyncio.Task[dict[str, str]] | None = None
        self._until = 0.0

    async def look(self) -> dict[str, str]:
        """What was found of each part; `OK` where nothing is wrong."""
        now = asyncio.get_running_loop().time()
        if self._look is None or now >= self._until:
            self._until = now + _WITHIN + _FRESH
            self._look = asyncio.create_task(self._all())
        return await asyncio.shield(self._look)

    async def _all(self) -> dict[str, str]:
        parts: dict[str, Callable[[], Awaitable[str]]] = {
            "store": self._store,
            "index": self._reached,
            "keys": self._keys,
            "disk": self._disk,
        }
        found = await asyncio.gather(*(_in_time(look) for look in parts.values()))
        self._until = asyncio.get_running_loop().time() + _FRESH
        return dict(zip(parts, found, strict=True))

    async def _store(self) -> str:
        store = self._services.store
        key = Key("check", "", secrets.token_hex(8))
        try:
            await store.claim(key, expires=self._clock() + 60)
            await store.delete(key)
        except StoreUnavailable:
            return "cannot be written"
        return OK

    async def _reached(self) -> str:
        try:
            head, _ = await exchange(self._index, Call("GET", "/", self._fields))
        except (OSError, BadAnswer, BadChunk):
            return "does not answer"
        return OK if head.status < 500 else f"answers {head.status}"

    async def _keys(self) -> str:
        services = self._services
        try:
            services.ring.digest("ready", "")
            await Accounts(services.store).opened(services.factors.values(), _ACCOUNTS)
        except KeysUnusable:
            return "cannot be read"
        except SealBroken:
            return "do not open the store"
        except StoreUnavailable:
            return OK  # the store's line says so
        return OK

    async def _disk(self) -> str:
        if self._file is None:
            return OK
        try:
            found = os.statvfs(self._file.parent)
        except OSError:
            return "is not there"
        return OK if found.f_bavail * found.f_frsize >= _ROOM else "nearly full"


async def _in_time(look: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(_WITHIN):
            return await look()
    except TimeoutError:
        return "no answer in time"
