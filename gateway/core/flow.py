"""The login flow and what it leaves behind: pending logins, sessions, verified credentials.

This is the facade the pages (`web`) and the gate (`app`) call. It knows the store, the keys,
the factors and the clock; it knows no HTTP library. Order is always: password first (judged by
the upstream, before anything here is called), then the factor, then the act.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.core.audit import Origin
from gateway.core.facts import IPAddress
from gateway.core.upstream import Credential, Issued


class Enrolment(StrEnum):
    REQUIRED = "required"
    OPTIONAL = "optional"
    INVITE = "invite"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: address for the throttle, the rest for the audit trail."""

    address: IPAddress | None
    origin: Origin


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
    """A login whose second factor is still missing. It is never a session."""

    id: str
    user: str
    user_id: str
    step: Step
    goto: str
    expires: float


@dataclass(frozen=True, slots=True)
class Passed:
    """A login that passed: the session cookie's value and what was held back."""

    session_cookie: str = field(repr=False)
    held: Held = field(repr=False)
    user_id: str


@dataclass(frozen=True, slots=True)
class Session:
    """A live session. proved_at: when a second factor last passed on it (0: never)."""

    id: str
    user: str
    user_id: str
    proved_at: float
    factor: str
    created: float
    last_seen: float
    upstream: Credential | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Verified:
    """A verified credential: a login that passed the second factor earned it."""

    user_id: str
    proved_at: float
    factor: str


class Flow:
    """The facade. Every method may raise `StoreUnavailable`; refusals are `Refusal`s."""

    async def begin(
        self, user: str, held: Held, caller: Caller, *, device_cookie: str = ""
    ) -> Begun:
        """A first factor passed in a browser: open a pending login (or pass, see `Step`).

        Raises:
            Refusal: `invite_required` (no factor, enrolment by invitation only, no live
                invitation), `throttled`.
        """
        raise NotImplementedError

    async def pending(self, cookie: str) -> Pending | None:
        """The live pending login behind that cookie."""
        raise NotImplementedError

    async def prove(self, cookie: str, kind: str, answer: str, caller: Caller) -> Passed:
        """Finish a pending login with a factor ("totp", "recovery", "webauthn").

        The pending login is burnt, a session with a new id opened, the held credentials
        become verified.

        Raises:
            Refusal: `pending_expired`, `otp_invalid`, `throttled`.
        """
        raise NotImplementedError

    async def prove_now(
        self, user: str, code: str | None, issued: tuple[Issued, ...], caller: Caller
    ) -> str:
        """A first factor passed in a request that carries its code (or carries none).

        On success `issued` become verified. Returns the factor used, "" where enrolment is
        optional and the person has none.

        Raises:
            Refusal: `otp_required`, `otp_invalid`, `not_enrolled`, `invite_required`,
                `throttled`.
        """
        raise NotImplementedError

    async def session(self, cookie: str) -> Session | None:
        """The live session behind that cookie (idle and absolute limits, epoch checked)."""
        raise NotImplementedError

    async def verified(self, credential: Credential) -> Verified | None:
        """Whether a login that passed the second factor earned this credential, and whose."""
        raise NotImplementedError

    async def password_changed(
        self, user: str, fresh: Issued | None, proof: Verified | Session, caller: Caller
    ) -> None:
        """A password changed: end the user's sessions, devices and verified credentials.

        `fresh` becomes verified if `proof` is of the same user.
        """
        raise NotImplementedError

    async def end(self, cookie: str, caller: Caller) -> None:
        """Log out: end the session behind that cookie."""
        raise NotImplementedError
