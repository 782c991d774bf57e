"""The way into the pages: from an aiohttp request to a handler and back.

Everything that holds for all pages is done here, once: dispatch by the canonical path, whose
page it is, where a change comes from, form tokens, bodies, refusals as pages, security headers.
Every word of a refusal but the button's comes from `gateway.core.errors`.
"""

from __future__ import annotations

import logging
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from gateway import languages
from gateway.core import urls
from gateway.core.appearance import Appearance
from gateway.core.audit.trail import Trail
from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.http.facts import Facts, Field
from gateway.core.http.origin import check_opened, check_own_origin
from gateway.core.http.request_id import FIELD, at_hand
from gateway.core.login.flow import Flow
from gateway.core.login.models import Step
from gateway.core.phrases import Catalogue
from gateway.core.store import StoreUnavailable
from gateway.core.urls import LOGIN
from gateway.outage import refusal_for
from gateway.web import csrf, forms, rendering, responses, routes
from gateway.web.context import (
    LOOKING,
    Ask,
    ForAdmin,
    ForPending,
    ForSession,
    IndexLogins,
    Kit,
    Open,
    PagesConfig,
    PasswordChanges,
    PasswordChecker,
    Route,
    allowed,
    unknown_country,
    with_query,
)
from gateway.web.handlers import account, enrolment, login
from gateway.web.refusals import NOWHERE, Way, for_script, page
from gateway.web.responses import PageResponse, see_other
from gateway.web.responses import cookies as set_cookies

_log = logging.getLogger("gateway.pages")

_BODY_WITHIN: Final = 30.0  # seconds for a form to arrive


