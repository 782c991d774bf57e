"""Logins at the upstream's own login route: a form in a browser, or JSON from a program.

The upstream judges the password first; its answer is kept back until the second factor passes.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.evidence import Site, site_of
from gateway.core.http.cookies import with_same_site, without_named
from gateway.core.http.facts import Facts, Field
from gateway.core.login.models import Caller, Held, caller_of
from gateway.core.throttle.passwords import Guess
from gateway.core.tokens.macaroon import looks_like
from gateway.core.typed import header_code, split_code
from gateway.core.upstream import Attempt, Credential, Issued, UpstreamResponse
from gateway.core.urls import base_of, without_base
from gateway.core.user_id import user_id
from gateway.gate.context import GateContext, LoginWork
from gateway.gate.held_answers import Holding, begin, local_location
from gateway.gate.replies import passed_on
from gateway.proxy.ports import Answer
from gateway.upstreams.client import passing

# Written anew for a login: its body and what describes it. The answer is read, so it must
# not come compressed.
_REWRITTEN: Final = frozenset({"accept", "accept-encoding", "content-type", "content-encoding"})


class Logins:
    """Carries logins through. Raises `Refusal` and `StoreUnavailable`; the handler words them."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts
        self._holding: Final = Holding(parts)

    async def answer(self, facts: Facts, work: LoginWork, body: bytes) -> Answer:
        parts = self._parts
        if site_of(facts, parts.public_url) is Site.FOREIGN:
            raise Refusal(Slug.CROSS_SITE, home=parts.public_url + "/")
        attempt = parts.upstream.read_login(facts, body)
        if attempt is None:
            raise Refusal(Slug.UNREADABLE_LOGIN)
        if looks_like(attempt.credential.secret):
            raise Refusal(Slug.TOKEN_NO_LOGIN)
        user_id(attempt.credential.user)  # refuses a name nobody can have
        whole = attempt
        attempt, code = _take_code(facts, attempt)
        caller = caller_of(facts, work.rule)
        async with AsyncExitStack() as trials:
            reply, issued, trial = await self._ask(facts, attempt, caller, trials)
            if not issued and attempt is not whole and reply.status < 500:
                # What looked like a code may be the end of a password.
                attempt, code = whole, None
                reply, issued, trial = await self._ask(facts, attempt, caller, trials)
            if not issued:
                return passed_on(reply, parts.treatment_of(work.rule))
            await parts.flow.services.freezes.check_login(user_id(attempt.credential.user))
            if attempt.interactive and code is None:
                return await self._lead(facts, attempt, issued, reply)
            user = attempt.credential.user
            await parts.flow.at_once.prove(user, code, issued, caller, guess=trial)
            facts.notes.user = user_id(user)
            return passed_on(reply, parts.treatment_of(work.rule))

    async def _ask(
        self, facts: Facts, attempt: Attempt, caller: Caller, trials: AsyncExitStack
    ) -> tuple[UpstreamResponse, tuple[Issued, ...], Guess]:
        """What the upstream says to a name and a password, and what it hands out."""
        parts = self._parts
        user, secret = attempt.credential.user, attempt.credential.secret
        trial = await parts.flow.proofs.trying(user, secret, caller)
        await trials.enter_async_context(trial)
        reply = await parts.calls.ask(
            parts.upstream.login_call(facts, attempt), self._fields(facts)
        )
        self._holding.check_planted(reply.all("set-cookie"))
        issued = parts.upstream.login_answer(facts, attempt, reply)
        if issued:
            trial.passed()
        elif self._takes(attempt, reply):
            raise Refusal(Slug.UPSTREAM_BROKEN)  # perhaps a yes, in an unknown form
        elif reply.status < 500:
            await trial.wrong()
        return reply, issued, trial

    def _takes(self, attempt: Attempt, reply: UpstreamResponse) -> bool:
        """Whether an answer without a readable credential seems to say yes."""
        yes = not attempt.interactive and 200 <= reply.status < 300
        return yes or any(map(self._holding.hands_out, reply.all("set-cookie")))

    def _fields(self, facts: Facts) -> tuple[Field, ...]:
        """The client's fields without any credential: the login is the only one."""
        parts = self._parts
        fields = passing(facts, without=_REWRITTEN | parts.upstream.carrier_fields())
        kept = [
            (
                name,
                without_named(value, parts.upstream.session_cookies) if name == "cookie" else value,
            )
            for name, value in fields
        ]
        own = parts.own_fields(facts)
        return (*own, *((name, value) for name, value in kept if value))

    async def _lead(
        self, facts: Facts, attempt: Attempt, issued: tuple[Issued, ...], reply: UpstreamResponse
    ) -> Answer:
        public_url = self._parts.public_url
        goto = without_base(base_of(public_url), attempt.goto)
        goto = goto or local_location(reply.fields, public_url)
        cookies = tuple(map(with_same_site, reply.all("set-cookie")))
        held = Held(issued, cookies, goto, issued[0].credential)
        return await begin(self._parts, facts, attempt.credential.user, held)


def _take_code(facts: Facts, attempt: Attempt) -> tuple[Attempt, str | None]:
    """The code of a login, from X-OTP or behind the password, and the login without it.

    With X-OTP the password is never split: a comma may be part of it.
    """
    header = header_code(facts)
    if header:
        return attempt, header
    parts = split_code(attempt.credential.secret)
    if parts is None:
        return attempt, None
    password, code = parts
    credential = Credential(attempt.credential.user, password)
    return Attempt(credential, attempt.interactive, attempt.goto, attempt.extra), code
