"""What the gate and its handlers share: the parts of one running gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.audit.trail import Trail
from gateway.core.clock import Clock
from gateway.core.counters import Counters
from gateway.core.http.cookies import Jar
from gateway.core.http.facts import Facts, Field
from gateway.core.http.responses import Response
from gateway.core.login.flow import Flow
from gateway.core.login.models import Session, Verified
from gateway.core.publishing.exchange import TokenExchange
from gateway.core.rules.rules import Rule, RuleSet
from gateway.core.tokens.leaks import LeakReports
from gateway.core.tokens.tokens import Tokens
from gateway.core.upstream import Upstream
from gateway.core.urls import FRONT
from gateway.gate.documentation import Documentation
from gateway.gate.ended import EndedCredentials
from gateway.gate.first_factor import Passwords
from gateway.gate.mail_address import Mailboxes
from gateway.gate.readers import Readers
from gateway.gate.replies import Replies
from gateway.gate.scoped_tokens import ScopedTokens
from gateway.gate.token_credentials import TokenCredentials
from gateway.gate.transfers import Transfers
from gateway.proxy.ports import Forward
from gateway.upstreams.client import Calls


@dataclass(frozen=True, slots=True)
class GateContext:
    """Made once per process.

    public_url: without a trailing slash. max_age: seconds; how old a second factor may be where
    a rule does not say. acts_by_session: the same for `Rule.session`. login_body: bytes of a login
    at most.
    scoped: makes what API tokens stand for, where that is not the password.
    response: how browsers are to treat answers where a rule does not say.
    named: whether requests that go on are told apart by their rule.
    front_page: whether browsers get a page of ours at `/`.
    """

    upstream: Upstream
    rules: RuleSet
    flow: Flow
    audit: Trail
    calls: Calls
    passwords: Passwords
    mailboxes: Mailboxes
    replies: Replies
    jar: Jar
    clock: Clock
    public_url: str
    max_age: float
    login_body: int
    documentation: Documentation
    response: Response
    treatments: Mapping[Response, tuple[Field, ...]]
    acts_by_session: bool
    tokens: Tokens
    token_credentials: TokenCredentials
    scoped: ScopedTokens | None
    ended: EndedCredentials
    exchange: TokenExchange
    leaks: LeakReports
    readers: Readers
    counters: Counters
    transfers: Transfers
    named: bool = False
    front_page: bool = False

    def response_of(self, rule: Rule | None) -> Response:
        """How browsers are to treat the answer to a request that a rule decided on."""
        found = rule.response if rule is not None else None
        return found or self.response

    def fronts(self, method: str, path: str) -> bool:
        """Whether a browser that asks so is answered here, if no rule denies it."""
        return self.front_page and path == FRONT and method == "GET"

    def treatment_of(self, rule: Rule | None) -> tuple[Field, ...]:
        """What says so to them."""
        return self.treatments[self.response_of(rule)]

    def own_fields(self, facts: Facts) -> tuple[Field, ...]:
        """What every request to the upstream carries from the gateway."""
        return self.upstream.own_fields(self.public_url, facts.client)


@dataclass(frozen=True, slots=True)
class LoginWork:
    """Handed over: a login at the upstream's own login route."""

    rule: Rule | None


@dataclass(frozen=True, slots=True)
class ApiWork:
    """Handed over: a program asks something of the gateway itself."""


@dataclass(frozen=True, slots=True)
class GuardedWork:
    """Handed over: a guarded change whose answer has to be looked at.

    user: whose password it may change, "" where it makes a token.
    proof: the evidence it passed with.
    replace, add: as in `gateway.proxy.ports.Forward`.
    """

    rule: Rule | None
    user: str
    proof: Verified | Session = field(repr=False)
    replace: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    add: tuple[Field, ...] = field(default=(), repr=False)


def guarded(rule: Rule | None, user: str, proof: Verified | Session, plan: Forward) -> GuardedWork:
    return GuardedWork(rule, user, proof, plan.replace, plan.add)
