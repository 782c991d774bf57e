"""The pages and the aiohttp server behind them, made when the first request needs them.

aiohttp's server and the templates cost a good part of the start-up time and of the memory of a
gateway that only passes downloads through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal
from gateway.core.http.cookies import Jar
from gateway.core.http.facts import Facts, Field
from gateway.core.http.path import parse_target
from gateway.core.login.flow import Flow
from gateway.core.login.models import FlowLimits
from gateway.core.rules.rules import Policy, RuleSet
from gateway.proxy.ports import HandOver

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.gate.context import GateContext
    from gateway.gate.held_answers import Holding
    from gateway.proxy.handover import HandOvers
    from gateway.settings import Settings
    from gateway.web.context import PasswordChecker
    from gateway.web.pages import Pages


class LazyPages:
    """A `gateway.proxy.ports.PageServer`, and the maker of refusal pages."""

    def __init__(
        self,
        flow: Flow,
        checker: PasswordChecker,
        jar: Jar,
        ring: KeyRing,
        limits: FlowLimits,
        clock: Clock,
        random: Random,
        settings: Settings,
        ready: Callable[[], Awaitable[Mapping[str, str]]],
        *,
        country: Callable[[str], str] | None = None,
    ) -> None:
        self._country: Final = country
        self._ready: Final = ready
        self._language: Final = settings.language
        self._name: Final = settings.appearance.name or limits.issuer
        self._look: Final = settings.appearance.look()
        self._admins: Final = frozenset(settings.admins)
        self._flow: Final = flow
        self._checker: Final = checker
        self._jar: Final = jar
        self._ring: Final = ring
        self._limits: Final = limits
        self._clock: Final = clock
        self._random: Final = random
        self._parts: GateContext | None = None
        self._holding: Holding | None = None
        self._pages: Pages | None = None
        self._handovers: HandOvers | None = None
        self._server: web.Server | None = None

    def serve(self, parts: GateContext, holding: Holding) -> None:
        """What handed-over requests are answered with; called once, before any comes."""
        self._parts = parts
        self._holding = holding

    def refusal(
        self, facts: Facts | None, refusal: Refusal
    ) -> tuple[int, tuple[Field, ...], bytes]:
        return self._made().refusal(facts, refusal)

    async def handle(self, request: web.BaseRequest, facts: Facts) -> web.StreamResponse:
        """Answer one request under /+auth/."""
        return await self._made().handle(request, facts)

    def open(self, plan: HandOver) -> asyncio.Protocol:
        return self._handed().open(plan)

    def done(self, protocol: asyncio.Protocol) -> None:
        self._handed().done(protocol)

    async def close(self) -> None:
        if self._server is not None:
            await self._server.shutdown(1.0)

    def _made(self) -> Pages:
        if self._pages is None:
            from gateway.gate.own_password import OwnPasswords
            from gateway.web.context import PagesConfig, TokensConfig, unknown_country
            from gateway.web.pages import Pages

            assert self._parts is not None
            limits, upstream = self._limits, self._parts.upstream
            tokens = TokensConfig(
                self._parts.token_credentials.by_service,
                upstream.indexed,
                upstream.addresses,
                self._parts.scoped,
            )
            self._pages = Pages(
                flow=self._flow,
                checker=self._checker,
                activity=self._parts.audit,
                index_logins=self._parts.ended,
                passwords=OwnPasswords(self._parts),
                jar=self._jar,
                keys=self._ring,
                clock=self._clock,
                random=self._random,
                config=PagesConfig(
                    self._name,
                    limits.public_url,
                    self._parts.documentation.origin,
                    self._language,
                    tokens if upstream.takes_tokens else None,
                    self._look,
                    self._admins,
                    private=_private(self._parts.rules),
                ),
                ready=self._ready,
                country=self._country or unknown_country,
            )
        return self._pages

    def _handed(self) -> HandOvers:
        if self._handovers is None:
            from gateway.app.page_server import Server
            from gateway.gate.account_changes import Changes
            from gateway.gate.handler import Handler
            from gateway.gate.login_route import Logins
            from gateway.proxy.handover import HandOvers

            assert self._parts is not None and self._holding is not None
            parts = self._parts
            handovers: HandOvers

            async def answer(request: web.BaseRequest) -> web.StreamResponse:
                return await handler(request)

            self._server = Server(answer, parts.replies)
            self._handovers = handovers = HandOvers(self._server)
            handler = Handler(
                parts,
                Logins(parts),
                Changes(parts, self._holding),
                self._made().handle,
                handovers.plan,
            )
        return self._handovers


def _private(rules: RuleSet) -> bool:
    """Whether reading takes a login, by the rule for the list of packages."""
    listing = "/simple/"
    facts = Facts("GET", listing, *parse_target(listing), (), None)
    return rules.match(facts).policy is not Policy.PASS
