"""Stands in until the trail is there."""

from __future__ import annotations

from gateway.core.audit import Event, Origin
from gateway.core.notices import Notice


class Silent:
    async def record(
        self, event: Event, user: str, origin: Origin, *, factor: str = "", detail: str = ""
    ) -> None:
        return None

    async def notify(self, notice: Notice, user: str, origin: Origin, *, detail: str = "") -> None:
        return None
