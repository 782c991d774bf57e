"""Who asks, for rules that are for certain people: everybody whom a request names has to fit.

The names alone are read here. Whether a password or token is right is judged as everywhere: by
the index where the policy is `pass`, before anything goes on elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NoReturn

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.evidence import Site, site_of
from gateway.core.http import cookies
from gateway.core.http.facts import Facts
from gateway.core.login.models import caller_of
from gateway.core.permissions import Permission
from gateway.core.rules.rights import Claim
from gateway.core.rules.rules import Rule
from gateway.core.upstream import Credential
from gateway.core.user_id import user_id
from gateway.gate.asked import asked_by_head
from gateway.gate.context import GateContext
from gateway.gate.policies import Guard
from gateway.gate.presented import goes_on
from gateway.gate.token_request import TokenRequest
from gateway.proxy.ports import Answer, Forward


class RightsGate:
    """Raises `Refusal` and `StoreUnavailable`; the gate words them."""

    def __init__(self, parts: GateContext, guard: Guard) -> None:
        self._parts: Final = parts
        self._guard: Final = guard

    async def asked(self, facts: Facts, token: TokenRequest | None) -> Claim:
        """Who asks for what. A token stands for its owner, a session for who logged in."""
        about = asked_by_head(self._parts.upstream.act(facts))
        if token is not None:
            return replace(about, people=frozenset({token.owner}))
        people, unnamed = set(), False
        for carrier in self._parts.upstream.carriers(facts):
            name = carrier.credential.user if carrier.credential is not None else ""
            try:
                people.add(user_id(name))
            except Refusal:  # of nobody, or of nobody who can be told
                unnamed = True
        cookie = self._parts.jar.read(facts, cookies.SESSION)
        session = await self._parts.flow.earned.session(cookie) if cookie else None
        if session is not None:
            people.add(session.user_id)
        return replace(about, people=frozenset(people), unnamed=unnamed)

    async def refuse(self, facts: Facts, rule: Rule, asked: Claim) -> NoReturn:
        """Say that a rule is for others.

        Raises:
            Refusal: `not_permitted`; `credential_required` where nothing says who asks.
        """
        if asked.anonymous:
            raise Refusal(Slug.CREDENTIAL_REQUIRED)
        rights = rule.rights
        detail = {}
        if isinstance(rights, Permission) and rights.tells and rights.people is not None:
            detail["who"] = str(rights.people)
        await self._refused(facts, rule, asked)
        raise Refusal(Slug.NOT_PERMITTED, retry_after=None, **detail)

    def unnamed(
        self, facts: Facts, rule: Rule | None, base: Forward, plan: Forward
    ) -> Answer | None:
        """The refusal where the index no longer learns who asks, which let the request through:
        what a browser adds by itself was all there was, and does not count."""
        rights = rule.rights if rule is not None else None
        if rights is None or not rights.by_people or len(plan.add) > len(base.add):
            return None
        if any(goes_on(carrier, plan) for carrier in self._parts.upstream.carriers(facts)):
            return None
        home = self._parts.public_url + "/"
        slugs = {Site.FOREIGN: Slug.CROSS_SITE, Site.OWN: Slug.SESSION_NOT_ENOUGH}
        slug = slugs.get(site_of(facts, self._parts.public_url), Slug.CREDENTIAL_REQUIRED)
        return self._parts.replies.refusal(facts, Refusal(slug, retry_after=None, home=home))

    def may_be_new(self, rule: Rule | None, asked: Claim | None) -> Permission | None:
        """The rights of a rule by which who asks may upload only what the index has; None for
        what needs no look."""
        rights = rule.rights if rule is not None else None
        if asked is None or asked.project is None or not isinstance(rights, Permission):
            return None
        return None if rights.begins(asked) else rights

    async def check_known(
        self, facts: Facts, rule: Rule | None, asked: Claim, token: TokenRequest | None
    ) -> None:
        """That the index has the project already. The password is judged first, so that nobody
        learns without one which projects there are.

        Raises:
            Refusal: `not_permitted`, `credential_required`, `throttled`, `upstream_…`.
        """
        parts, project = self._parts, asked.project or ""
        credential = await self._credential(facts, rule, token)
        shown = parts.upstream.present(credential) if credential is not None else ()
        call = parts.upstream.project_check(asked.index, project)
        reply = await parts.calls.ask(
            replace(call, fields=(*call.fields, *shown)), parts.own_fields(facts)
        )
        if parts.upstream.project_answer(asked.index, project, reply):
            return
        await self._refused(facts, rule, asked)
        raise Refusal(Slug.NOT_PERMITTED, retry_after=None, project=project)

    async def _credential(
        self, facts: Facts, rule: Rule | None, token: TokenRequest | None
    ) -> Credential | None:
        if token is not None:
            return await token.credential(rule)
        return await self._guard.accepted(facts, rule)

    async def _refused(self, facts: Facts, rule: Rule | None, asked: Claim) -> None:
        """Record who was refused; the trail rations strangers."""
        if facts.safe or not asked.people:
            return
        await self._parts.audit.record(
            *(Event.GUARDED_REFUSED, min(asked.people), caller_of(facts, rule).origin),
            detail=Slug.NOT_PERMITTED,
            project=asked.project or "",
        )
