"""Logins in a browser, from the first factor to the session; also by a passkey alone.

A passkey that checks its user is two factors by itself, so it opens the gateway's own pages
without name and password. It does not open the index, whose credential is earned by a password:
the session goes on with the credential of this browser's last login where the browser is
remembered and the credential still good, otherwise it has none.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import NamedTuple

from gateway.core.accounts.records import Account
from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import (
    BY_DEVICE,
    Begun,
    Caller,
    Enrolment,
    Held,
    Passed,
    Pending,
    Step,
)
from gateway.core.login.pending import Opened
from gateway.core.login.services import Services
from gateway.core.login.verification import Proved
from gateway.core.urls import overview_for
from gateway.core.user_id import user_id as id_of


class Invited(NamedTuple):
    """used: when it let somebody set up a second factor, in epoch seconds; 0.0: it waits."""

    used: float = 0.0


def invitation_digest(parts: Services, user_id: str, token: str) -> str:
    """The form in which an invitation is stored."""
    return parts.ring.digest("invitation", user_id, token)


def may_lack_factor(parts: Services) -> bool:
    """Whether people without a factor pass today: by policy, or until `required_from`."""
    start = parts.limits.refused_from
    return start is None or parts.clock() < start


def invitation_needed(parts: Services, account: Account) -> bool:
    """Whether this person's first factor takes an invitation: everybody's here, or theirs since
    an administrator reset what they had."""
    return account.invited_only or parts.limits.enrolment is Enrolment.INVITE


def led(parts: Services, account: Account, held: Held) -> Held:
    """What was held back, the way leading over the overview where that says what must not wait:
    a second factor needed from a day to come, recovery codes that nobody said are saved."""
    if account.protected:
        due = not account.recovery.confirmed
    else:
        due = bool(parts.limits.refused_from) and may_lack_factor(parts)
    return replace(held, goto=overview_for(held.goto)) if due else held


class Entering:
    def __init__(self, parts: Services) -> None:
        self._services = parts

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
                invitation), `unusable_name`, `frozen`.
        """
        user_id = id_of(user)
        await self._services.freezes.check_login(user_id)
        account = await self._services.accounts.get(user_id) or Account(user_id, user)
        if account.protected:
            passed = await self._by_device(account, user, held, caller, device_cookie)
            if passed is not None:
                return passed
            return await self._wait(Step.VERIFY, account, user, held, caller)
        invited = self._invited(account, invitation)
        if invited:
            return await self._wait(Step.ENROL, account, user, held, caller, invited)
        if may_lack_factor(self._services) and not account.invited_only:
            return await self._without(account, user, held, caller)
        if invitation_needed(self._services, account):
            raise Refusal(Slug.INVITE_REQUIRED)
        return await self._wait(Step.ENROL, account, user, held, caller)

    async def pending(self, cookie: str) -> Pending | None:
        """The live pending login behind that cookie."""
        opened = await self._services.pending.get(cookie)
        if opened is None:
            return None
        stored = await self._services.accounts.stored(opened.user_id)
        account = stored.account if stored else Account(opened.user_id, opened.user)
        # A change since the password was typed (a factor set up, a password changed) ends it.
        if account.epoch != opened.epoch:
            return None
        return Pending(
            id=opened.id,
            user=opened.user,
            user_id=opened.user_id,
            step=opened.step,
            goto=opened.held.goto,
            expires=opened.expires,
            kinds=self._services.proofs.kinds(account),
            held=self._aged(opened),
            epoch=opened.epoch,
            invitation=opened.invitation,
            stored=stored,
        )

    async def invitation(self, token: str) -> Invited | None:
        """What has become of an invitation, by the token of its link; None for one that is
        unknown, out of date or replaced by a newer one."""
        user_id = await self._services.invitations.whose(token)
        account = await self._services.accounts.get(user_id) if user_id else None
        if account is None:
            return None
        if self._invited(account, token):
            return Invited()
        return Invited(account.enrolled) if account.enrolled else None

    async def cancel(self, pending: Pending) -> None:
        """End a login that waits."""
        await self._services.pending.burn(pending.id)

    async def left(self, cookie: str) -> tuple[str, str] | None:
        """The name and the target of a login that waits or whose time is over; None for one
        that is finished or unknown."""
        opened = await self._services.pending.left(cookie)
        return None if opened is None else (opened.user, opened.held.goto)

    async def prove(
        self, pending: Pending, kind: str, answer: str, caller: Caller, *, remember: bool = False
    ) -> Passed:
        """Finish a pending login with a factor ("totp", "recovery", "webauthn").

        The pending login is burnt, a session with a new id opened, the held credentials
        become verified.

        Args:
            remember: also remember this device.

        Raises:
            Refusal: `pending_expired`, `otp_invalid`, `throttled`, `frozen`.
        """
        await self._services.freezes.check_login(pending.user_id)
        if pending.step is not Step.VERIFY:
            raise Refusal(Slug.PENDING_EXPIRED)
        challenge = b""
        if self._asks(kind):
            challenge = await self._services.challenges.burn(pending.id)
        proved = await self._services.proofs.prove(
            pending.user_id, kind, answer, caller, stored=pending.stored, challenge=challenge
        )
        if proved.account.epoch != pending.epoch:
            raise Refusal(Slug.PENDING_EXPIRED)
        pending = replace(pending, held=led(self._services, proved.account, pending.held))
        return await self.complete(
            pending, kind, proved.label, caller, epoch=pending.epoch, remember=remember
        )

    async def complete(
        self,
        pending: Pending,
        kind: str,
        label: str,
        caller: Caller,
        *,
        epoch: int,
        remember: bool = False,
    ) -> Passed:
        """Burn a pending login whose factor has passed and open what it earned.

        Raises:
            Refusal: `pending_expired` for all but one of several at once; `frozen`.
        """
        await self._services.freezes.check_login(pending.user_id)
        if not await self._services.pending.burn(pending.id):
            raise Refusal(Slug.PENDING_EXPIRED)
        now = self._services.clock()
        cookie = await self._open(
            *(Event.LOGIN, pending.user, pending.user_id, pending.held, caller),
            proved_at=now,
            factor=kind,
            epoch=epoch,
            label=label,
        )
        device = ""
        if remember and self._services.devices.allowed:
            device = await self._services.devices.add(
                pending.user_id,
                caller.origin,
                epoch=epoch,
                proved_at=now,
                factor=kind,
                held=pending.held,
            )
            await self._services.audit.record(
                Event.DEVICE_REMEMBERED, pending.user_id, caller.origin
            )
        return Passed(cookie, pending.held, pending.user_id, device)

    # -- how -------------------------------------------------------------------------------

    def _asks(self, kind: str) -> bool:
        factor = self._services.factors.get(kind)
        return factor is not None and factor.asks

    async def _wait(
        self,
        step: Step,
        account: Account,
        user: str,
        held: Held,
        caller: Caller,
        invitation: str = "",
    ) -> Begun:
        await self._services.throttle.begin(account.id, caller.address)
        cookie = await self._services.pending.open(
            user, account.id, step, held, epoch=account.epoch, invitation=invitation
        )
        return Begun(step, cookie)

    def _invited(self, account: Account, token: str) -> str:
        """The keyed hash of a live invitation of this person, "" for any other token."""
        invitation = account.invitation
        if not token or invitation is None or invitation.expires <= self._services.clock():
            return ""
        digests = self._services.ring.digests("invitation", account.id, token)
        found = any(hmac.compare_digest(one, invitation.digest) for one in digests)
        return invitation.digest if found else ""

    async def _by_device(
        self, account: Account, user: str, held: Held, caller: Caller, cookie: str
    ) -> Begun | None:
        device = await self._services.devices.get(cookie, user_id=account.id, epoch=account.epoch)
        if device is None:
            return None
        session = await self._open(
            *(Event.LOGIN, user, account.id, held, caller),
            proved_at=device.proved_at,
            factor=BY_DEVICE,
            epoch=account.epoch,
            label=BY_DEVICE,
            detail=device.name,
        )
        await self._services.devices.use(cookie, account.id, caller.origin, held)
        return Begun(Step.PASSED, session, led(self._services, account, held))

    async def _without(self, account: Account, user: str, held: Held, caller: Caller) -> Begun:
        await self._services.proofs.meet(account, caller)
        cookie = await self._open(
            *(Event.LOGIN_WITHOUT_FACTOR, user, account.id, held, caller),
            proved_at=self._services.clock(),
            factor="",
            epoch=account.epoch,
        )
        return Begun(Step.PASSED, cookie, led(self._services, account, held))

    async def _open(
        self,
        event: Event,
        user: str,
        user_id: str,
        held: Held,
        caller: Caller,
        *,
        proved_at: float,
        factor: str,
        epoch: int,
        label: str = "",
        detail: str = "",
    ) -> str:
        """Record a login, and with it what it earned and its session; the session's cookie."""
        services = self._services
        names, earned = services.credentials.earning(
            user_id, held.issued, proved_at=proved_at, factor=factor, epoch=epoch
        )
        opening = services.sessions.opening(
            *(user, user_id, caller.origin),
            epoch=epoch,
            proved_at=proved_at,
            factor=factor,
            upstream=held.session,
            holds=names,
        )
        then = (*earned, opening.record)
        await services.audit.record(
            event, user_id, caller.origin, factor=label, detail=detail, then=then
        )
        await services.sessions.opened(opening)
        return opening.cookie

    def _aged(self, opened: Opened) -> Held:
        """What was held back, its lifetimes shortened by the time it waited."""
        age = self._services.clock() - opened.made
        issued = tuple(
            one if one.lifetime is None else replace(one, lifetime=one.lifetime - age)
            for one in opened.held.issued
        )
        return replace(opened.held, issued=issued)


