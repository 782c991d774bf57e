"""The values of a login: pending login, session, their parts, and who asks."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import Final

from gateway.core.accounts.repository import StoredAccount
from gateway.core.audit.events import Origin
from gateway.core.http.facts import Facts, IPAddress
from gateway.core.rules.rules import Rule
from gateway.core.tokens.models import TokenLimits
from gateway.core.upstream import Credential, Issued
from gateway.core.values import dataclass

BY_DEVICE: Final = "device"
"""The factor of a login from a remembered device: none was shown."""


class Enrolment(StrEnum):
    """Who has to set up a second factor.

    REQUIRED: everybody, at their first login. OPTIONAL: who wants to. INVITE: everybody, and
    setting up the first one takes an invitation, so that a stolen password cannot.
    """

    REQUIRED = "required"
    OPTIONAL = "optional"
    INVITE = "invite"


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """What an administrator decides about logins. Times in seconds.

    public_url: without a trailing slash; its host is the WebAuthn RP ID.
    origins: origins WebAuthn answers may come from, besides that of public_url.
    required_from: before this moment people without a factor pass with a banner; None: at once.
    max_age: how old a proof may be where a rule does not say otherwise.
    step_up: how old a proof may be for a change of factors, or for approving a login.
    pending: how long a login may wait for its second factor.
    idle, absolute: a session ends this long after its last use, and after its start.
    sessions: live sessions of one person; the oldest ends.
    remember: how long a remembered device passes without a code; 0 turns that off.
    credential: how long a verified credential of unknown lifetime counts.
    token_age: how long an API token may live. token_manage: whether one may change more than
        uploads do.
    """

    enrolment: Enrolment = Enrolment.REQUIRED
    issuer: str = "Package index"
    public_url: str = "http://localhost:8080"
    origins: tuple[str, ...] = ()
    required_from: float | None = None
    max_age: float = 12 * 3600
    step_up: float = 120
    pending: float = 600
    idle: float = 8 * 3600
    absolute: float = 24 * 3600
    sessions: int = 20
    remember: float = 30 * 86400
    credential: float = 12 * 3600
    approval: float = 120
    enrolling: float = 1800
    invitation: float = 86400
    challenge: float = 300
    token_age: float = 365 * 86400
    token_manage: bool = False

    @property
    def tokens(self) -> TokenLimits:
        """The same about API tokens: they name the host of the index as theirs."""
        host = self.public_url.partition("//")[2].partition("/")[0]
        return TokenLimits(host, self.token_age, self.token_manage)

    @property
    def refused_from(self) -> float | None:
        """When people without a factor begin to be refused, in epoch seconds.

        0: always, None: never."""
        return None if self.enrolment is Enrolment.OPTIONAL else self.required_from or 0.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: address for the throttle, origin for the audit trail.

    language: what the person is spoken to in, for what is written to them; "" where nothing
        tells (a program).
    """

    address: IPAddress | None
    origin: Origin
    language: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The upstream's answer to a login, kept back until the second factor has passed.

    issued: credentials that become verified.
    set_cookie: raw Set-Cookie values to hand to the browser afterwards.
    goto: the local target the browser goes to afterwards ("" for the front page).
    session: the credential the gateway itself uses for requests on the session.
    """

    issued: tuple[Issued, ...] = ()
    set_cookie: tuple[str, ...] = field(default=(), repr=False)
    goto: str = ""
    session: Credential | None = None


class Step(StrEnum):
    """What comes next after the first factor."""

    PASSED = "passed"  # no factor asked for (optional enrolment, or a remembered device)
    VERIFY = "verify"
    ENROL = "enrol"


@dataclass(frozen=True, slots=True)
class Begun:
    """A login after its first factor. cookie: value of the pending-login cookie (or, where
    step is PASSED, of the session cookie)."""

    step: Step
    cookie: str = field(repr=False)
    held: Held | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Pending:
    """A login whose second factor is still missing. It is never a session.

    kinds: the kinds of factor the person has, the last used first.
    held, epoch, invitation, stored: for the flow itself; pages need none of them.
    """

    id: str
    user: str
    user_id: str
    step: Step
    goto: str
    expires: float
    kinds: tuple[str, ...] = ()
    held: Held = field(default_factory=Held, repr=False)
    epoch: int = 0
    invitation: str = field(default="", repr=False)
    stored: StoredAccount | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Passed:
    """A login that passed: the session cookie's value and what was held back.

    device_cookie: value of the cookie that remembers this device, "" if it was not asked for.
    """

    session_cookie: str = field(repr=False)
    held: Held = field(repr=False)
    user_id: str
    device_cookie: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A live session.

    proved_at: when a second factor last passed on it. Where a person may be without one
        (`enrolment: optional`, or before `required_from`), the time of the login.
    factor: the kind that passed; "" for none.
    upstream: what requests on this session are forwarded with; None after a sign-in by
        passkey where no credential of the upstream was at hand.
    """

    id: str
    user: str
    user_id: str
    proved_at: float
    factor: str
    created: float
    last_seen: float
    upstream: Credential | None = field(default=None, repr=False)
    epoch: int = 0
    address: str = ""
    user_agent: str = field(default="", repr=False)
    holds: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Verified:
    """A verified credential: a login that passed the second factor earned it.

    proved_at and factor as in `Session`.
    """

    user_id: str
    proved_at: float
    factor: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command-line login that waits to be approved in a browser."""

    id: str
    user_id: str
    address: str
    user_agent: str
    expires: float
    approved: bool


def caller_of(facts: Facts, rule: Rule | None = None, *, secret: str = "") -> Caller:
    """The caller of a request.

    Args:
        rule: the rule that matched, None on the gateway's own pages.
        secret: the end of the path where that must not be recorded (an invitation, say).
    """
    return Caller(
        facts.client,
        Origin(
            address=str(facts.client or ""),
            user_agent=facts.user_agent,
            method=facts.method,
            path=facts.path.removesuffix(secret),
            rule=rule.name if rule else "",
        ),
    )