class Pages:
    """The gateway's own pages.

    Args:
        random: for the cookie that form tokens hold to before anybody has logged in.
        country: see `Kit`.
    """

    def __init__(
        self,
        *,
        flow: Flow,
        checker: PasswordChecker,
        activity: Trail,
        index_logins: IndexLogins,
        passwords: PasswordChanges,
        jar: cookies.Jar,
        keys: KeyRing,
        clock: Clock,
        random: Random,
        config: PagesConfig,
        ready: Callable[[], Awaitable[Mapping[str, str]]],
        country: Callable[[str], str] = unknown_country,
    ) -> None:
        self._kit = Kit(
            flow=flow,
            checker=checker,
            activity=activity,
            index_logins=index_logins,
            passwords=passwords,
            jar=jar,
            tokens=csrf.FormTokens(keys, clock),
            config=config,
            clock=clock,
            random=random,
            prove=keys.digest,
            ready=ready,
            country=country,
        )

    async def handle(self, request: web.BaseRequest, facts: Facts) -> web.StreamResponse:
        """Answer one request under /+auth/. Refusals become pages; nothing else is caught."""
        try:
            reply = await self._answer(request, facts)
        except Refusal as refusal:
            reply = self._refused(facts, refusal)
        except StoreUnavailable as error:
            reply = self._refused(facts, refusal_for(error))
        headers = CIMultiDict(self._fields(facts, reply))
        if reply.stream is not None and facts.method != "HEAD":
            return await _sent(request, reply, headers)
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    def refusal(
        self, facts: Facts | None, refusal: Refusal
    ) -> tuple[int, tuple[Field, ...], bytes]:
        """Status, header fields and body of a refusal for a browser, wherever it arose."""
        reply = self._refused(facts, refusal)
        return reply.status, self._fields(facts, reply), reply.body

    def _refused(self, facts: Facts | None, refusal: Refusal, way: Way = NOWHERE) -> PageResponse:
        language = self._language(facts)
        if facts is not None:
            facts.notes.slug = refusal.slug
        goes_on = facts is not None and refusal.slug == Slug.STEP_UP_REQUIRED
        step_up = urls.step_up_for(way.back or urls.OVERVIEW) if goes_on else ""
        if facts is not None and routes.answers_script(facts):
            return for_script(refusal, language, urls.below(self._kit.config.base, step_up))
        if goes_on:
            return see_other(step_up)
        reply = page(self._kit, facts, refusal, language, way)
        if refusal.slug == Slug.PENDING_EXPIRED:
            return reply.plus(*set_cookies(self._kit.jar.clear(cookies.PENDING)))
        return reply

    def _language(self, facts: Facts | None) -> Catalogue:
        chosen = self._kit.jar.read(facts, cookies.LANGUAGE) if facts is not None else ""
        return languages.spoken(facts, chosen=chosen, default=self._kit.config.language)

    def _fields(self, facts: Facts | None, reply: PageResponse) -> tuple[Field, ...]:
        base = self._kit.config.base
        fields = reply.fields
        if base:
            fields = tuple(
                (name, urls.below(base, value) if name == "location" else value)
                for name, value in fields
            )
        shown: tuple[Field, ...] = ()
        if reply.body or reply.stream:
            shown = (("content-type", reply.content_type),)
        if not reply.lasting:
            shown += (("vary", "Accept-Language"),)
            id = facts.notes.id if facts is not None else at_hand()
            shown += ((FIELD.lower(), id),) if id else ()
        return (
            *shown,
            *responses.fields(
                secure=self._kit.config.secure,
                script=reply.script,
                lasting=reply.lasting,
                opener=responses.opener_policy(facts),
                documentation=self._kit.config.documentation,
            ),
            *fields,
        )

    async def _answer(self, request: web.BaseRequest, facts: Facts) -> PageResponse:
        route, tail = routes.find(facts.path)
        # Before anything else is looked at: to others these pages are no different from none.
        if route is None or (isinstance(route, ForAdmin) and not self._admins(facts)):
            return _static(facts, self._kit.config.look)
        if facts.path not in (urls.HEALTH, urls.READY):  # those are for programs
            check_opened(facts, self._kit.config.public_url, by_script=routes.answers_script(facts))
        handler = route.get if facts.method in ("GET", "HEAD") else None
        if facts.method == "POST":
            handler = route.post
        if handler is None:
            reply = self._refused(facts, Refusal(Slug.METHOD_NOT_ALLOWED))
            return reply.plus(("allow", allowed(route)))
        check_own_origin(facts, self._kit.config.public_url)
        form: Mapping[str, str] = {}
        if facts.method == "POST":
            body = await forms.read_limited(request.content.iter_any(), within=_BODY_WITHIN)
            form = forms.parse_form(facts.first("content-type") or "", body)
        ask = Ask(facts, form, tail, language=self._language(facts))
        try:
            return await self._dispatch(route, ask)
        except Refusal as refusal:
            return self._refused(facts, refusal, await self._way(route, ask, refusal))
        except StoreUnavailable as error:
            return self._refused(facts, refusal_for(error), Way(routes.back(route, ask)))

    async def _way(self, route: Route, ask: Ask, refusal: Refusal) -> Way:
        """The way on. A login that is over begins anew with its name, to where it led."""
        back = routes.back(route, ask)
        cookie = self._kit.cookie(ask, cookies.PENDING)
        if refusal.slug != Slug.PENDING_EXPIRED or not cookie:
            return Way(back)
        left = await self._kit.flow.entering.left(cookie)
        return Way(back, login.at(user=left[0], next=left[1]) if left else LOGIN)

    async def _dispatch(self, route: Route, ask: Ask) -> PageResponse:
        """Find who is asking, check the form token, call the handler."""
        if isinstance(route, Open):
            return await self._open(route, ask)
        if isinstance(route, ForPending):
            return await self._for_pending(route, ask)
        if isinstance(route, ForAdmin):
            return await self._for_admin(route, ask)
        return await self._for_session(route, ask)

    async def _open(self, route: Open, ask: Ask) -> PageResponse:
        held = self._kit.cookie(ask, cookies.FORM)
        if route.post is not None:  # logins, in each way that there is
            await self._kit.flow.services.freezes.check_login()
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

    async def _for_pending(self, route: ForPending, ask: Ask) -> PageResponse:
        cookie = self._kit.cookie(ask, cookies.PENDING)
        pending = await self._kit.flow.entering.pending(cookie) if cookie else None
        if pending is None:
            return await self._nothing_pending(ask, cookie)
        if route.step not in (None, pending.step):
            # Neither may enrolling go around a factor, nor a factor be asked of who has none.
            if routes.answers_script(ask.facts):
                raise Refusal(Slug.PENDING_EXPIRED)
            verifies = pending.step is Step.VERIFY
            return see_other(urls.VERIFY if verifies else urls.ENROL)
        if ask.facts.safe:
            assert route.get is not None
            return await route.get(self._kit, replace(ask, bound_to=cookie), pending)
        if route.step is not None:
            await self._kit.flow.services.freezes.check_login(pending.user_id)
        assert route.post is not None
        return await route.post(self._kit, self._checked(ask, cookie), pending)

    async def _nothing_pending(self, ask: Ask, cookie: str) -> PageResponse:
        """A step of a login that is over, or was never begun."""
        if not routes.answers_script(ask.facts):
            session = await self._kit.flow.earned.session(self._kit.cookie(ask, cookies.SESSION))
            gone = set_cookies(self._kit.jar.clear(cookies.PENDING)) if cookie else ()
            if ask.facts.path == urls.CANCEL:  # ended already; what was wanted is to be logged out
                return see_other(urls.LOGOUT if session is not None else urls.LOGIN, *gone)
            if session is not None:  # finished in another tab, or by the way back
                return see_other(ask.next() or account.done("already"), *gone)
            if ask.facts.safe and not cookie:  # nobody has begun: this is where to begin
                return see_other(urls.LOGIN)
        raise Refusal(Slug.PENDING_EXPIRED)

    async def _for_session(self, route: ForSession, ask: Ask) -> PageResponse:
        cookie = self._kit.cookie(ask, cookies.SESSION)
        session = await self._kit.flow.earned.session(cookie) if cookie else None
        if session is None:
            if routes.answers_script(ask.facts):
                raise Refusal(Slug.PENDING_EXPIRED)
            if route.nobody is not None:
                reply = await route.nobody(self._kit, ask)
            else:
                reply = see_other(urls.login_for(routes.back(route, ask)))
            gone = set_cookies(self._kit.jar.clear(cookies.SESSION)) if cookie else ()
            return reply.plus(*gone)
        ask.facts.notes.user = session.user_id
        if not ask.facts.safe and not route.stops:
            await self._kit.flow.services.freezes.check_change(session.user_id)
        if ask.facts.method in route.fresh:
            self._kit.flow.services.sessions.check_fresh(session)
        if ask.facts.safe:
            assert route.get is not None
            return await route.get(self._kit, replace(ask, bound_to=cookie), session)
        assert route.post is not None
        return await route.post(self._kit, self._checked(ask, cookie), session)

    def _admins(self, facts: Facts) -> bool:
        """Whether the session cookie is an administrator's, live or not: asks no store, so that
        its state tells nobody else anything either."""
        cookie = self._kit.jar.read(facts, cookies.SESSION)
        return self._kit.flow.services.sessions.named(cookie) in self._kit.config.admins

    async def _for_admin(self, route: ForAdmin, ask: Ask) -> PageResponse:
        cookie = self._kit.cookie(ask, cookies.SESSION)
        session = await self._kit.flow.earned.session(cookie) if cookie else None
        back = routes.back(route, ask)
        if session is None:
            return see_other(
                urls.login_for(back), *set_cookies(self._kit.jar.clear(cookies.SESSION))
            )
        ask.facts.notes.user = session.user_id
        if not ask.facts.safe:
            await self._kit.flow.services.freezes.check_person(session.user_id)
        if not session.factor:  # the password alone, where that does for others
            return see_other(with_query(enrolment.ADD, next=back))
        asks = route.acts and ask.facts.safe
        self._kit.flow.services.sessions.check_fresh(session, within=None if asks else LOOKING)
        if ask.facts.safe:
            assert route.get is not None
            return await route.get(self._kit, replace(ask, bound_to=cookie), session)
        assert route.post is not None
        return await route.post(self._kit, self._checked(ask, cookie), session)

    def _checked(self, ask: Ask, bound_to: str) -> Ask:
        token = ask.form.get(csrf.FIELD, "")
        self._kit.tokens.check(token, bound_to, ask.facts.path)
        return replace(ask, bound_to=bound_to)


async def _sent(
    request: web.BaseRequest, reply: PageResponse, headers: CIMultiDict[str]
) -> web.StreamResponse:
    """Send a body as it is made. One that fails on the way is cut off, so that nobody takes it
    for whole."""
    assert reply.stream is not None
    answer = web.StreamResponse(status=reply.status, headers=headers)
    await answer.prepare(request)
    try:
        async for piece in reply.stream:
            await answer.write(piece)
    except (Refusal, StoreUnavailable) as error:
        _log.warning("a download was cut off: %s", error)
        if request.transport is not None:
            request.transport.abort()
    return answer


def _static(facts: Facts, look: Appearance) -> PageResponse:
    folder, _, name = facts.path.rpartition("/")
    asset = rendering.find(name, look) if folder == urls.STATIC else None
    if asset is None:
        raise Refusal(Slug.NOT_FOUND)
    if facts.method not in ("GET", "HEAD"):
        raise Refusal(Slug.METHOD_NOT_ALLOWED)
    return PageResponse(200, asset.body, asset.content_type, lasting=True)
