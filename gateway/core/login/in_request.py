"""Proofs that come with the act: a code in a login request, a step up, a changed password."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.core.accounts.records import Account
from gateway.core.audit.events import About, Beside, Event, Origin
from gateway.core.errors import Refusal, Slug
from gateway.core.login.browser import invitation_needed, may_lack_factor
from gateway.core.login.drafts import codes_of
from gateway.core.login.models import Caller, Pending, Session, Verified
from gateway.core.login.services import Services
from gateway.core.login.verification import Proved
from gateway.core.phrases import _
from gateway.core.store import StoreStep
from gateway.core.throttle.passwords import Guess
from gateway.core.upstream import Issued
from gateway.core.urls import APPROVE, ENROL, LOGIN
from gateway.core.user_id import user_id as id_of
from gateway.core.values import dataclass

_FIRST_TIME: Final = _(
    "Type it after the password and a comma: PASSWORD,123456. Or log in at {login} in a browser, "
    "then try again here: you are told how to approve it there."
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a login leaves in the store. The rest as in `AtOnce.prove`."""

    services: Services
    user_id: str
    issued: tuple[Issued, ...]
    caller: Caller
    act: About | None
    guess: Guess | None

    async def effect(self, proved: Proved, steps: Sequence[StoreStep]) -> bool:
        epoch = proved.account.epoch
        return await self.record(Event.LOGIN, proved.kind, proved.label, epoch, first=steps)

    async def record(
        self, event: Event, kind: str, label: str, epoch: int, *, first: Sequence[StoreStep] = ()
    ) -> bool:
        """In one transaction, behind `first`; whether these steps held."""
        now = self.services.clock()
        _, earned = self.services.credentials.earning(
            self.user_id, self.issued, proved_at=now, factor=kind, epoch=epoch
        )
        done = await self.services.audit.record(
            event,
            self.user_id,
            self.caller.origin,
            factor=label,
            also=(Beside(Event.GUARDED_ACT, kind, self.act),) if self.act is not None else (),
            first=first,
            then=earned,
            last=self.guess.taking_back() if self.guess else (),
        )
        if self.guess and done:
            self.guess.taken_back(done)
        return done is not None


