"""What settings mean to the domain: limits, keys, the store, and how the index server is asked.

`serve` and the commands use it; it serves nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, time
from errno import ENOENT
from time import time as now
from typing import TYPE_CHECKING

from gateway.core.crypto.keyring import KeyRing
from gateway.core.crypto.signing import signed
from gateway.core.http.cookies import Jar
from gateway.core.login.models import FlowLimits
from gateway.core.upstream import Credential, TokenMaking
from gateway.core.urls import base_of
from gateway.keystore import KeySource
from gateway.upstreams import FormOptions
from gateway.upstreams.client import MAX_ANSWER, Address, Calls

if TYPE_CHECKING:
    from gateway.core.clock import Clock, Random
    from gateway.core.counters import Counters
    from gateway.core.login.services import Services
    from gateway.core.notices.queue import NoticeQueue
    from gateway.core.rules.explain import Reading
    from gateway.core.store import Store
    from gateway.core.tokens.tokens import Tokens
    from gateway.core.upstream import Upstream
    from gateway.gate.scoped_tokens import ScopedTokens
    from gateway.proxy.upstream_pool import UpstreamAddress
    from gateway.settings import Settings


def limits_of(settings: Settings) -> FlowLimits:
    """The limits an administrator chose. `required_from` begins at midnight UTC."""
    wanted = settings.second_factor
    day = wanted.required_from
    return FlowLimits(
        enrolment=wanted.enrolment,
        issuer=wanted.issuer,
        public_url=str(settings.public_url),
        origins=tuple(str(one) for one in wanted.webauthn.origins),
        required_from=datetime.combine(day, time(), UTC).timestamp() if day else None,
        max_age=wanted.max_age,
        step_up=wanted.step_up,
        idle=wanted.session.idle,
        absolute=wanted.session.absolute,
        remember=wanted.remember_device or 0.0,
        token_age=settings.tokens.max_age,
        token_manage=settings.tokens.manage,
    )


def ring_of(settings: Settings) -> KeyRing:
    """The gateway's keys, which follow a key file that is rotated.

    Raises:
        KeysUnusable: its text names the command that makes a key file.
    """
    return KeyRing(KeySource(settings.keys.kind, settings.keys.name), secrets.token_bytes)


def jar_of(ring: KeyRing, public_url: str) -> Jar:
    """The cookies of a deployment, signed by its key ring."""
    return Jar(
        public_url.startswith("https:"),
        lambda cookie, value: signed(ring, cookie.removeprefix("ig-"), value),
        base_of(public_url),
    )


def queue_of(
    settings: Settings, store: Store, clock: Clock, random: Random, ring: KeyRing
) -> NoticeQueue:
    """Where notices wait, for the channels the configuration names; workers deliver them."""
    from gateway.core.notices.queue import NoticeQueue

    wanted = settings.notices
    named = (("mail", wanted.smtp), ("webhook", wanted.webhook))
    return NoticeQueue(
        store,
        clock,
        random,
        channels=tuple(name for name, channel in named if channel),
        ring=ring,
        reports_to=settings.appearance.look().contact_mail,
    )


@asynccontextmanager
async def open_domain(settings: Settings) -> AsyncIterator[Services]:
    """The domain of a configuration for one command; its store is closed at the end.

    Raises:
        KeysUnusable, StoreUnavailable
    """
    from gateway.core.audit.trail import Trail
    from gateway.core.login.services import assemble
    from gateway.factors import make_factors
    from gateway.stores import open_store

    ring, limits = ring_of(settings), limits_of(settings)
    store = await open_store(settings.store, now)
    try:
        yield assemble(
            store=store,
            ring=ring,
            factors=make_factors(ring, limits),
            audit=Trail(store, ring, now, retention=settings.audit.retention),
            notifier=queue_of(settings, store, now, secrets.token_bytes, ring),
            clock=now,
            random=secrets.token_bytes,
            limits=limits,
        )
    finally:
        await store.close()


def service_of(settings: Settings) -> Credential | None:
    """The account that stands for every API token, where one is named.

    Raises:
        OSError: its password cannot be read.
    """
    wanted = settings.upstream.service_account
    if wanted is None:
        return None
    try:
        return Credential(wanted.user, wanted.password.read())
    except KeyError:
        raise OSError(ENOENT, "is not set", str(wanted.password)) from None


def scoped_of(
    settings: Settings, upstream: Upstream, calls: Calls, tokens: Tokens
) -> ScopedTokens | None:
    """What makes the tokens of the index's own that API tokens stand for, where that is wanted."""
    from gateway.gate.scoped_tokens import ScopedTokens

    if not settings.upstream.devpi_tokens or not isinstance(upstream, TokenMaking):
        return None
    fields = upstream.own_fields(str(settings.public_url), None)
    return ScopedTokens(upstream, calls, fields, tokens)


def calls_to(
    settings: Settings, counters: Counters | None = None, *, longest: int = MAX_ANSWER
) -> Calls:
    """Calls to the upstream. counters: where they are timed, if anywhere. longest: bytes of an
    answer that are read."""
    where = settings.upstream.url
    address = Address("http://localhost", where.unix) if where.unix else Address(str(where))
    limits = settings.limits
    calls = Calls(address, connect=limits.connect, answer=limits.answer, longest=longest)
    if counters is None:
        return calls
    from gateway.app.timed import TimedCalls

    return TimedCalls(calls, counters)


def upstream_address(settings: Settings) -> UpstreamAddress:
    """Where the forwarder finds the upstream."""
    from gateway.proxy.upstream_pool import UpstreamAddress

    where = settings.upstream.url
    if where.unix is not None:
        return UpstreamAddress("localhost", 80, str(where.unix))
    return UpstreamAddress.at(where.host, where.port, secure=where.tls)


def reading_of(settings: Settings) -> Reading:
    """What requests to the index server of a configuration are about."""
    from gateway.gate.asked import reading
    from gateway.upstreams import UPSTREAMS

    return reading(UPSTREAMS[settings.upstream.kind](form_of(settings)).act)


def form_of(settings: Settings) -> FormOptions:
    """How the login of a `form` upstream looks; the other kinds need no telling."""
    wanted = settings.upstream.form
    return FormOptions() if wanted is None else FormOptions(**asdict(wanted))