class Passkeys:
    def __init__(self, parts: Services) -> None:
        self._services = parts

    def ask(self) -> tuple[str, str]:
        """For a sign-in without a user name: a ticket for the form, and the options as JSON."""
        ticket, challenge = self._services.challenges.ticket()
        return ticket, self._services.factors["webauthn"].ask(None, challenge)

    async def login(
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
            Refusal: `otp_invalid`, `throttled`, `pending_expired` (the ticket was used), `frozen`.
        """
        await self._services.freezes.check_login()
        # Nobody has shown a password, so a wrong answer counts like a wrong one.
        attempt = self._services.guessing.attempt(caller.address, "", ticket)
        async with await self._services.proofs.begun(attempt, caller):
            challenge = await self._services.challenges.burn_ticket(ticket)
            if not challenge:
                raise Refusal(Slug.PENDING_EXPIRED)
            try:
                proved = await self._proved(answer, challenge, caller)
            except Refusal:
                await attempt.wrong()
                raise
        account, user_id, now = proved.account, proved.account.id, self._services.clock()
        await self._services.freezes.check_login(user_id)
        held = await self._earned_here(account, device_cookie)
        names = self._services.credentials.names(user_id, held.issued)
        opening = self._services.sessions.opening(
            *(account.user, user_id, caller.origin),
            epoch=account.epoch,
            proved_at=now,
            factor="webauthn",
            upstream=held.session,
            holds=names,
        )
        await self._services.audit.record(
            *(Event.LOGIN, user_id, caller.origin),
            factor=proved.label,
            detail="passkey alone",
            then=(opening.record,),
        )
        await self._services.credentials.renew(
            user_id, names, proved_at=now, factor="webauthn", epoch=account.epoch
        )
        await self._services.sessions.opened(opening)
        return Passed(opening.cookie, led(self._services, account, Held(goto=goto)), user_id)

    async def _proved(self, answer: str, challenge: bytes, caller: Caller) -> Proved:
        handle = self._services.factors["webauthn"].whose(answer)
        user_id = await self._services.accounts.by_handle(handle) if handle else None
        if user_id is None:
            raise Refusal(Slug.OTP_INVALID)
        stored = await self._services.accounts.stored(user_id)
        return await self._services.proofs.prove(
            user_id, "webauthn", answer, caller, stored=stored, challenge=challenge, alone=True
        )

    async def _earned_here(self, account: Account, cookie: str) -> Held:
        """What the last login on this remembered device earned, if it is still good."""
        device = await self._services.devices.get(cookie, user_id=account.id, epoch=account.epoch)
        if device is None or device.held.session is None:
            return Held()
        tokens = {one.credential for one in device.held.issued}
        if device.held.session in tokens:
            alive = await self._services.credentials.find(device.held.session)
            return device.held if alive else Held()
        return device.held
