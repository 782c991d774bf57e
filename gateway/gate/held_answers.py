"""Answers that hand out an upstream session, whatever route they came by.

A password reset that logs in was the hole PyPI's second factor had on its first day: such an
answer counts as a login, and its cookie is held back until the second factor has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway.core.errors import Refusal, Slug
from gateway.core.evidence import Site, site_of
from gateway.core.http import cookies
from gateway.core.http.cookies import SetCookie, read_set_cookie, with_same_site
from gateway.core.http.facts import Facts, Field
from gateway.core.http.origin import origin_of
from gateway.core.http.path import local_path
from gateway.core.login.models import Held, Step, caller_of
from gateway.core.typed import header_code
from gateway.core.upstream import Issued
from gateway.core.urls import ENROL, VERIFY, base_of, without_base
from gateway.gate.context import GateContext
from gateway.proxy.ports import Answer


class Holding:
    """Holds answers back. Raises `Refusal` and `StoreUnavailable`."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts

    def hands_out(self, set_cookie: str) -> SetCookie | None:
        """The cookie, if it hands out an upstream session; None for all others and for one
        that ends a session."""
        cookie = read_set_cookie(set_cookie)
        if cookie.name not in self._parts.upstream.session_cookies or cookie.ends:
            return None
        return cookie

    def concerns(self, set_cookie: str) -> bool:
        """Whether an answer with this Set-Cookie may not simply go on."""
        return self.hands_out(set_cookie) is not None or cookies.planted(set_cookie)

    def check_planted(self, set_cookie: Sequence[str]) -> None:
        """Raises Refusal `upstream_broken` for an answer that sets a cookie of the gateway's:
        somebody else's session could be planted so."""
        if any(map(cookies.planted, set_cookie)):
            raise Refusal(Slug.UPSTREAM_BROKEN)

    async def hold(self, facts: Facts, fields: tuple[Field, ...]) -> Answer | None:
        """What to send instead of such an answer; None where each of its credentials is
        verified already.

        Raises:
            Refusal: `second_factor_required` for a credential that cannot be read, and for a
                client that is no browser and sent no code; `cross_site`; `upstream_broken` as in
                `check_planted`.
        """
        issued = []
        every = tuple(value for name, value in fields if name.lower() == "set-cookie")
        self.check_planted(every)
        for value in every:
            if self.hands_out(value) is None:
                continue
            one = self._parts.upstream.cookie_issued(value)
            if one is None:
                raise Refusal(Slug.SECOND_FACTOR_REQUIRED)
            if await self._parts.flow.earned.verified(one.credential) is None:
                issued.append(one)
        if not issued:
            return None
        if site_of(facts, self._parts.public_url) is Site.FOREIGN:
            # Another site would have this browser logged in as whomever it likes.
            raise Refusal(Slug.CROSS_SITE)
        return await self._log_in(facts, fields, every, issued)

    async def _log_in(
        self,
        facts: Facts,
        fields: tuple[Field, ...],
        set_cookie: tuple[str, ...],
        issued: list[Issued],
    ) -> Answer | None:
        people = {one.credential.user for one in issued}
        if len(people) != 1:
            raise Refusal(Slug.MIXED_CREDENTIALS)
        user = people.pop()
        code = header_code(facts)
        if code or not facts.navigates:
            await self._parts.flow.at_once.prove(
                user, code or None, tuple(issued), caller_of(facts)
            )
            return None
        goto = local_location(fields, self._parts.public_url)
        cookies_on = tuple(map(with_same_site, set_cookie))
        held = Held(tuple(issued), cookies_on, goto, issued[0].credential)
        return await begin(self._parts, facts, user, held)


async def begin(parts: GateContext, facts: Facts, user: str, held: Held) -> Answer:
    """Open a pending login for a browser and lead it to the second factor."""
    device = parts.jar.read(facts, cookies.DEVICE)
    begun = await parts.flow.entering.begin(user, held, caller_of(facts), device_cookie=device)
    await parts.flow.unfinished.take_over(parts.jar.read(facts, cookies.PENDING), begun)
    if begun.step is not Step.PASSED:
        to = VERIFY if begun.step is Step.VERIFY else ENROL
        return parts.replies.see(to, parts.jar.set(cookies.PENDING, begun.cookie))
    assert begun.held is not None, "a login that passed says what it earned"
    before = parts.jar.read(facts, cookies.SESSION)
    if before:  # it may have been somebody else's
        await parts.flow.unfinished.go_on(before, begun.cookie)
        await parts.flow.earned.end(before, caller_of(facts))
    return parts.replies.see(
        begun.held.goto or "/",
        *await parts.ended.gone(facts),
        *begun.held.set_cookie,
        parts.jar.set(cookies.SESSION, begun.cookie),
        parts.jar.clear(cookies.PENDING),
    )


def local_location(fields: tuple[Field, ...], public_url: str) -> str:
    """The local target of a Location field, "" if there is none or it leads elsewhere."""
    for name, value in fields:
        if name.lower() == "location":
            parts = urlsplit(value)
            origin = f"{parts.scheme}://{parts.netloc}"
            if parts.netloc and origin.lower() != origin_of(public_url):
                return ""
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            return local_path(without_base(base_of(public_url), target)) or ""
    return ""