class AtOnce:
    def __init__(self, parts: Services) -> None:
        self._services = parts

    async def prove(
        self,
        user: str,
        code: str | None,
        issued: tuple[Issued, ...],
        caller: Caller,
        *,
        act: About | None = None,
        guess: Guess | None = None,
    ) -> str:
        """A first factor passed in a request that carries its code (or carries none).

        On success `issued` become verified. Returns the factor used, "" where a person may be
        without one and is, "approval" where the login was approved in the browser.

        Args:
            act: the request is a guarded act itself, about this; record that with the login.
            guess: the password behind it, if it `passed`; taken from those counted with the same
                write.

        Raises:
            Refusal: `otp_required` (with {approve} where it can be approved in a browser, and
                else how to get that far),
                `otp_invalid`, `not_enrolled`, `invite_required`, `throttled`.
        """
        user_id = id_of(user)
        stored = await self._services.accounts.stored(user_id)
        account = stored.account if stored else Account(user_id, user)

        entry = _Entry(self._services, user_id, issued, caller, act, guess)
        if not account.protected:
            self._refuse_unless_optional(account)
            await self._services.proofs.meet(account, caller)
            await entry.record(Event.LOGIN_WITHOUT_FACTOR, "", "", account.epoch)
            return ""
        if code:
            kind = self._services.proofs.kind_of(code)
            proved = await self._services.proofs.prove(
                user_id, kind, code, caller, stored=stored, effect=entry.effect
            )
            return proved.kind
        if not await self._services.approvals.take(user_id, caller, account.epoch):
            raise await self._code_required(account, caller)
        await entry.record(Event.LOGIN, "approval", "approval", account.epoch)
        return "approval"

    def _refuse_unless_optional(self, account: Account) -> None:
        if may_lack_factor(self._services) and not account.invited_only:
            return
        if invitation_needed(self._services, account):
            raise Refusal(Slug.INVITE_REQUIRED)
        raise Refusal(Slug.NOT_ENROLLED, enrol=self._services.limits.public_url + ENROL)

    async def _code_required(self, account: Account, caller: Caller) -> Refusal:
        """The refusal for a missing code; it names a way by browser where there is one."""
        sessions = await self._services.sessions.of(account.id)
        if not any(session.factor for session in sessions):
            login = self._services.limits.public_url + LOGIN
            return Refusal(Slug.OTP_REQUIRED, fix=_FIRST_TIME, login=login)
        try:
            await self._services.throttle.begin(account.id, caller.address)
        except Refusal:
            return Refusal(Slug.OTP_REQUIRED)
        asked = await self._services.approvals.ask(account.id, caller, account.epoch)
        if asked is None:
            return Refusal(Slug.OTP_REQUIRED)
        address = f"{self._services.limits.public_url}{APPROVE}/{asked.id}"
        return Refusal(Slug.OTP_REQUIRED, approve=address, number=asked.number)

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

    async def step_up(self, session: Session, kind: str, answer: str, caller: Caller) -> str:
        """Prove a factor again on a live session: the new session cookie's value.

        Raises:
            Refusal: `pending_expired` (it ended meanwhile), `otp_invalid`, `throttled`.
        """
        factor = self._services.factors.get(kind)
        challenge = b""
        if factor is not None and factor.asks:
            challenge = await self._services.challenges.burn(session.id)
        stored = await self._services.accounts.stored(session.user_id)
        proved = await self._services.proofs.prove(
            session.user_id, kind, answer, caller, stored=stored, challenge=challenge, session=True
        )
        if proved.account.epoch != session.epoch:
            raise Refusal(Slug.PENDING_EXPIRED)
        await self._services.audit.record(
            Event.STEP_UP, session.user_id, caller.origin, factor=proved.label
        )
        fresh = replace(session, proved_at=self._services.clock(), factor=kind)
        return await renewed(self._services, fresh, session.epoch)

    async def password_changed(
        self, user: str, fresh: Issued | None, proof: Verified | Session, caller: Caller
    ) -> None:
        """A password changed: end the user's sessions, devices and verified credentials.

        `fresh` becomes verified if `proof` is of the same user.
        """
        user_id, now = id_of(user), self._services.clock()

        def work(account: Account) -> tuple[Account, int]:
            return account.bumped(), account.epoch + 1

        epoch = await self._services.accounts.change(user_id, user, work, now=now)
        if fresh is not None and proof.user_id == user_id:
            await self._services.credentials.earn(
                user_id, (fresh,), proved_at=proof.proved_at, factor=proof.factor, epoch=epoch
            )
        await self._services.sweep(user_id)
        await self._services.index_tokens.forget(user_id)
        await self._services.tokens.password_changed(user_id, caller.origin)
        await self._services.audit.record(Event.PASSWORD_CHANGED, user_id, caller.origin)


async def renewed(parts: Services, session: Session, epoch: int) -> str:
    """A session under a new id, with its credentials, as of this proof and epoch.

    Raises:
        Refusal: `pending_expired` where it ended meanwhile.
    """
    opening = await parts.sessions.replace(
        session, proved_at=session.proved_at, factor=session.factor, epoch=epoch
    )
    if opening is None:
        raise Refusal(Slug.PENDING_EXPIRED)
    if epoch != session.epoch:
        await parts.devices.sweep(session.user_id)
        await parts.tokens.end_logins(session.user_id, Origin(), why="a factor changed")
    await handed_over(parts, session, opening.session)
    await parts.credentials.renew(
        session.user_id,
        session.holds,
        proved_at=session.proved_at,
        factor=session.factor,
        epoch=epoch,
    )
    return opening.cookie


async def handed_over(parts: Services, before: Pending | Session, after: Pending | Session) -> None:
    """Let what was begun on a login or session go on under the one that follows it."""
    if after.epoch == before.epoch:  # else it was begun for an account that has changed
        await parts.drafts.move(before.user_id, before.id, after.id)
    await parts.drafts.move(before.user_id, codes_of(before), codes_of(after))
