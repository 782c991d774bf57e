"""Setting up a factor: a secret or a key is offered, confirmed, and only then part of the account.

Until the last step nothing in the account changes, so an enrolment that is broken off anywhere
locks nobody out; the last step is one conditional write, so one that was acknowledged stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.logins import Caller, Passed, Pending, Session


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """What the person puts into an authenticator app.

    secret: base32, 32 characters. uri: otpauth://totp/… (Key URI Format).
    """

    name: str
    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """How far an enrolment has come after a step.

    codes: recovery codes to show now, once; then `finish` completes the enrolment. Empty:
        it is complete.
    passed: the login, where the enrolment was part of one and is complete.
    cookie: the new session cookie's value, where it was done on a session and is complete.
    """

    codes: tuple[str, ...] = field(default=(), repr=False)
    passed: Passed | None = field(default=None, repr=False)
    cookie: str = field(default="", repr=False)


class Enrolling:
    """One enrolment at a time per pending login or session (`who`).

    On a session every step needs a proof within `limits.step_up`, else Refusal
    `step_up_required`. A `who` that is not at Step.ENROL: `pending_expired`.
    """

    async def totp(self, who: Pending | Session, name: str) -> TotpOffer:
        """Offer a new secret; an earlier offer to the same `who` is void.

        Raises:
            Refusal: `name_taken`, `too_many_factors`, `step_up_required`.
        """
        raise NotImplementedError

    async def offered(self, who: Pending | Session) -> TotpOffer | None:
        """The secret on offer, to show the page again; None where there is none."""
        raise NotImplementedError

    async def confirm_totp(self, who: Pending | Session, code: str, caller: Caller) -> Enrolled:
        """Confirm the secret on offer with a code.

        Raises:
            Refusal: `otp_invalid`, `clock_off` (with {offset}, "about 2 minutes slow"),
                `enrolment_expired`, `throttled`.
        """
        raise NotImplementedError

    async def webauthn(self, who: Pending | Session, name: str) -> str:
        """Options as JSON for navigator.credentials.create(); refusals as for `totp`."""
        raise NotImplementedError

    async def confirm_webauthn(
        self, who: Pending | Session, answer: str, caller: Caller
    ) -> Enrolled:
        """Confirm a key with the browser's answer (JSON).

        Raises:
            Refusal: `key_refused`, `enrolment_expired`.
        """
        raise NotImplementedError

    async def recovery(self, who: Session, caller: Caller) -> Enrolled:
        """New recovery codes, for a person who has factors; `finish` replaces the old ones."""
        raise NotImplementedError

    async def shown_again(self, who: Pending | Session) -> Enrolled:
        """Fresh recovery codes for an enrolment that waits for `finish` (a page lost)."""
        raise NotImplementedError

    async def finish(
        self, who: Pending | Session, caller: Caller, *, code: str = "", saved: bool = False
    ) -> Enrolled:
        """Complete: one of the codes typed, or the tick that they are saved.

        Raises:
            Refusal: `recovery_unconfirmed`, `enrolment_expired`.
        """
        raise NotImplementedError
