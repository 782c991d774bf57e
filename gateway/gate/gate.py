"""The gate: what the forwarder asks for each request (`gateway.proxy.ports.Gate`).

The straight path is synchronous and knows only rules; everything that needs the store or the
upstream is awaited, and every failure there is a refusal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.evidence import Site, site_of
from gateway.core.http import cookies
from gateway.core.http.cookies import OWN_NAMES
from gateway.core.http.facts import Facts, Field, IPAddress
from gateway.core.http.responses import Response, taken_in
from gateway.core.login.credentials import Ended
from gateway.core.login.models import caller_of
from gateway.core.phrases import _
from gateway.core.rules.rights import Claim
from gateway.core.rules.rules import Matched, Policy, Rule
from gateway.core.store import StoreUnavailable
from gateway.core.urls import own
from gateway.gate.asked import FormProject
from gateway.gate.context import ApiWork, GateContext, LoginWork
from gateway.gate.form_inspector import FormDemand, FormInspector
from gateway.gate.frozen import FrozenGate
from gateway.gate.held_answers import Holding
from gateway.gate.leak_api import LeakApi
from gateway.gate.login_api import LoginApi
from gateway.gate.oidc_api import OidcApi
from gateway.gate.only_published import Both, OnlyPublished
from gateway.gate.policies import GUARDED, Guard
from gateway.gate.presented import Presented
from gateway.gate.push_inspector import PushInspector, pushes
from gateway.gate.raw_uploads import RawUploads
from gateway.gate.reading import ReadingAlong
from gateway.gate.replies import has_body
from gateway.gate.rights import RightsGate
from gateway.gate.token_api import TokenApi
from gateway.gate.token_request import TokenGate, TokenRequest
from gateway.gate.token_upload import ACTION
from gateway.gate.transfers import NOTED, Upload, about, noting
from gateway.gate.xml_body import XmlInspector, called_xml
from gateway.proxy.ports import Answer, Forward, HandOver, Inspect, Opens, Plan
from gateway.upstreams.carriers import TokenField, token_fields

# What the server behind `HandOver` can read (llhttp knows no others).
_HANDED: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Written by whoever may upload.
_UPLOADED: Final = frozenset({Response.INERT, Response.DOCUMENTATION})


_APIS: Final = (TokenApi, LoginApi, OidcApi, LeakApi)


class RuleGate:
    """A `Gate` over the parts of one gateway."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts
        self._guard: Final = Guard(parts)
        self._rights: Final = RightsGate(parts, self._guard)
        self._reading: Final = ReadingAlong(parts, self._guard, self._rights)
        self._tokens: Final = TokenGate(parts)
        self._frozen: Final = FrozenGate(parts)
        self.holding: Final = Holding(parts)
        self.presented: Final = Presented(parts)
        self.raw_uploads: Final = RawUploads(parts, self._guard)
        self._only: Final = OnlyPublished(parts.upstream, parts.exchange.publishers)
        self._ways: Final[dict[tuple[str, Response, bool], Forward]] = {}

    # -- requests -------------------------------------------------------------------------

    def quick(self, method: str, path: str) -> Forward | None:
        if own(path) or self._parts.upstream.logs_out(method, path):
            return None
        if self._parts.fronts(method, path):  # who asks is told by the fields
            return None
        if self._parts.transfers.concerns(method, path):
            return None
        if self._only.active and method not in ("GET", "HEAD"):
            return None
        candidates = self._parts.rules.candidates(method, path)
        if not candidates:
            default = self._parts.rules.default
            return self._base(None, default) if default is Policy.PASS else None
        first = candidates[0]
        if first.conditional or first.policy is not Policy.PASS:
            return None
        if first.response is Response.DOCUMENTATION:  # the header tells how it is read
            return None
        if first.tried and method not in ("GET", "HEAD"):
            return None
        return self._base(first, first.policy)

    def client_fields(self, client: IPAddress | None) -> tuple[Field, ...]:
        return self._parts.upstream.own_fields(self._parts.public_url, client)

    def plan(self, facts: Facts) -> Plan | Awaitable[Plan]:
        try:
            return self._plan(facts)
        except Refusal as refusal:
            return self._parts.replies.refusal(facts, refusal)

    def alike(self, facts: Facts) -> Callable[[], bool] | None:
        if not facts.safe or has_own_cookie(facts) or taken_in(facts):
            return None
        if self._parts.documentation.hosts(facts):
            return None
        settled, lasting = self.presented.alike(facts), self._parts.ended.alike(facts)
        return lambda: settled() and lasting()

    def closed(self, method: str, path: str) -> Forward | None:
        if own(path) or self._parts.upstream.logs_out(method, path):
            return None
        if self._parts.fronts(method, path):
            return None
        if self._parts.transfers.concerns(method, path):
            return None
        candidates = self._parts.rules.candidates(method, path)
        if not candidates or candidates[0].conditional:
            return None
        first = candidates[0]
        if first.policy is not Policy.AUTHENTICATED or first.response is Response.DOCUMENTATION:
            return None
        return self._base(first, first.policy)

    def opens(self, facts: Facts) -> Opens | None:
        parts = self._parts
        if not facts.safe or has_own_cookie(facts) or taken_in(facts):
            return None
        if parts.documentation.hosts(facts) or parts.upstream.renamed(facts):
            return None
        tokens = token_fields(facts)
        if tokens:
            held = self._tokens.remembered(facts, tokens)
            return held.opens() if held is not None else None
        known, lasting = parts.readers.opens(facts), parts.ended.alike(facts)
        if known is None:
            return None
        return lambda method, path, base: known(base) if lasting() else None

    def _plan(self, facts: Facts) -> Plan | Awaitable[Plan]:
        if ReadingAlong.serves(facts.path):
            return self._parts.replies.worded(facts, self._reading.plan(facts))
        if self._parts.documentation.hosts(facts):
            return self._parts.documentation.at_home(facts)
        if facts.method != facts.method.upper():  # some servers fold it, others do not
            raise Refusal(Slug.BAD_REQUEST, why=_("its method is not in capitals"))
        if own(facts.path):
            facts.notes.rule = "(own pages)"
            api = any(one.serves(facts.path) for one in _APIS)
            return self._hand_over(facts, ApiWork() if api else None)
        tokens = token_fields(facts)
        if tokens:
            token = self._tokens.remembered(facts, tokens)
            if token is not None:
                return self._by_rule(facts, token)
            return self._parts.replies.worded(facts, self._with_token(facts, tokens))
        return self._by_rule(facts)

    async def _with_token(self, facts: Facts, fields: tuple[TokenField, ...]) -> Plan:
        plan = self._by_rule(facts, await self._tokens.meet(facts, fields))
        return await plan if isinstance(plan, Awaitable) else plan

    def _by_rule(self, facts: Facts, token: TokenRequest | None = None) -> Plan | Awaitable[Plan]:
        if self._frozen.asks(facts):
            return self._parts.replies.worded(facts, self._once_known(facts, token))
        return self._ruled(facts, token)

    async def _once_known(self, facts: Facts, token: TokenRequest | None) -> Plan:
        """The same once it is known what is frozen, and who asks."""
        await self._frozen.settle(facts)
        plan = self._ruled(facts, token)
        return await plan if isinstance(plan, Awaitable) else plan

    def _ruled(self, facts: Facts, token: TokenRequest | None) -> Plan | Awaitable[Plan]:
        if self._parts.rules.by_rights(facts.method, facts.path):
            return self._parts.replies.worded(facts, self._by_rights(facts, token))
        return self._matched(facts, token)

    async def _by_rights(self, facts: Facts, token: TokenRequest | None) -> Plan:
        plan = self._matched(facts, token, await self._rights.asked(facts, token))
        return await plan if isinstance(plan, Awaitable) else plan

    def _matched(
        self, facts: Facts, token: TokenRequest | None, asked: Claim | None = None
    ) -> Plan | Awaitable[Plan]:
        matched = self._parts.rules.match(facts, asked=asked)
        denied = matched.rule is not None and matched.rule.policy is Policy.DENY
        if self._parts.fronts(facts.method, facts.path) and facts.opened and not denied:
            facts.notes.rule = "(own pages)"
            return self._hand_over(facts)
        # A login goes on without any credential that came with it.
        looked = None if _logs_in(facts, matched) else self._parts.ended.look(facts)
        if looked is not None:
            going_on = self._unless_ended(facts, matched, token, asked, looked)
            return self._parts.replies.worded(facts, going_on)
        return self._by_match(facts, matched, token, asked)

    async def _unless_ended(
        self,
        facts: Facts,
        matched: Matched,
        token: TokenRequest | None,
        asked: Claim | None,
        looked: Awaitable[Ended | None],
    ) -> Plan:
        ended = await looked
        if ended is not None:
            answer = self.refusal(facts, Slug.CREDENTIAL_ENDED)
            cleared = tuple(("Set-Cookie", value) for value in dict.fromkeys(ended.clears))
            return replace(answer, fields=(*answer.fields, *cleared))
        plan = self._by_match(facts, matched, token, asked)
        return await plan if isinstance(plan, Awaitable) else plan

    def _by_match(
        self, facts: Facts, matched: Matched, token: TokenRequest | None, asked: Claim | None
    ) -> Plan | Awaitable[Plan]:
        demand: FormDemand | None = token.upload() if token else None
        by_publisher = token is not None and token.published
        if self._only.active and not facts.safe and not by_publisher:
            its = self._only.demand(facts)
            demand = Both(its, demand) if its and demand else its or demand
        if taken_in(facts) and self._parts.response_of(matched.rule) in _UPLOADED:
            raise Refusal(Slug.NOT_PART_OF_A_PAGE)
        parts = self._parts
        frozen = self._frozen.check(facts, token, login=_logs_in(facts, matched))
        if frozen is not None:
            demand = Both(demand, frozen) if demand is not None else frozen
        upload = parts.transfers.upload(facts, token)
        if matched.needs_form or demand is not None:
            refuse = partial(self._refuse_form, token=token)
            project = FormProject(parts.upstream, asked) if asked is not None else None

            def decided(facts: Facts, rule: Rule | None, policy: Policy) -> Plan | Awaitable[Plan]:
                action = inspector.fields.get(ACTION, "")
                if parts.upstream.act(facts).by_form:
                    facts.notes.project, facts.notes.detail = about(inspector.judge)
                plan = self.decide(facts, rule, policy, token, inspector.asked, action)
                if upload is None:
                    return plan
                upload.by(rule)
                return noting(plan, upload)

            inspector = FormInspector(
                *(facts, matched, parts.rules, decided, refuse, demand, asked, project),
                note=upload,
                noted=NOTED,
            )
            return Inspect(inspector)
        decide = self._noted(facts, matched, token, asked, upload)
        pushed = upload.pushed if upload is not None and upload.pushes else None
        barred = self._only.active and pushes(parts.upstream, facts)
        by_xml = called_xml(facts, matched) or (token is not None and token.by_xml)
        by_xml = by_xml or self._frozen.holds_to_xml(facts)
        checks = self._frozen.push_checks(facts)
        if barred or checks or (pushed is not None and not by_xml):
            refused = partial(self._refuse_form, facts, token=token)
            checks += [self._only.check_push] if barred else []
            told = {} if pushed is None else {"told": pushed}
            return Inspect(PushInspector(facts, checks, decide, refused, **told))
        if by_xml:
            return Inspect(XmlInspector(facts, decide, parts.replies.refusal))
        return decide()

    def _noted(
        self,
        facts: Facts,
        matched: Matched,
        token: TokenRequest | None,
        asked: Claim | None,
        upload: Upload | None,
    ) -> Callable[[], Plan | Awaitable[Plan]]:
        """What a policy means for a request, with a note of what it transfers."""
        decide = partial(self.decide, facts, matched.rule, matched.policy, token, asked)
        note = upload or self._parts.transfers.download(facts, token)
        if note is None:
            return decide
        note.by(matched.rule)
        return lambda: noting(decide(), note)

    def _refuse_form(
        self, facts: Facts, refusal: Refusal, token: TokenRequest | None
    ) -> Answer | Awaitable[Answer]:
        self._frozen.note(facts, token, refusal)
        if token is None:
            return self._parts.replies.refusal(facts, refusal)
        return self._parts.replies.worded(facts, token.refuse(refusal))

    def decide(
        self,
        facts: Facts,
        rule: Rule | None,
        policy: Policy,
        token: TokenRequest | None = None,
        asked: Claim | None = None,
        action: str = "",
    ) -> Plan | Awaitable[Plan]:
        """What a policy means for a request. action: of its form, where that was read."""
        plan = self._decided(facts, rule, policy, token, asked)
        if rule is None or not rule.tried or token is not None:
            return plan
        return self.raw_uploads.watched(plan, facts, rule, action)

    def _decided(
        self,
        facts: Facts,
        rule: Rule | None,
        policy: Policy,
        token: TokenRequest | None,
        asked: Claim | None,
    ) -> Plan | Awaitable[Plan]:
        facts.notes.rule = rule_name(rule)
        looked = policy is not Policy.DENY and self._rights.may_be_new(rule, asked)
        if asked is not None and looked:
            known = self._if_known(facts, rule, policy, token, asked)
            return self._parts.replies.worded(facts, known)
        return self._decide(facts, rule, policy, token, asked)

    async def _if_known(
        self,
        facts: Facts,
        rule: Rule | None,
        policy: Policy,
        token: TokenRequest | None,
        asked: Claim,
    ) -> Plan:
        """The same where whoever asks may upload only what the index has."""
        await self._rights.check_known(facts, rule, asked, token)
        plan = self._decide(facts, rule, policy, token, asked)
        return await plan if isinstance(plan, Awaitable) else plan

    def _decide(
        self,
        facts: Facts,
        rule: Rule | None,
        policy: Policy,
        token: TokenRequest | None,
        asked: Claim | None,
    ) -> Plan | Awaitable[Plan]:
        base = self._base(rule, policy)
        renamed = self._parts.upstream.renamed(facts)
        if renamed:
            base = replace(base, replace=renamed)
        if rule is None and policy is not Policy.PASS and _uploads(facts):
            address = self._parts.upstream.upload_address(facts)
            if address:
                address = self._parts.public_url + address
                return self.refusal(facts, Slug.NOTHING_TO_UPLOAD_TO, address=address)
        if policy is Policy.DENY and rule is not None and rule.policy is not Policy.DENY:
            barred = self._rights.refuse(facts, rule, asked or Claim())
            return self._parts.replies.worded(facts, barred)
        if policy is Policy.DENY:
            return self.refusal(facts, Slug.DENIED)
        if rule is not None and rule.response is Response.DOCUMENTATION:
            lead = self._reading.lead(facts, rule, policy, base) if token is None else None
            if lead is not None:
                return self._parts.replies.worded(facts, lead)
            elsewhere = self._parts.documentation.elsewhere(facts, rule)
            if elsewhere is not None:
                return elsewhere
            base = self._parts.documentation.here(facts, base)
        if token is not None:
            at_once = token.at_once(policy, base)
            if at_once is not None:
                return at_once
            return self._parts.replies.worded(facts, token.forward(rule, policy, base))
        if policy is Policy.LOGIN and _sends_login(facts):
            return self._hand_over(facts, LoginWork(rule))
        if policy in (Policy.PASS, Policy.LOGIN):
            if self._parts.upstream.logs_out(facts.method, facts.path) and self._by_a_page(facts):
                return self.refusal(facts, Slug.CROSS_SITE)
            cut = self._guard.cut(facts, rule, base)
            if has_own_cookie(facts) or self._parts.upstream.logs_out(facts.method, facts.path):
                return self._with_session(facts, rule, base, cut)
            unnamed = self._rights.unnamed(facts, rule, base, cut)
            return unnamed or self.presented.plan(facts, rule, cut)
        if policy is Policy.AUTHENTICATED and not has_own_cookie(facts):
            plan = self._guard.remembered(facts, base)
            if plan is not None:
                return plan
        judge = GUARDED[policy]
        return self._parts.replies.worded(facts, judge(self._guard, facts, rule, base))

    def _hand_over(self, facts: Facts, work: LoginWork | ApiWork | None = None) -> Plan:
        if facts.method not in _HANDED:
            return self.refusal(facts, Slug.METHOD_NOT_ALLOWED)
        return HandOver(facts, work)

    async def _with_session(
        self, facts: Facts, rule: Rule | None, base: Forward, cut: Forward
    ) -> Plan:
        """A `pass` route goes on whatever happens to the store or the session.

        cut: `base` less what a browser added by itself, where that does not count.
        """
        parts = self._parts
        plan = cut
        try:
            if parts.upstream.logs_out(facts.method, facts.path):
                if await self._log_out(facts):
                    plan = base  # so that the index's own session ends, too
            else:
                plan = await self._guard.with_session(facts, rule, cut)
        except (Refusal, StoreUnavailable):
            pass
        unnamed = self._rights.unnamed(facts, rule, base, plan)
        presented = unnamed or self.presented.plan(facts, rule, plan)
        return await presented if isinstance(presented, Awaitable) else presented

    async def _log_out(self, facts: Facts) -> bool:
        """Logging out at the upstream ends the gateway's session too, and what the cookies stand
        for; whether it may."""
        if site_of(facts, self._parts.public_url) is not Site.OWN:
            return False
        cookie = self._parts.jar.read(facts, cookies.SESSION)
        if cookie:
            await self._parts.flow.earned.end(cookie, caller_of(facts))
        await self._parts.ended.end(facts)
        return True

    def _by_a_page(self, facts: Facts) -> bool:
        """Whether a page made the browser ask, not a person: another site's, or as a picture."""
        foreign = site_of(facts, self._parts.public_url) is Site.FOREIGN
        return foreign or facts.first("sec-fetch-mode") == "no-cors"

    def _base(self, rule: Rule | None, policy: Policy) -> Forward:
        """One object for all that go the same way: of a rule where that is counted."""
        private = policy not in (Policy.PASS, Policy.LOGIN)
        response = self._parts.response_of(rule)
        key = (rule_name(rule) if self._parts.named else "", response, private)
        way = self._ways.get(key)
        if way is None:
            fields = self._parts.treatments[response]
            self._ways[key] = way = Forward(answer_add=fields, private=private, rule=key[0])
        return way

    # -- answers --------------------------------------------------------------------------

    def sets_session(self, set_cookie: str) -> bool:
        return self.holding.concerns(set_cookie)

    async def hold(self, facts: Facts, status: int, fields: tuple[Field, ...]) -> Answer | None:
        return await self._parts.replies.worded(facts, self.holding.hold(facts, fields))

    def refusal(self, facts: Facts | None, slug: Slug, **detail: str) -> Answer:
        return self._parts.replies.refusal(facts, Refusal(slug, retry_after=None, **detail))


def rule_name(rule: Rule | None) -> str:
    """What a rule is called in numbers and logs."""
    return rule.name if rule is not None else "(default)"


def _sends_login(facts: Facts) -> bool:
    return not facts.safe or has_body(facts)


def _logs_in(facts: Facts, matched: Matched) -> bool:
    return not matched.needs_form and matched.policy is Policy.LOGIN and _sends_login(facts)


def _uploads(facts: Facts) -> bool:
    """Whether this is how programs upload; a browser would say where it comes from."""
    if facts.method != "POST" or facts.content_type != "multipart/form-data":
        return False
    return not any(
        name in ("sec-fetch-site", "sec-fetch-mode", "origin") for name, _ in facts.fields
    )


MAX_GUARDED_BODY: Final = 1024 * 1024
"""Bytes of a guarded change whose answer matters; such requests are small settings."""


def has_own_cookie(facts: Facts) -> bool:
    """Whether one of the gateway's cookies may be in the request; cheap, and never wrong the
    dangerous way."""
    header = facts.first("cookie")
    return header is not None and any(name in header for name in OWN_NAMES)
