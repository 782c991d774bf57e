"""Which plan a request belongs to that was handed over to the aiohttp application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.proxy.ports import HandOver


class HandOvers:
    """A `ports.Pages` over an aiohttp server.

    Args:
        server: makes a protocol per connection: an aiohttp `web.Server`, or the `server` of a
            `web.AppRunner`, made with `auto_decompress=False` and `lingering_time=0` (what a
            client still sends after its answer is the forwarder's to drop).
    """

    def __init__(self, server: Callable[[], asyncio.Protocol]) -> None:
        self._server: Final = server
        # aiohttp's handlers take no weak reference, so the forwarder says when one has ended.
        self._plans: Final[dict[object, HandOver]] = {}

    def open(self, plan: HandOver) -> asyncio.Protocol:
        handler = self._server()
        self._plans[handler] = plan
        return handler

    def done(self, protocol: asyncio.Protocol) -> None:
        self._plans.pop(protocol, None)

    def plan(self, protocol: object) -> HandOver:
        """The plan of the request that `web.Request.protocol` belongs to.

        Raises:
            KeyError: that connection did not come through the forwarder.
        """
        return self._plans[protocol]
