"""Setting up a factor: a secret or a key is offered, confirmed, and only then part of the account.

Until the last step nothing in the account changes, so an enrolment that is broken off anywhere
locks nobody out; the last step is one conditional write, so one that was acknowledged stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.core.accounts.factor import ClockOff, Enrollable, Issuable, WrongAnswer
from gateway.core.accounts.records import Account, Device, Recovery, usable_label
from gateway.core.crypto.signing import token
from gateway.core.errors import Refusal, Slug
from gateway.core.login.browser import Entering
from gateway.core.login.completion import Completing, Enrolled
from gateway.core.login.drafts import Draft, DraftState
from gateway.core.login.models import Caller, Pending, Session, Step
from gateway.core.login.services import Services
from gateway.core.phrases import _
from gateway.core.wording import in_words

__all__ = ["Enrolled", "Enrolling", "TotpOffer"]


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """What the person puts into an authenticator app.

    secret: base32, 32 characters. uri: otpauth://totp/… (Key URI Format). mark: tells this offer
    from others, and nothing of the secret.
    """

    name: str
    secret: str = field(repr=False)
    uri: str = field(repr=False)
    mark: str = ""


class Enrolling:
    """One enrolment at a time per pending login or session (`who`).

    On a session the first step needs a proof within `limits.step_up`, else Refusal
    `step_up_required`; the draft that it leaves stands for it in the steps that follow. A `who`
    that is not at Step.ENROL: `pending_expired`.
    """

    def __init__(self, parts: Services, entering: Entering) -> None:
        self._services = parts
        self._drafts = parts.drafts
        self._completing = Completing(parts, entering, self._drafts)

    async def totp(self, who: Pending | Session, name: str) -> TotpOffer:
        """Offer a new secret; an earlier offer to the same `who` is void.

        Raises:
            Refusal: `name_taken`, `unusable_label`, `too_many_factors`, `step_up_required`,
                `invite_required`, `invite_invalid`.
        """
        return self._totp(await self._offer(who, "totp", name))

    async def offered(self, who: Pending | Session) -> TotpOffer | None:
        """The secret on offer, to show the page again; None where there is none."""
        draft = await self._offered(who, "totp")
        return None if draft is None else self._totp(draft)

    async def confirm_totp(
        self, who: Pending | Session, code: str, caller: Caller, *, mark: str = ""
    ) -> Enrolled:
        """Confirm the secret on offer with a code.

        Args:
            mark: of the offer the code was typed for, "" where nobody kept it.

        Raises:
            Refusal: `otp_invalid`, `clock_off` (with {offset}, "about 2 minutes slow"),
                `offer_replaced`, `enrolment_expired`.
        """
        self._may(who)
        draft = await self._offered(who, "totp")
        if draft is None:
            raise Refusal(Slug.ENROLMENT_EXPIRED)
        if mark and mark != self._totp(draft).mark:
            raise Refusal(Slug.OFFER_REPLACED)
        try:
            device = await self._confirmed(who, draft, code)
        except ClockOff as off:
            raise Refusal(Slug.CLOCK_OFF, offset=_offset(off.offset)) from None
        except WrongAnswer:
            raise Refusal(Slug.OTP_INVALID) from None
        return await self._advance(who, draft, device, caller)

    async def webauthn(self, who: Pending | Session, name: str) -> str:
        """Options as JSON for navigator.credentials.create(); refusals as for `totp`."""
        return (await self._offer(who, "webauthn", name)).shown

    async def confirm_webauthn(
        self, who: Pending | Session, answer: str, caller: Caller
    ) -> Enrolled:
        """Confirm a key with the browser's answer (JSON). The challenge is burnt first.

        Raises:
            Refusal: `key_refused`, `enrolment_expired`.
        """
        self._may(who)
        draft = await self._offered(who, "webauthn")
        if draft is None or not await self._drafts.burn(who.user_id, who.id):
            raise Refusal(Slug.ENROLMENT_EXPIRED)
        try:
            device = await self._confirmed(who, draft, answer)
        except WrongAnswer:
            raise Refusal(Slug.KEY_REFUSED) from None
        return await self._advance(who, draft, device, caller, burnt=True)

    async def recovery(self, who: Session, caller: Caller) -> Enrolled:
        """New recovery codes, for a person who has factors; the old ones end at once.

        The new ones work at once, too; until `finish` the person is reminded of them.
        """
        self._may_begin(who)
        await self._services.throttle.change(who.user_id)
        codes, digests = self._issued(who)
        cookie = await self._completing.replace_codes(who, codes, digests, caller)
        return Enrolled("recovery", codes=codes, cookie=cookie)

    async def finish(
        self, who: Pending | Session, caller: Caller, *, code: str = "", saved: bool = False
    ) -> Enrolled:
        """Complete: one of the codes typed, or the tick that they are saved.

        Raises:
            Refusal: `recovery_unconfirmed`, `enrolment_expired`, `invite_invalid`.
        """
        self._may(who)
        draft, present = await self._waiting(who), await self._recovery(who)
        if draft is None and not present.codes:
            raise Refusal(Slug.ENROLMENT_EXPIRED)
        digests = draft.codes if draft else present.codes
        typed = bool(code) and self._codes.matches(who.user_id, code, digests) is not None
        if not typed and not saved:
            detail: dict[str, str] = {"typed": "yes"} if code else {}
            raise Refusal(Slug.RECOVERY_UNCONFIRMED, retry_after=None, **detail)
        if draft is not None:
            return await self._completing.commit(who, draft, caller)
        assert isinstance(who, Session), "only who has a factor has recovery codes"
        return Enrolled("recovery", cookie=await self._completing.confirm_codes(who))

    # -- how -------------------------------------------------------------------------------

    @property
    def _codes(self) -> Issuable:
        found = self._services.factors["recovery"]
        assert isinstance(found, Issuable)
        return found

    def _kind(self, kind: str) -> Enrollable:
        found = self._services.factors[kind]
        assert isinstance(found, Enrollable)
        return found

    def _may(self, who: Pending | Session) -> None:
        if isinstance(who, Pending) and who.step is not Step.ENROL:
            raise Refusal(Slug.PENDING_EXPIRED)

    def _may_begin(self, who: Pending | Session) -> None:
        self._may(who)
        if isinstance(who, Session):
            self._services.sessions.check_fresh(who)

    async def _account(self, who: Pending | Session) -> Account:
        """The account as `who` found it. Raises Refusal `enrolment_expired` if it changed."""
        account = await self._services.accounts.get(who.user_id) or Account(who.user_id, who.user)
        if account.epoch != who.epoch:
            raise Refusal(Slug.ENROLMENT_EXPIRED)
        return account

    async def _offered(self, who: Pending | Session, kind: str) -> Draft | None:
        """The draft of that kind that waits to be confirmed."""
        draft = await self._drafts.get(who.user_id, who.id)
        if draft is None or draft.stage is not DraftState.OFFERED or draft.kind != kind:
            return None
        return draft

    async def _offer(self, who: Pending | Session, kind: str, name: str) -> Draft:
        self._may_begin(who)
        factor, account = self._kind(kind), await self._account(who)
        self._completing.check_invitation(who, account)
        label = usable_label(name, account.devices)
        if sum(1 for one in account.devices if one.kind == kind) >= factor.limit:
            raise Refusal(Slug.TOO_MANY_FACTORS, limit=str(factor.limit))
        if isinstance(who, Session):  # else somebody with the password alone could use it up
            await self._services.throttle.change(who.user_id)
        offer = factor.offer(account, label, self._services.random)
        draft = Draft(kind, label, DraftState.OFFERED, state=offer.state, shown=offer.shown)
        await self._drafts.put(who.user_id, who.id, draft)
        return draft

    async def _confirmed(self, who: Pending | Session, draft: Draft, answer: str) -> Device:
        return self._kind(draft.kind).confirm(
            await self._account(who),
            draft.name,
            draft.state,
            answer,
            now=self._services.clock(),
            id=token(self._services.random, 9),
        )

    async def _advance(
        self,
        who: Pending | Session,
        draft: Draft,
        device: Device,
        caller: Caller,
        *,
        burnt: bool = False,
    ) -> Enrolled:
        """Show recovery codes with the first factor, else complete: who has one to show makes
        new codes by it. burnt: nobody else can be at this draft any more."""
        confirmed = replace(draft, stage=DraftState.CODES, state="", shown="", device=device)
        if (await self._account(who)).protected:
            return await self._completing.commit(who, confirmed, caller)
        codes, digests = self._issued(who)
        shown = replace(confirmed, codes=digests, plain=codes, until=0.0)
        # A double click is two forms: the codes of the first are on the way to be saved.
        if burnt:
            await self._drafts.put(who.user_id, who.id, shown)
        elif not await self._drafts.advance(who.user_id, who.id, draft, shown):
            raise Refusal(Slug.ENROLMENT_EXPIRED)
        return Enrolled(draft.kind, codes=codes)

    async def _waiting(self, who: Pending | Session) -> Draft | None:
        """The draft whose codes wait for `finish`."""
        draft = await self._drafts.get(who.user_id, who.id)
        return draft if draft is not None and draft.stage is DraftState.CODES else None

    async def _recovery(self, who: Pending | Session) -> Recovery:
        return (await self._account(who)).recovery

    def _issued(self, who: Pending | Session) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Fresh codes, and how they are stored."""
        codes = self._codes.issue(who.user_id, self._services.random)
        return codes, self._codes.digests(who.user_id, codes)

    def _totp(self, draft: Draft) -> TotpOffer:
        mark = self._services.ring.digest("offer", draft.state)[:16]
        return TotpOffer(draft.name, draft.state, draft.shown, mark)


def _offset(seconds: float) -> str:
    """ "about 2 minutes slow"."""
    off = in_words(abs(seconds))
    return _("about {time} slow", time=off) if seconds < 0 else _("about {time} fast", time=off)
