"""Which plan a request belongs to that was handed over to the aiohttp application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from gateway.proxy.ports import HandOver


class HandOvers:
    """A `ports.Pages` over an aiohttp server.

    Args:
        server: makes a protocol per connection: an aiohttp `web.Server`, or the `server` of a
            `web.AppRunner`, made with `auto_decompress=False`.
    """

    def __init__(self, server: Callable[[], asyncio.Protocol]) -> None:
        self._server: Final = server
        self._plans: WeakKeyDictionary[object, HandOver] = WeakKeyDictionary()

    def open(self, plan: HandOver) -> asyncio.Protocol:
        handler = self._server()
        self._plans[handler] = plan
        return handler

    def plan(self, protocol: object) -> HandOver:
        """The plan of the request that `web.Request.protocol` belongs to.

        Raises:
            KeyError: that connection did not come through the forwarder.
        """
        return self._plans[protocol]
