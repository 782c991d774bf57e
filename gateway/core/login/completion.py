"""The last step of an enrolment: one conditional write, then what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.core.accounts.records import Account, Recovery
from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.login.browser import Entering, invitation_needed
from gateway.core.login.drafts import Draft, Drafts, DraftState, codes_of
from gateway.core.login.in_request import renewed
from gateway.core.login.models import Caller, Passed, Pending, Session
from gateway.core.login.services import Services
from gateway.core.notices.events import Notice


@dataclass(frozen=True, slots=True)
class Enrolled:
    """How far an enrolment has come after a step.

    kind: what is set up, a kind of factor.
    codes: recovery codes to show now; then `finish` completes the enrolment. Empty:
        it is complete.
    passed: the login, where the enrolment was part of one and is complete.
    cookie: the new session cookie's value, where a session goes on under a new id.
    """

    kind: str
    codes: tuple[str, ...] = field(default=(), repr=False)
    passed: Passed | None = field(default=None, repr=False)
    cookie: str = field(default="", repr=False)


class Completing:
    def __init__(self, parts: Services, entering: Entering, drafts: Drafts) -> None:
        self._services = parts
        self._entering = entering
        self._drafts = drafts

    async def commit(self, who: Pending | Session, draft: Draft, caller: Caller) -> Enrolled:
        """Put a finished draft into the account and go on with the login or the session.

        Raises:
            Refusal: `enrolment_expired` where the account changed, `invite_invalid`, `frozen`.
        """
        if isinstance(who, Pending):
            await self._services.freezes.check_login(who.user_id)
        now, handle = self._services.clock(), getattr(draft.device, "handle", "")
        if handle:
            await self._services.accounts.name_handle(handle, who.user_id)

        def work(account: Account) -> tuple[Account, bool]:
            _same_epoch(who, account)
            self.check_invitation(who, account)
            changed = _with(
                replace(account.bumped(), invitation=None, invited_only=False), draft, handle, now
            )
            if isinstance(who, Pending):
                changed, _ = self._services.proofs.seen(changed, caller)
            return changed, not account.protected

        first = await self._services.accounts.change(who.user_id, who.user, work, now=now)
        await self._drafts.burn(who.user_id, who.id)
        await self._tell(who, draft, caller, first)
        epoch = who.epoch + 1
        if isinstance(who, Pending):
            label = f"{draft.kind} {draft.name}"
            passed = await self._entering.complete(who, draft.kind, label, caller, epoch=epoch)
            return Enrolled(draft.kind, passed=passed)
        proven = replace(who, proved_at=now, factor=draft.kind) if first else who
        return Enrolled(draft.kind, cookie=await renewed(self._services, proven, epoch))

    async def replace_codes(
        self, who: Session, codes: tuple[str, ...], digests: tuple[str, ...], caller: Caller
    ) -> str:
        """New recovery codes in place of the old, in one write; the new session cookie's value.

        They wait for `confirm_codes` only to be sure they were saved: somebody who loses the page
        can log in with none of the old ones, so must not be left believing in them.

        Raises:
            Refusal: `no_such_factor` without a factor, `enrolment_expired`.
        """
        now = self._services.clock()

        def work(account: Account) -> tuple[Account, None]:
            _same_epoch(who, account)
            if not account.protected:
                raise Refusal(Slug.NO_SUCH_FACTOR)
            return replace(account.bumped(), recovery=Recovery(digests, now, confirmed=False)), None

        await self._services.accounts.change(who.user_id, who.user, work, now=now)
        await self._codes_made(who, caller)
        shown = Draft("recovery", "", DraftState.CODES, codes=digests, plain=codes)
        await self._drafts.put(who.user_id, codes_of(who), shown)
        return await renewed(self._services, who, who.epoch + 1)

    async def confirm_codes(self, who: Session) -> str:
        """The codes in force are saved, and shown no more; the new session cookie's value.

        Raises:
            Refusal: `enrolment_expired`.
        """

        def work(account: Account) -> tuple[Account, None]:
            _same_epoch(who, account)
            return replace(account, recovery=replace(account.recovery, confirmed=True)), None

        await self._services.accounts.change(
            who.user_id, who.user, work, now=self._services.clock()
        )
        await self._drafts.burn(who.user_id, codes_of(who))
        return await renewed(self._services, who, who.epoch)

    def check_invitation(self, who: Pending | Session, account: Account) -> None:
        """A first factor by invitation needs it to the end; the same write uses it up.

        A session without a factor (before `required_from`) came by the password alone, so it
        is not enough: a stolen password must not enrol first.

        Raises:
            Refusal: `invite_required`, `invite_invalid`.
        """
        if account.protected or not invitation_needed(self._services, account):
            return
        if isinstance(who, Session) or not who.invitation:
            raise Refusal(Slug.INVITE_REQUIRED)
        invitation = account.invitation
        if invitation is None or invitation.expires <= self._services.clock():
            raise Refusal(Slug.INVITE_INVALID)
        if invitation.digest != who.invitation:
            raise Refusal(Slug.INVITE_INVALID)

    async def _tell(
        self, who: Pending | Session, draft: Draft, caller: Caller, first: bool
    ) -> None:
        if draft.device is not None:
            event = Event.ENROLLED if first else Event.FACTOR_ADDED
            label = f"{draft.kind} {draft.name}"
            await self._services.audit.record(event, who.user_id, caller.origin, factor=label)
            await self._services.notifier.notify(
                Notice.FACTOR_ADDED, who.user_id, caller.origin, detail=label
            )
        if draft.codes:
            await self._codes_made(who, caller, notify=not first)

    async def _codes_made(
        self, who: Pending | Session, caller: Caller, *, notify: bool = True
    ) -> None:
        await self._services.audit.record(Event.RECOVERY_CODES_MADE, who.user_id, caller.origin)
        if notify:
            await self._services.notifier.notify(
                Notice.RECOVERY_CODES_MADE, who.user_id, caller.origin
            )


def _same_epoch(who: Pending | Session, account: Account) -> None:
    """Raises Refusal `enrolment_expired` where the account changed since."""
    if account.epoch != who.epoch:
        raise Refusal(Slug.ENROLMENT_EXPIRED)


def _with(account: Account, draft: Draft, handle: str, now: float) -> Account:
    """The account with what a finished draft brings."""
    if draft.device is not None:
        account = replace(
            account.with_device(draft.device),
            last=draft.kind,
            enrolled=account.enrolled or now,
            handle=account.handle or handle,
        )
    if draft.codes:
        account = replace(account, recovery=Recovery(draft.codes, now))
    return account
