"""Put the parts together. Everything opened here belongs to one process and one event loop."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.app.access_log import FORMS, AccessLog
from gateway.app.background import Chores
from gateway.app.domain import (
    calls_to,
    form_of,
    jar_of,
    limits_of,
    ring_of,
    scoped_of,
    service_of,
    upstream_address,
)
from gateway.app.pages import LazyPages
from gateway.app.readiness import Readiness
from gateway.app.timed import TimedAsking, TimedStore
from gateway.core.audit.trail import Trail
from gateway.core.clock import Clock, Random
from gateway.core.counters import Counters
from gateway.core.http.request_id import RequestIds
from gateway.core.http.responses import fields_of_each
from gateway.core.http.trace_context import Sampling
from gateway.core.login.flow import Flow
from gateway.core.login.services import assemble
from gateway.core.publishing.exchange import TokenExchange
from gateway.core.store import Store
from gateway.core.tokens.leaks import LeakReports
from gateway.core.upstream import Asking
from gateway.core.urls import LEAKS, OIDC, base_of
from gateway.factors import make_factors
from gateway.gate.asking import Askers
from gateway.gate.context import GateContext
from gateway.gate.documentation import Documentation
from gateway.gate.ended import EndedCredentials
from gateway.gate.first_factor import Passwords
from gateway.gate.gate import RuleGate
from gateway.gate.kept_calls import KeptCalls
from gateway.gate.late_entries import LateEntries
from gateway.gate.raw_uploads import RawUploads
from gateway.gate.readers import Readers
from gateway.gate.replies import Replies
from gateway.gate.token_credentials import TokenCredentials
from gateway.gate.transfers import Transfers
from gateway.issuers.discovery import Discovery
from gateway.issuers.keys import PublishedKeys
from gateway.proxy.forwarder import Forwarder
from gateway.proxy.http1.request import Base
from gateway.proxy.limits import Limits
from gateway.proxy.questions import Questions
from gateway.stores import open_store
from gateway.stores.address import read_sqlite
from gateway.upstreams import UPSTREAMS
from gateway.upstreams.client import Calls
from gateway.web import responses

if TYPE_CHECKING:
    from gateway.app.traces import Traces
    from gateway.proxy.ports import Access
    from gateway.settings import Settings
    from gateway.web.context import PasswordChecker


@dataclass(slots=True)
class GatewayWorker:
    """One worker's gateway (`gateway.serving.deployed.Running`)."""

    forwarder: Forwarder
    store: Store
    calls: Calls
    pages: LazyPages
    parts: GateContext
    chores: Chores
    issuers: PublishedKeys
    raw_uploads: RawUploads
    access: AccessLog | None
    traces: Traces | None

    def refused(self, lines: Sequence[str]) -> None:
        self.chores.refused(lines)

    async def close(self) -> None:
        await self.pages.close()
        await self.parts.transfers.late.close()
        await self.issuers.close()
        await self.raw_uploads.close()
        await self.chores.close()
        await self.calls.close()
        await self.store.close()
        if self.access is not None:
            await self.access.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)


