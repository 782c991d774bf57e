"""The login flow and what it leaves behind: pending logins, sessions, verified credentials.

This is the facade the pages (`web`) and the gate (`app`) call. It knows the store, the keys,
the factors and the clock; it knows no HTTP library. Order is always: password first (judged by
the upstream, before anything here is called), then the factor, then the act.
"""

from __future__ import annotations

from typing import Final

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.login.approvals import Answered
from gateway.core.login.browser import Entering, Passkeys, may_lack_factor
from gateway.core.login.enrolment import Enrolling
from gateway.core.login.in_request import AtOnce, fresh_proof
from gateway.core.login.models import (
    Begun,
    Caller,
    Enrolment,
    FlowLimits,
    Held,
    Passed,
    Pending,
    Session,
    Step,
    Verified,
    Waiting,
)
from gateway.core.login.self_service import Manage
from gateway.core.login.services import Services
from gateway.core.notices.events import Notice
from gateway.core.store import Key
from gateway.core.throttle.known_good import LIFE as KNOWN_FOR
from gateway.core.throttle.passwords import Guess
from gateway.core.upstream import Credential, Issued
from gateway.core.wording import device_name

__all__ = [
    "Begun",
    "Caller",
    "Enrolment",
    "Flow",
    "FlowLimits",
    "Held",
    "Passed",
    "Pending",
    "Session",
    "Step",
    "Verified",
    "Waiting",
]


SWEEP_EVERY: Final = 300.0
"""Seconds between two looks for sessions and devices whose time is over."""


