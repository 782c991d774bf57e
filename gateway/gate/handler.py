"""What aiohttp is given: requests the forwarder handed over.

Own pages go to `web`, logins and watched changes to their handlers here. Refusals are worded
once, whatever raised them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.gate.account_changes import Changes
from gateway.gate.context import ApiWork, GateContext, GuardedWork, LoginWork
from gateway.gate.gate import MAX_GUARDED_BODY
from gateway.gate.leak_api import MAX_REPORT, LeakApi
from gateway.gate.login_api import LoginApi
from gateway.gate.login_route import Logins
from gateway.gate.oidc_api import OidcApi
from gateway.gate.replies import read_body, response_of
from gateway.gate.token_api import MAX_BODY, TokenApi
from gateway.proxy.ports import Answer, HandOver

_log = logging.getLogger("gateway.handler")

PageHandler = Callable[[web.BaseRequest, Facts], Awaitable[web.StreamResponse]]


class Handler:
    """One call per request. plan_of: `HandOvers.plan`."""

    def __init__(
        self,
        parts: GateContext,
        logins: Logins,
        changes: Changes,
        pages: PageHandler,
        plan_of: Callable[[object], HandOver],
    ) -> None:
        self._parts: Final = parts
        self._logins: Final = logins
        self._changes: Final = changes
        self._pages: Final = pages
        self._plan_of: Final = plan_of
        self._token_api: Final = TokenApi(parts)
        self._login_api: Final = LoginApi(parts)
        self._oidc_api: Final = OidcApi(parts)
        self._leak_api: Final = LeakApi(parts)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is None:  # the client left before its turn came
            return web.Response()
        plan = self._plan_of(request.protocol)
        if plan.context is None:
            return await self._page(request, plan.facts)
        answer = self._parts.replies.worded(plan.facts, self._work(request, plan))
        return response_of(await answer)

    async def _page(self, request: web.BaseRequest, facts: Facts) -> web.StreamResponse:
        try:
            return await self._pages(request, facts)
        except Exception:  # aiohttp's own page for it has none of our headers
            if request.transport is not None:  # else the client left, which is no failure
                _log.exception("a page failed")
            return response_of(self._parts.replies.refusal(facts, Refusal(Slug.INTERNAL)))

    async def _work(self, request: web.BaseRequest, plan: HandOver) -> Answer:
        work = plan.context
        if isinstance(work, ApiWork) and LeakApi.serves(plan.facts.path):
            self._leak_api.expect(plan.facts)
            report = await read_body(request, plan.facts, MAX_REPORT)
            return await self._leak_api.answer(plan.facts, report)
        if isinstance(work, ApiWork):
            body = await read_body(request, plan.facts, MAX_BODY)
            if LoginApi.serves(plan.facts.path):
                return await self._login_api.answer(plan.facts, body)
            if OidcApi.serves(plan.facts.path):
                return await self._oidc_api.answer(plan.facts, body)
            return await self._token_api.answer(plan.facts, body)
        if isinstance(work, LoginWork):
            body = await read_body(request, plan.facts, self._parts.login_body)
            return await self._logins.answer(plan.facts, work, body)
        if isinstance(work, GuardedWork):
            body = await read_body(request, plan.facts, MAX_GUARDED_BODY)
            return await self._changes.answer(plan.facts, work, body)
        raise AssertionError(f"handed over without work: {type(work).__name__}")
