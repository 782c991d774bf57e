"""Work nobody waits for: notices on their way to people, old audit entries removed, the ends of
sessions recorded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Final

from gateway import languages
from gateway.app.domain import queue_of
from gateway.core.accounts.repository import Accounts
from gateway.core.audit.events import Origin
from gateway.core.audit.trail import Trail
from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing
from gateway.core.freezes import LOOK_EVERY
from gateway.core.http.facts import IPAddress
from gateway.core.login.flow import SWEEP_EVERY
from gateway.core.notices.events import Notice
from gateway.core.notices.queue import NoticeQueue
from gateway.core.notices.text import CountryOf
from gateway.core.phrases import Catalogue
from gateway.core.store import Store, StoreUnavailable
from gateway.core.tasks import cancelled
from gateway.core.tokens.raw_uploads import RawUploadLedger
from gateway.core.unnamed_proxies import note
from gateway.core.upstream import Addressing, Upstream
from gateway.gate.mail_address import AddressOf, Mailboxes
from gateway.outage import refusal_for
from gateway.upstreams.client import Calls

if TYPE_CHECKING:
    from gateway.notify.courier import Channel
    from gateway.settings import Settings

_log = logging.getLogger("gateway.chores")

TIDY_EVERY: Final = 3600.0
"""Seconds between looks whether the audit trail is due (it removes at most once a day)."""


_RELOAD: Final = Origin(user_agent="index-gateway reload")


class Chores:
    """The notices' queue and the tasks of one worker, started by `start`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        trail: Trail,
        calls: Calls,
        upstream: Upstream,
        clock: Clock,
        random: Random,
        ring: KeyRing,
        country: CountryOf | None = None,
    ) -> None:
        self.queue: Final[NoticeQueue] = queue_of(settings, store, clock, random, ring)
        ask_index = _asks_index(settings, calls, upstream)
        self.mailboxes: Final = Mailboxes(ask_index, self.queue)
        self._channels: Final = tuple(
            _channels(settings, ask_index, clock, Accounts(store), country)
        )
        self._store: Final = store
        self._trail: Final = trail
        self._clock: Final = clock
        self._admins: Final = tuple(settings.admins)
        self._tasks: list[asyncio.Task[None]] = []

    def start(
        self,
        sweep: Callable[[], Awaitable[None]],
        frozen: Callable[[], Awaitable[None]],
        tried: Iterable[str] = (),
    ) -> None:
        """Begin, in the running loop. sweep: `Flow.sweep`. frozen: `Freezes.look`. tried: the
        rules that are not enforced yet, by name."""
        loop = asyncio.get_running_loop()
        tidy = _every(TIDY_EVERY, self._trail.tidy)
        counts = self._counts(tuple(tried))
        looks = _every(LOOK_EVERY, frozen, at_once=True)
        work = (self._look(), looks, tidy, _every(SWEEP_EVERY, sweep), counts)
        self._tasks += [loop.create_task(one) for one in work]
        if self._channels:
            from gateway.notify.courier import Courier

            courier = Courier(self.queue, self._channels, self._trail)
            self._tasks.append(loop.create_task(courier.run()))

    def stranger(self, peer: IPAddress) -> None:
        """Keep for `check` that a peer sends X-Forwarded-For and is no trusted proxy."""
        self._begin(self._note(peer))

    def refused(self, lines: Iterable[str]) -> None:
        """Tell the administrators that a configuration or a certificate was not taken."""
        if self._admins:
            self._begin(self._refused("; ".join(lines)))

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._done)

    async def _refused(self, why: str) -> None:
        try:
            for admin in self._admins:
                await self.queue.notify(Notice.RELOAD_REFUSED, admin, _RELOAD, detail=why)
        except StoreUnavailable as error:
            refusal_for(error)

    async def _counts(self, tried: tuple[str, ...]) -> None:
        ledger = RawUploadLedger(self._store, self._trail, self._clock)
        try:
            await ledger.begin(tried)
        except StoreUnavailable as error:
            refusal_for(error)
        await _every(TIDY_EVERY, ledger.close_days)

    def _done(self, task: asyncio.Task[None]) -> None:
        with contextlib.suppress(ValueError):  # `close` has taken it
            self._tasks.remove(task)

    async def _note(self, peer: IPAddress) -> None:
        with contextlib.suppress(StoreUnavailable):  # the log has it
            await note(self._store, self._clock, peer)

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        await cancelled(tasks)

    async def _look(self) -> None:
        """Say at the start what `check` would say of the store (keys may be evicted, say)."""
        try:
            for text in await self._store.warnings():
                _log.warning("the store: %s", text)
        except StoreUnavailable as error:
            refusal_for(error)


async def _every(
    seconds: float, work: Callable[[], Awaitable[object]], *, at_once: bool = False
) -> None:
    while True:
        if not at_once:
            await asyncio.sleep(seconds)
        at_once = False
        try:
            await work()
        except StoreUnavailable as error:
            refusal_for(error)


def _channels(
    settings: Settings,
    ask_index: AddressOf | None,
    clock: Clock,
    accounts: Accounts,
    country: CountryOf | None,
) -> list[Channel]:
    """The ways of delivery an administrator configured. Their libraries load only then."""
    wanted = settings.notices
    public_url = str(settings.public_url)
    found: list[Channel] = []
    if wanted.smtp is not None:
        from gateway.notify.mail import Mail, MailServer, from_map

        address_of = ask_index or from_map(wanted.addresses or {})
        smtp = wanted.smtp

        async def language_of(user: str) -> Catalogue:
            account = await accounts.get(user)
            return languages.catalogue((account and account.language) or settings.language)

        password = smtp.password.read if smtp.password is not None else None
        server = MailServer(smtp.host, smtp.port, smtp.tls, smtp.user, password)
        found.append(Mail(server, smtp.sender, address_of, public_url, language_of, country))
    if wanted.webhook is not None:
        from gateway.notify.webhook import Webhook

        hook = wanted.webhook
        language = languages.catalogue(settings.language)
        found.append(
            Webhook(hook.url, hook.key.read, public_url, clock, language=language, country=country)
        )
    return found


def _asks_index(settings: Settings, calls: Calls, upstream: Upstream) -> AddressOf | None:
    """How the index is asked for addresses; None where mail goes to none of its."""
    wanted = settings.notices
    if wanted.smtp is None or wanted.addresses is not None or not isinstance(upstream, Addressing):
        return None

    async def ask(user: str) -> str | None:
        from gateway.notify.mail import mail_address

        reply = await calls.ask(upstream.address_call(user))
        return mail_address(upstream.address_answer(reply))

    return ask
