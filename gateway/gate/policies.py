"""Routes that need more than a rule: gather the evidence, judge it, say how to go on.

The judging itself is `gateway.core.evidence`; this file asks the store and the upstream for what
it needs, in the order password, code, act.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from gateway.core.audit.events import About, Event
from gateway.core.errors import EARNED_ONLY, IN_THE_REQUEST, Refusal, Slug, credential_detail
from gateway.core.evidence import (
    BASIC,
    Code,
    Evidence,
    Shown,
    Site,
    Verdict,
    find_code,
    from_ours,
    judge,
    places,
    remembered,
    site_of,
)
from gateway.core.http import cookies
from gateway.core.http.facts import Facts
from gateway.core.login.models import Caller, Session, Verified, caller_of
from gateway.core.rules.rules import Policy, Rule
from gateway.core.upstream import Credential
from gateway.core.user_id import user_id
from gateway.core.wording import in_words
from gateway.gate.context import GateContext, guarded
from gateway.gate.index_tokens import IndexTokenEvidence
from gateway.gate.readers import Accepted, cleaned
from gateway.proxy.ports import Forward, HandOver, Plan

_BY_LOGIN: Final = frozenset({Slug.SECOND_FACTOR_REQUIRED, Slug.SECOND_FACTOR_STALE})


class RefusedUpload(NamedTuple):
    """Whose request would be refused, why, and what came with it ("password",
    "index_token", "nothing").
    user: an id, "" for nobody, or for more than one."""

    user: str
    slug: Slug
    carried: str


class Guard:
    """Decides on guarded requests. Raises `Refusal` and `StoreUnavailable`; the gate words them."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts
        self._index_tokens: Final = IndexTokenEvidence(parts)

    async def second_factor(self, facts: Facts, rule: Rule | None, base: Forward) -> Plan:
        """Forward only with evidence of a second factor that is young enough."""
        evidence = await self._evidence(facts, rule)
        proof: Verified | Session
        try:
            code = find_code(facts, evidence)
            if code is not None:
                proof, plan = await self._with_code(facts, rule, base, code)
            else:
                verdict = judge(evidence, max_age=self._max_age(rule), now=self._parts.clock())
                proof, plan = self._passed(facts, rule, base, evidence, verdict)
        except Refusal as refusal:
            await self._refused(facts, rule, evidence, refusal)
            raise
        facts.notes.user = proof.user_id
        if code is None and not facts.safe:  # before it happens; with a code it is recorded
            await self._parts.audit.record(
                *(Event.GUARDED_ACT, proof.user_id, caller_of(facts, rule).origin),
                factor=proof.factor,
                **self._about(facts)._asdict(),
            )
        # One that may change a password, or makes a token, is watched.
        user = self._parts.upstream.changes_password(facts)
        watched = user or self._index_tokens.makes_one(facts)
        return HandOver(facts, guarded(rule, user or "", proof, plan)) if watched else plan

    async def token(self, facts: Facts, rule: Rule | None, base: Forward) -> Plan:
        """Forward only what a login with a second factor earned, however long ago, and the
        index's own tokens that were made with one."""
        evidence, verdict = await self._as_token(facts, rule, await self._evidence(facts, rule))
        if not verdict.passes:
            home = self._parts.public_url + "/"
            detail = {"fix": EARNED_ONLY} if verdict.slug == Slug.SECOND_FACTOR_REQUIRED else {}
            raise Refusal(verdict.reason, retry_after=None, home=home, **verdict.detail, **detail)
        return self._forward(facts, base, evidence)

    async def _as_token(
        self, facts: Facts, rule: Rule | None, evidence: Evidence
    ) -> tuple[Evidence, Verdict]:
        caller = caller_of(facts, rule)
        added = await self._index_tokens.added(evidence, partial(self._taken, facts, caller=caller))
        return added, judge(added, max_age=None, now=self._parts.clock())

    async def refused_as_token(self, facts: Facts, rule: Rule | None) -> RefusedUpload | None:
        """What `token` would refuse of a request that the index has taken; None where it would
        not."""
        evidence = await self._evidence(facts, rule)
        try:
            verdict = (await self._as_token(facts, rule, evidence))[1]
            if verdict.passes:
                return None
            slug = verdict.reason
        except Refusal as refusal:
            slug = refusal.slug
        secrets = [one.carrier.credential for one in evidence.carriers]
        named = [one.secret for one in secrets if one is not None]
        handed_out = any(map(self._parts.upstream.hands_over, named))
        carried = "index_token" if handed_out else "password"
        anything = evidence.carriers or evidence.session is not None
        # Which of several the index took, nobody says: a wrong one may stand beside a right one.
        alone = len({one.user.lower() for one in secrets if one is not None}) < 2
        user = _claimed(evidence) if alone else ""
        return RefusedUpload(user, slug, carried if anything else "nothing")

    async def authenticated(self, facts: Facts, rule: Rule | None, base: Forward) -> Plan:
        """Forward with any credential the upstream itself accepts, or a session."""
        evidence = await self._evidence(facts, rule, verify=False)
        if not evidence.explicit and (evidence.carriers or evidence.session is not None):
            self._check_ambient(evidence)
        accepted = []
        for shown in evidence.carriers:
            accepted.append(await self._taken(facts, shown, caller_of(facts, rule)))
        people = {one.reader.user_id for one in accepted}
        if evidence.session is not None:
            people.add(evidence.session.user_id)
        if not people:
            raise Refusal(Slug.CREDENTIAL_REQUIRED)
        if len(people) > 1:
            raise Refusal(
                Slug.MIXED_CREDENTIALS, retry_after=None, **credential_detail(places(evidence))
            )
        facts.notes.user = min(people)
        if accepted:
            return self._parts.readers.forward(facts, base, accepted)
        return self._forward(facts, base, evidence)

    async def accepted(self, facts: Facts, rule: Rule | None) -> Credential | None:
        """A credential of the request once the index has accepted all of them; a session's where
        there is no other.

        Raises:
            Refusal: `credential_required`, `throttled`, `upstream_…`.
        """
        evidence = await self._evidence(facts, rule, verify=False)
        readers, caller = self._parts.readers, caller_of(facts, rule)
        taken = [await readers.accepted(facts, one.carrier, caller) for one in evidence.carriers]
        if taken:
            return taken[0].credential
        return evidence.session.upstream if evidence.session is not None else None

    def remembered(self, facts: Facts, base: Forward) -> Forward | None:
        """The way by an `authenticated` rule that needs no question; None where one is needed."""
        return self._parts.readers.at_once(facts, base) if facts.safe else None

    def _check_ambient(self, evidence: Evidence) -> None:
        """A request with nothing but what a browser sends by itself.

        Raises:
            Refusal: `session_not_enough`, `cross_site`.
        """
        home = self._parts.public_url + "/"
        if evidence.shut:
            detail = credential_detail(places(evidence))
            raise Refusal(evidence.closed, retry_after=None, home=home, **detail)
        if not from_ours(evidence, explicit=False):
            raise Refusal(Slug.CROSS_SITE, home=home)

    async def _taken(self, facts: Facts, shown: Shown, caller: Caller) -> Accepted:
        """What the index accepts; a refusal says which credential it is about."""
        try:
            return await self._parts.readers.accepted(facts, shown.carrier, caller)
        except Refusal as refusal:
            if refusal.slug != Slug.CREDENTIAL_REQUIRED:
                raise
            detail = credential_detail((shown.carrier.place,))
            raise Refusal(Slug.CREDENTIAL_REQUIRED, retry_after=None, **detail) from None

    async def with_session(self, facts: Facts, rule: Rule | None, base: Forward) -> Forward:
        """A `pass` request of a browser that has a session: lend it the session's credential.

        Never fails: without a session (or a store) the request goes on as it is.
        """
        evidence = await self._evidence(facts, rule, verify=False)
        return self._forward(facts, base, evidence)

    def cut(self, facts: Facts, rule: Rule | None, base: Forward) -> Forward:
        """An unsafe `pass` request without what a browser added to it by itself, where a foreign
        page started it, or a page of ours by a rule that takes no sessions for changes."""
        site = site_of(facts, self._parts.public_url)
        if facts.safe or site is Site.UNKNOWN:
            return base
        if site is Site.OWN and self._by_session(rule):
            return base
        replaced = dict(base.replace)
        header = facts.first("cookie")
        if header is not None:
            kept = cookies.without_named(header, self._parts.upstream.session_cookies)
            replaced["cookie"] = cookies.without_own_cookies(kept) or None
        if remembered(facts, site):
            replaced[BASIC] = None
        return replace(base, replace=replaced)

    def _by_session(self, rule: Rule | None) -> bool:
        return self._parts.acts_by_session if rule is None else rule.session

    # -- steps ----------------------------------------------------------------------------

    async def _evidence(self, facts: Facts, rule: Rule | None, *, verify: bool = True) -> Evidence:
        parts = self._parts
        site = site_of(facts, parts.public_url)
        by_itself = remembered(facts, site)
        carriers = []
        verify = verify and parts.upstream.logs_in
        for carrier in parts.upstream.carriers(facts):
            known = None
            if verify and carrier.credential is not None:
                known = await parts.flow.earned.verified(carrier.credential)
            carriers.append(Shown(carrier, known, by_itself))
        cookie = parts.jar.read(facts, cookies.SESSION)
        session = await parts.flow.earned.session(cookie) if cookie else None
        return Evidence(tuple(carriers), session, site, facts.safe, self._by_session(rule))

    def _max_age(self, rule: Rule | None) -> float:
        own = rule.max_age if rule is not None else None
        return self._parts.max_age if own is None else own

    def _passed(
        self,
        facts: Facts,
        rule: Rule | None,
        base: Forward,
        evidence: Evidence,
        verdict: Verdict,
    ) -> tuple[Verified | Session, Forward]:
        if not verdict.passes or verdict.proof is None:
            # Where sessions do not count, a login in a browser would lead nowhere.
            fix = {"fix": IN_THE_REQUEST} if evidence.shut and verdict.slug in _BY_LOGIN else {}
            raise Refusal(
                verdict.reason,
                retry_after=None,
                max_age=in_words(self._max_age(rule)),
                home=self._parts.public_url + "/",
                **verdict.detail,
                **fix,
            )
        return verdict.proof, self._forward(facts, base, evidence)

    async def _with_code(
        self, facts: Facts, rule: Rule | None, base: Forward, code: Code
    ) -> tuple[Verified, Forward]:
        """Password first, then the code, then the act: nobody learns of codes without it."""
        parts = self._parts
        caller = caller_of(facts, rule)
        who, act = user_id(code.user), None if facts.safe else self._about(facts)
        prove = partial(parts.flow.at_once.prove, code.user, code.text, (), caller, act=act)
        if code.credential is None:
            factor = await prove()
        else:
            secret = code.credential.secret
            async with await parts.flow.proofs.trying(code.user, secret, caller) as attempt:
                if await parts.passwords.right(code.credential) is None:
                    await attempt.wrong()
                    raise Refusal(Slug.PASSWORD_INVALID)
                attempt.passed()
                factor = await prove(guess=attempt)
        plan = base
        if code.cut and code.carrier is not None and code.credential is not None:
            changed = parts.upstream.with_secret(facts, code.carrier, code.credential.secret)
            plan = replace(base, replace={**base.replace, **cleaned(changed)})
        return Verified(who, parts.clock(), factor), plan

    def _forward(self, facts: Facts, base: Forward, evidence: Evidence) -> Forward:
        """Lend the session's credential to a request that carries none of its own."""
        session = evidence.session
        lends = session is not None and not evidence.carriers and session.upstream is not None
        if not lends or evidence.shut or not from_ours(evidence, explicit=False):
            return base
        assert session is not None and session.upstream is not None
        added = tuple(
            _merged(facts, name, value)
            for name, value in self._parts.upstream.present(session.upstream)
        )
        return replace(base, add=(*base.add, *added))

    def _about(self, facts: Facts) -> About:
        """What a change is about, as its head or its form says."""
        named = self._parts.upstream.act(facts).named
        return About(named or facts.notes.project, facts.notes.detail)

    async def _refused(
        self, facts: Facts, rule: Rule | None, evidence: Evidence, refusal: Refusal
    ) -> None:
        """Record who was refused, as far as somebody is named; the trail rations strangers."""
        who = _claimed(evidence)
        if not who or facts.safe:
            return
        await self._parts.audit.record(
            *(Event.GUARDED_REFUSED, who, caller_of(facts, rule).origin),
            detail=refusal.slug,
            project=self._about(facts).project,
        )


def _claimed(evidence: Evidence) -> str:
    """The user id a request names, proven or not; "" for none that can be used."""
    names = [shown.verified.user_id for shown in evidence.carriers if shown.verified]
    if evidence.session is not None:
        names.append(evidence.session.user_id)
    read = [shown.carrier.credential for shown in evidence.carriers]
    names += [credential.user for credential in read if credential is not None]
    for name in names:
        try:
            return user_id(name)
        except Refusal:
            continue
    return ""


def _merged(facts: Facts, name: str, value: str) -> tuple[str, str]:
    """A field to add; a cookie joins the cookies the request has."""
    if name.lower() != "cookie":
        return name, value
    others = cookies.without_own_cookies(facts.first("cookie") or "")
    return name, f"{value}; {others}" if others else value


GUARDED: Final = {
    Policy.SECOND_FACTOR: Guard.second_factor,
    Policy.TOKEN: Guard.token,
    Policy.AUTHENTICATED: Guard.authenticated,
}
"""Which policy is judged how."""
