"""The way into the pages: from an aiohttp request to a handler and back.

Everything that holds for all pages is done here, once: dispatch by the canonical path, whose
page it is, where a change comes from, form tokens, bodies, refusals, security headers.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from gateway.core import addresses, cookies
from gateway.core.clock import Clock, Random
from gateway.core.errors import Refusal
from gateway.core.facts import Facts, Field
from gateway.core.flow import Flow
from gateway.core.keys import KeyRing
from gateway.core.own_origin import check_own_origin
from gateway.core.store import StoreUnavailable
from gateway.web import (
    account,
    assets,
    enrol,
    forms,
    health,
    login,
    refusals,
    shield,
    tokens,
    verify,
)
from gateway.web.kit import Ask, Kit
from gateway.web.ports import PagesConfig, PasswordChecker
from gateway.web.reply import Reply, see_other
from gateway.web.reply import cookies as set_cookies
from gateway.web.routes import ForPending, ForSession, Open, Route, allowed

ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {
        addresses.PREFIX: ForSession(get=account.overview),
        addresses.LOGIN: Open(get=login.show, post=login.submit),
        addresses.VERIFY: ForPending(get=verify.show, post=verify.submit),
        verify.CANCEL: ForPending(post=verify.cancel),
        addresses.ENROL: ForPending(get=enrol.show, post=enrol.confirm),
        f"{addresses.ENROL}/start": ForPending(post=enrol.start),
        f"{addresses.ENROL}/recovery": ForPending(get=enrol.finish_form, post=enrol.finish),
        f"{addresses.ENROL}/codes": ForPending(post=enrol.codes_anew),
        enrol.ADD: ForSession(get=enrol.show, post=enrol.confirm, fresh=True),
        f"{enrol.ADD}/start": ForSession(post=enrol.start, fresh=True),
        f"{enrol.ADD}/recovery": ForSession(get=enrol.finish_form, post=enrol.finish, fresh=True),
        f"{enrol.ADD}/codes": ForSession(post=enrol.codes_anew, fresh=True),
        addresses.LOGOUT: ForSession(post=account.logout),
        addresses.HEALTH: Open(get=health.show),
    }
)
"""Every page by its canonical path."""

WITH_TAIL: Final[Mapping[str, Route]] = MappingProxyType(
    {addresses.INVITE: Open(get=login.show, post=login.submit)}
)
"""Pages whose address ends in one more segment."""


class Pages:
    """The gateway's own pages.

    Args:
        random: for the cookie that form tokens hold to before anybody has logged in.
    """

    def __init__(
        self,
        *,
        flow: Flow,
        checker: PasswordChecker,
        jar: cookies.Jar,
        keys: KeyRing,
        clock: Clock,
        random: Random,
        config: PagesConfig,
    ) -> None:
        self._kit = Kit(flow, checker, jar, tokens.FormTokens(keys, clock), config, clock, random)

    async def handle(self, request: web.BaseRequest, facts: Facts) -> web.StreamResponse:
        """Answer one request under /+auth/. Refusals become pages; nothing else is caught."""
        try:
            reply = await self._answer(request, facts)
        except Refusal as refusal:
            reply = self._refused(facts, refusal)
        except StoreUnavailable:
            reply = self._refused(facts, Refusal("store_unavailable"))
        return web.Response(
            status=reply.status, body=reply.body, headers=CIMultiDict(self._fields(reply))
        )

    def refusal(
        self, facts: Facts | None, refusal: Refusal
    ) -> tuple[int, tuple[Field, ...], bytes]:
        """Status, header fields and body of a refusal for a browser, wherever it arose."""
        reply = self._refused(facts, refusal)
        return reply.status, self._fields(reply), reply.body

    def _refused(self, facts: Facts | None, refusal: Refusal) -> Reply:
        reply = refusals.page(self._kit.config.issuer, facts, refusal)
        if refusal.slug == "pending_expired":
            return reply.plus(*set_cookies(self._kit.jar.clear(cookies.PENDING)))
        return reply

    def _fields(self, reply: Reply) -> tuple[Field, ...]:
        shown = (("content-type", reply.content_type),) if reply.body else ()
        return (
            *shown,
            *shield.fields(
                secure=self._kit.config.secure, script=reply.script, lasting=reply.lasting
            ),
            *reply.fields,
        )

    async def _answer(self, request: web.BaseRequest, facts: Facts) -> Reply:
        route, tail = _find(facts.path)
        if route is None:
            return _static(facts)
        handler = route.get if facts.method in ("GET", "HEAD") else None
        if facts.method == "POST":
            handler = route.post
        if handler is None:
            reply = self._refused(facts, Refusal("method_not_allowed"))
            return reply.plus(("allow", allowed(route)))
        cookies.check(facts)
        check_own_origin(facts, self._kit.config.public_url)
        form: Mapping[str, str] = {}
        if facts.method == "POST":
            body = await forms.read_limited(request.content.iter_any())
            form = forms.parse_form(facts.first("content-type") or "", body)
        return await self._dispatch(route, Ask(facts, form, tail))

    async def _dispatch(self, route: Route, ask: Ask) -> Reply:
        """Find who is asking, check the form token, call the handler."""
        if isinstance(route, Open):
            return await self._open(route, ask)
        if isinstance(route, ForPending):
            return await self._for_pending(route, ask)
        return await self._for_session(route, ask)

    async def _open(self, route: Open, ask: Ask) -> Reply:
        held = self._kit.cookie(ask, cookies.FORM)
        if ask.facts.safe:
            assert route.get is not None
            if route.post is None:
                return await route.get(self._kit, ask)
            fresh = held or urlsafe_b64encode(self._kit.random(24)).decode()
            reply = await route.get(self._kit, replace(ask, bound_to=fresh))
            return (
                reply if held else reply.plus(*set_cookies(self._kit.jar.set(cookies.FORM, fresh)))
            )
        assert route.post is not None
        return await route.post(self._kit, self._checked(ask, held))

    async def _for_pending(self, route: ForPending, ask: Ask) -> Reply:
        cookie = self._kit.cookie(ask, cookies.PENDING)
        pending = await self._kit.flow.pending(cookie) if cookie else None
        if pending is None:
            if ask.facts.safe and not cookie:  # nobody has begun: this is where to begin
                return see_other(addresses.LOGIN)
            raise Refusal("pending_expired")
        if ask.facts.safe:
            assert route.get is not None
            return await route.get(self._kit, replace(ask, bound_to=cookie), pending)
        assert route.post is not None
        return await route.post(self._kit, self._checked(ask, cookie), pending)

    async def _for_session(self, route: ForSession, ask: Ask) -> Reply:
        cookie = self._kit.cookie(ask, cookies.SESSION)
        session = await self._kit.flow.session(cookie) if cookie else None
        if session is None:
            back = ask.facts.target if ask.facts.safe else addresses.OVERVIEW
            return see_other(addresses.login_for(back))
        if ask.facts.safe:
            assert route.get is not None
            return await route.get(self._kit, replace(ask, bound_to=cookie), session)
        assert route.post is not None
        return await route.post(self._kit, self._checked(ask, cookie), session)

    def _checked(self, ask: Ask, bound_to: str) -> Ask:
        token = ask.form.get(tokens.FIELD, "")
        self._kit.tokens.check(token, bound_to, ask.facts.path)
        return replace(ask, bound_to=bound_to)


def _find(path: str) -> tuple[Route | None, str]:
    if path in ROUTES:
        return ROUTES[path], ""
    folder, _, tail = path.rpartition("/")
    return WITH_TAIL.get(folder), tail


def _static(facts: Facts) -> Reply:
    folder, _, name = facts.path.rpartition("/")
    asset = assets.find(name) if folder == addresses.STATIC else None
    if asset is None:
        raise Refusal("not_found")
    if facts.method not in ("GET", "HEAD"):
        raise Refusal("method_not_allowed")
    return Reply(200, asset.body, asset.content_type, lasting=True)
