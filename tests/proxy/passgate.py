"""A gate for the forwarder's own tests: forwards everything, or does as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.core.errors import MESSAGES, Refusal, Slug
from gateway.core.http.facts import Facts, Field, IPAddress
from gateway.proxy.ports import Answer, Forward, HandOver, Opens, Plan

FORWARD = Forward()


class PassGate:
    """Forwards whatever has a canonical path; each decision can be replaced by a test.

    decide: asked by `plan`; where set, `quick` knows nothing. same: what `alike` returns.
    """

    def __init__(self) -> None:
        self.decide: Callable[[Facts], Plan | Awaitable[Plan]] | None = None
        self.own_fields: tuple[Field, ...] = ()
        self.session_cookie = ""
        self.held: Answer | None = None
        self.asked: list[Facts] = []
        self.same: Callable[[], bool] | None = None

    def quick(self, method: str, path: str) -> Forward | None:
        return FORWARD if self.decide is None else None

    def client_fields(self, client: IPAddress | None) -> tuple[Field, ...]:
        address = (("X-Forwarded-For", str(client)),) if client is not None else ()
        return (*self.own_fields, *address)

    def plan(self, facts: Facts) -> Plan | Awaitable[Plan]:
        self.asked.append(facts)
        return self.decide(facts) if self.decide is not None else FORWARD

    def alike(self, facts: Facts) -> Callable[[], bool] | None:
        return self.same

    def closed(self, method: str, path: str) -> Forward | None:
        return None

    def opens(self, facts: Facts) -> Opens | None:
        return None

    def sets_session(self, set_cookie: str) -> bool:
        return bool(self.session_cookie) and set_cookie.startswith(self.session_cookie)

    async def hold(self, facts: Facts, status: int, fields: tuple[Field, ...]) -> Answer | None:
        self.asked.append(facts)
        await asyncio.sleep(0)
        return self.held

    def refusal(self, facts: Facts | None, slug: Slug, **detail: str) -> Answer:
        body = Refusal(slug, retry_after=None, **detail).text.encode()
        return Answer(MESSAGES[slug].status, (("X-Slug", slug),), body)


class NoPages:
    """Where no request is ever handed over."""

    def open(self, plan: HandOver) -> asyncio.Protocol:
        raise AssertionError("nothing is handed over here")

    def done(self, protocol: asyncio.Protocol) -> None: ...
