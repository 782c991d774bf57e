"""Work nobody waits for: notices on their way to people, old audit entries removed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from gateway.app.domain import queue_of
from gateway.core.audit_chain import Trail
from gateway.core.clock import Clock, Random
from gateway.core.notice_queue import NoticeQueue
from gateway.core.store import Store, StoreUnavailable
from gateway.core.upstream import Call
from gateway.proxy.calls import Calls

if TYPE_CHECKING:
    from gateway.notify.courier import Channel
    from gateway.settings import Settings

_log = logging.getLogger("gateway.chores")

TIDY_EVERY: Final = 3600.0
"""Seconds between looks whether the audit trail is due (it removes at most once a day)."""


class Chores:
    """The notices' queue and the tasks of one worker, started by `start`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        trail: Trail,
        calls: Calls,
        clock: Clock,
        random: Random,
    ) -> None:
        self.queue: Final[NoticeQueue] = queue_of(settings, store, clock, random)
        self._channels: Final = tuple(_channels(settings, calls, clock))
        self._trail: Final = trail
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, in the running loop."""
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._tidy()))
        if self._channels:
            from gateway.notify.courier import Courier

            self._tasks.append(loop.create_task(Courier(self.queue, self._channels).run()))

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY)
            try:
                await self._trail.tidy()
            except StoreUnavailable as error:
                _log.warning("the audit trail could not be tidied: %s", error)


def _channels(settings: Settings, calls: Calls, clock: Clock) -> list[Channel]:
    """The ways of delivery an administrator configured. Their libraries load only then."""
    wanted = settings.notices
    public_url = str(settings.public_url)
    found: list[Channel] = []
    if wanted.smtp is not None:
        from gateway.notify.mail import Mail, MailServer

        smtp = wanted.smtp
        password = smtp.password.read if smtp.password is not None else None
        server = MailServer(smtp.host, smtp.port, smtp.tls, smtp.user, password)
        found.append(Mail(server, smtp.sender, _address_of(settings, calls), public_url))
    if wanted.webhook is not None:
        from gateway.notify.webhook import Webhook

        hook = wanted.webhook
        found.append(Webhook(hook.url, hook.key.read, public_url, clock))
    return found


def _address_of(settings: Settings, calls: Calls) -> Callable[[str], Awaitable[str | None]]:
    from gateway.notify.addresses import from_map, in_devpi_user

    if settings.notices.addresses is not None or settings.upstream.kind != "devpi":
        return from_map(settings.notices.addresses or {})

    async def ask_devpi(user: str) -> str | None:
        fields = (("accept", "application/json"),)
        reply = await calls.ask(Call("GET", f"/{quote(user, safe='')}", fields))
        return in_devpi_user(reply.body) if reply.status == 200 else None

    return ask_devpi