async def build(
    settings: Settings,
    clock: Clock = time.time,
    random: Random = secrets.token_bytes,
    *,
    checker: PasswordChecker | None = None,
    counters: Counters | None = None,
) -> GatewayWorker:
    """Make the gateway of a configuration. Nothing is connected yet, so it is quick.

    Args:
        checker: judges the passwords that pages are given, None for the index.
        counters: where this process counts; it goes on in them after a reload.
    """
    ring = ring_of(settings)
    observed = settings.metrics is not None
    timed = observed or settings.traces is not None
    access = _access_log(settings)
    traces = _traces(settings)
    sinks = [sink for sink in (access, traces) if sink is not None]
    counters = counters or Counters()
    store = await open_store(settings.store, clock)
    if timed:
        store = TimedStore(store, counters)
    audit = Trail(store, ring, clock, retention=settings.audit.retention, counters=counters)
    calls = calls_to(settings, counters if timed else None)
    upstream = UPSTREAMS[settings.upstream.kind](form_of(settings))
    country = settings.appearance.country()
    chores = Chores(settings, store, audit, calls, upstream, clock, random, ring, country)
    limits = limits_of(settings)
    domain = assemble(
        store=store,
        ring=ring,
        factors=make_factors(ring, limits),
        audit=audit,
        notifier=chores.queue,
        clock=clock,
        random=random,
        limits=limits,
    )
    flow = Flow(domain)
    public_url = limits.public_url
    jar = jar_of(ring, public_url)
    questions = Questions()
    asking: Asking = KeptCalls(questions)
    if timed:
        asking = TimedAsking(asking, counters)
    passwords = Passwords(
        upstream,
        asking,
        upstream.own_fields(public_url, None),
        clock=clock,
        random=random,
    )
    ready = Readiness(
        domain,
        upstream_address(settings),
        upstream.own_fields(public_url, None),
        read_sqlite(settings.store) if settings.store.startswith("sqlite:") else None,
        clock,
    )
    pages = LazyPages(
        *(flow, checker or passwords, jar, ring, limits, clock, random, settings, ready.look),
        country=country,
    )
    replies = Replies(
        public_url,
        upstream.refusal_fields(),
        pages.refusal,
        responses.fields(secure=jar.secure),
    )
    rules = settings.ruleset()
    its_url = ""
    watched_hosts = []
    if settings.documentation_url is not None:
        watched_hosts.append(settings.documentation_url.authority)
        its_url = settings.documentation_url.origin + base_of(public_url)
    documentation = Documentation(
        upstream, rules, replies, ring, clock, public_url=public_url, url=its_url
    )
    issuers = PublishedKeys(Discovery(), clock)
    service = service_of(settings)
    late = LateEntries(audit, clock)
    parts = GateContext(
        upstream=upstream,
        rules=rules,
        flow=flow,
        audit=audit,
        calls=calls,
        passwords=passwords,
        mailboxes=chores.mailboxes,
        replies=replies,
        jar=jar,
        clock=clock,
        public_url=public_url,
        max_age=settings.second_factor.max_age,
        login_body=settings.limits.login_body,
        documentation=documentation,
        response=settings.response,
        treatments=fields_of_each(documentation.origin),
        acts_by_session=settings.upstream.acts_by_session,
        front_page=settings.appearance.front_page,
        tokens=domain.tokens,
        transfers=Transfers(
            *(upstream, Askers(upstream, flow.earned, jar, ring, clock), late, clock),
            uploads=settings.audit.uploads,
            downloads=settings.audit.downloads,
        ),
        readers=Readers(
            upstream,
            passwords,
            flow,
            domain.accounts,
            clock,
            remember=settings.first_factor.remember or 0.0,
        ),
        ended=EndedCredentials(
            upstream,
            domain.credentials,
            clock,
            base=base_of(public_url),
            refused=settings.ended_credentials == "refuse",
        ),
        token_credentials=TokenCredentials(
            passwords, domain.tokens, clock, service, upstream.hands_over
        ),
        scoped=scoped_of(settings, upstream, calls, domain.tokens),
        exchange=TokenExchange(
            [one.publisher() for one in settings.publishers],
            issuers,
            domain.tokens,
            store,
            ring,
            audit,
            chores.queue,
            clock,
            audience=settings.public_url.authority,
            service=service.user if service is not None else "",
        ),
        counters=counters,
        named=observed or bool(sinks),
        leaks=LeakReports(
            [one.reporter() for one in settings.tokens.reporters], domain.tokens, audit
        ),
    )
    gate = RuleGate(parts)
    pages.serve(parts, gate.holding)
    forwarder = Forwarder(
        gate,
        upstream_address(settings),
        pages,
        limits=_limits(settings),
        trusted=tuple(settings.trusted_proxies),
        credential_cookies=upstream.session_cookies,
        stranger=chores.stranger,
        base=_base(public_url, keeps=upstream.cuts_base),
        watched_hosts=watched_hosts,
        counters=counters if observed else None,
        ids=RequestIds(random),
        access=_all_of(sinks),
        sampling=Sampling(random, settings.traces.sample) if settings.traces else None,
    )
    questions.go_through(forwarder.shared)
    tried = [rule.name for rule in rules.rules if rule.tried]
    chores.start(flow.sweep, domain.freezes.look, tried)
    return GatewayWorker(
        *(forwarder, store, calls, pages, parts, chores, issuers, gate.raw_uploads, access, traces)
    )


def _traces(settings: Settings) -> Traces | None:
    if settings.traces is None:
        return None
    from gateway.app.traces import Traces

    return Traces(settings.traces.endpoint)


def _all_of(sinks: Sequence[Callable[[Access], None]]) -> Callable[[Access], None] | None:
    def tell(one: Access) -> None:
        for sink in sinks:
            sink(one)

    return sinks[0] if len(sinks) == 1 else tell if sinks else None


def _access_log(settings: Settings) -> AccessLog | None:
    form = FORMS.get(settings.log.access)
    return None if form is None else AccessLog(form, settings.log.access_file)


def _base(public_url: str, *, keeps: bool) -> Base | None:
    path = base_of(public_url)
    rooted = (f"{OIDC}/".encode("ascii"), f"{LEAKS} ".encode("ascii"))
    return Base(path.encode("ascii"), keeps, rooted) if path else None


def _limits(settings: Settings) -> Limits:
    wanted = settings.limits
    return Limits(
        head=wanted.head_size,
        head_time=wanted.head,
        idle=wanted.idle,
        connect=wanted.connect,
        answer=wanted.answer,
        stall=wanted.body_idle,
        drain=wanted.shutdown,
        pool_idle=wanted.pool_idle,
    )