class Flow:
    """The facade. Every method may raise `StoreUnavailable`; refusals are `Refusal`s.

    limits: what was decided about logins. enrolling: setting up factors, before or after a
    login is complete. manage: everything on the security pages. guessing: passwords on trial.
    """

    def __init__(self, parts: Services) -> None:
        self.limits = parts.limits
        self._services = parts
        self._entering = Entering(self._services)
        self._passkeys = Passkeys(self._services)
        self._at_once = AtOnce(self._services)
        self.enrolling = Enrolling(self._services, self._entering)
        self.manage = Manage(self._services)
        self.guessing = parts.guessing

    async def reachable(self) -> None:
        """Touch the store, as a health check wants it.

        Raises:
            StoreUnavailable
        """
        await self._services.store.get(Key("health", "", ""))

    # -- before the upstream is asked ------------------------------------------------------

    async def trying(self, user: str, secret: str, caller: Caller, *, hasty: bool = False) -> Guess:
        """Count a password before the upstream is asked; tell the attempt what it said.

        Nothing is kept under the name, known or not: it can lock nobody out and tells nothing.

        Args:
            hasty: the request goes on where the store is away.

        Raises:
            Refusal: `throttled`.
        """
        attempt = self._services.guessing.attempt(caller.address, user, secret, hasty=hasty)
        return await self._services.proofs.begun(attempt, caller)

    def known_right(
        self, user: str, secret: str, caller: Caller, *, within: float = KNOWN_FOR
    ) -> bool:
        """Whether the upstream took this credential, from this network, so many seconds ago."""
        guessing = self._services.guessing
        return guessing.known_right(guessing.mark(caller.address, user, secret), within=within)

    # -- logins in a browser ---------------------------------------------------------------

    async def begin(
        self,
        user: str,
        held: Held,
        caller: Caller,
        *,
        device_cookie: str = "",
        invitation: str = "",
    ) -> Begun:
        """A first factor passed in a browser: open a pending login (or pass, see `Step`).

        Args:
            invitation: the token of an invitation link, "" without one.

        Raises:
            Refusal: `invite_required` (no factor, enrolment by invitation only, no live
                invitation), `unusable_name`.
        """
        return await self._entering.begin(
            user, held, caller, device_cookie=device_cookie, invitation=invitation
        )

    async def pending(self, cookie: str) -> Pending | None:
        """The live pending login behind that cookie."""
        return await self._entering.pending(cookie)

    async def kinds(self, session: Session) -> tuple[str, ...]:
        """The kinds of factor a signed-in person can step up with, the last used first."""
        account = await self._services.accounts.get(session.user_id)
        return self._services.proofs.kinds(account) if account else ()

    async def ask(self, who: Pending | Session, kind: str) -> str:
        """What the browser needs to answer with a factor (WebAuthn: options as JSON).

        Makes a fresh challenge, good for one answer; "" for factors that are typed.
        """
        factor = self._services.factors.get(kind)
        account = await self._services.accounts.get(who.user_id)
        if factor is None or not factor.asks or account is None:
            return ""
        return factor.ask(account, await self._services.challenges.new(who.id))

    async def prove(
        self, cookie: str, kind: str, answer: str, caller: Caller, *, remember: bool = False
    ) -> Passed:
        """Finish a pending login with a factor ("totp", "recovery", "webauthn").

        The pending login is burnt, a session with a new id opened, the held credentials
        become verified.

        Args:
            remember: also remember this device.

        Raises:
            Refusal: `pending_expired`, `otp_invalid`, `throttled`.
        """
        return await self._entering.prove(cookie, kind, answer, caller, remember=remember)

    def passkey_ask(self) -> tuple[str, str]:
        """For a sign-in without a user name: a ticket for the form, and the options as JSON."""
        return self._passkeys.ask()

    async def passkey_login(
        self,
        ticket: str,
        answer: str,
        caller: Caller,
        *,
        device_cookie: str = "",
        goto: str = "",
    ) -> Passed:
        """Sign in with a passkey alone (user verification required).

        The session has an upstream credential only where this browser is remembered and the
        one sealed for it is still good; otherwise it is good for the gateway's own pages.

        Raises:
            Refusal: `otp_invalid`, `throttled`, `pending_expired` (the ticket was used).
        """
        return await self._passkeys.login(
            ticket, answer, caller, device_cookie=device_cookie, goto=goto
        )

    # -- logins in one request -------------------------------------------------------------

    async def prove_now(
        self, user: str, code: str | None, issued: tuple[Issued, ...], caller: Caller
    ) -> str:
        """A first factor passed in a request that carries its code (or carries none).

        On success `issued` become verified. Returns the factor used, "" where a person may be
        without one and is, "approval" where the login was approved in the browser.

        Raises:
            Refusal: `otp_required` (with {approve} where it can be approved in a browser),
                `otp_invalid`, `not_enrolled`, `invite_required`, `throttled`.
        """
        return await self._at_once.prove(user, code, issued, caller)

    # -- afterwards ------------------------------------------------------------------------

    async def session(self, cookie: str) -> Session | None:
        """The live session behind that cookie (idle and absolute limits, epoch checked)."""
        session = await self._services.sessions.get(cookie)
        return session if session is not None and self._good(session) else None

    async def verified(self, credential: Credential) -> Verified | None:
        """Whether a login that passed the second factor earned this credential, and whose."""
        verified = await self._services.credentials.find(credential)
        return verified if verified is not None and self._good(verified) else None

    def _good(self, proof: Verified | Session) -> bool:
        """What was earned without a factor ends when one becomes required."""
        return bool(proof.factor) or may_lack_factor(self._services)

    def check_fresh(self, session: Session) -> None:
        """Raises Refusal `step_up_required` where a factor has to be shown before a change."""
        fresh_proof(self._services, session)

    async def step_up(self, cookie: str, kind: str, answer: str, caller: Caller) -> str:
        """Prove a factor again on a live session: the new session cookie's value.

        Raises:
            Refusal: `pending_expired` (no such session), `otp_invalid`, `throttled`.
        """
        return await self._at_once.step_up(cookie, kind, answer, caller)

    async def password_changed(
        self, user: str, fresh: Issued | None, proof: Verified | Session, caller: Caller
    ) -> None:
        """A password changed: end the user's sessions, devices and verified credentials.

        `fresh` becomes verified if `proof` is of the same user.
        """
        await self._at_once.password_changed(user, fresh, proof, caller)

    async def end(self, cookie: str, caller: Caller) -> None:
        """Log out: end the session behind that cookie and the credentials its login earned."""
        session = await self._services.sessions.get(cookie)
        if session is not None and await self._services.sessions.end(session.user_id, session.id):
            await self._services.credentials.drop(session.user_id, session.holds)
            await self._services.audit.record(
                Event.SESSION_ENDED, session.user_id, caller.origin, detail="logged out"
            )

    # -- approving a command-line login in a browser -----------------------------------------

    async def sweep(self) -> None:
        """End, and record, every session and remembered device whose time is over.

        Done every few minutes, by one of the gateways on a store.
        """
        turn = Key("told", "", "sweep")
        if await self._services.store.claim(turn, expires=self._services.clock() + SWEEP_EVERY - 1):
            for user_id in await self._services.accounts.ids():
                await self._services.sweep(user_id)

    async def waiting(self, session: Session, id: str) -> Waiting | None:
        """The command-line login that an approval address names, if it is this person's."""
        return await self._services.approvals.find(session.user_id, id)

    async def approve(self, session: Session, id: str, number: str, caller: Caller) -> None:
        """Let the next try by the same client pass, once, within two minutes.

        Args:
            number: the two digits that the command line shows; "" says that it is not the
                person's own login. A wrong one denies, and the person is told.

        Raises:
            Refusal: `step_up_required`, `approval_gone` (no such login waits), `approval_denied`.
        """
        fresh_proof(self._services, session)
        waiting = await self.waiting(session, id)
        if waiting is None or not session.factor:
            raise Refusal(Slug.APPROVAL_GONE)
        answered = await self._services.approvals.answer(session.user_id, id, number)
        if answered is Answered.GONE:
            raise Refusal(Slug.APPROVAL_GONE)
        client = f"{device_name(waiting.user_agent)} from {waiting.address or 'no address'}"
        denied = answered is Answered.DENIED
        event = Event.COMMAND_LINE_DENIED if denied else Event.COMMAND_LINE_APPROVED
        await self._services.audit.record(event, session.user_id, caller.origin, detail=client)
        if denied:
            await self._services.notifier.notify(
                Notice.LOGIN_DENIED, session.user_id, caller.origin, detail=client
            )
            raise Refusal(Slug.APPROVAL_DENIED)
