"""Signing in with a passkey alone: no name, no password.

A passkey that checks its user is two factors by itself, so the gateway's own pages are open to
it. The index is not: its credential is earned by a password. Where this browser is remembered
and the credential of its last login is still good, sealed under a part that only the device's
cookie has, the session goes on with that; otherwise it has none.
"""

from __future__ import annotations

from gateway.core.accounts.records import Account
from gateway.core.audit.events import Event
from gateway.core.errors import Refusal
from gateway.core.login.browser import led
from gateway.core.login.models import Caller, Held, Passed
from gateway.core.login.services import Parts
from gateway.core.login.verification import Proved


class Passkeys:
    def __init__(self, parts: Parts) -> None:
        self._ = parts

    def ask(self) -> tuple[str, str]:
        """See `Flow.passkey_ask`."""
        ticket, challenge = self._.challenges.ticket()
        return ticket, self._.factors["webauthn"].ask(None, challenge)

    async def login(
        self, ticket: str, answer: str, caller: Caller, *, device_cookie: str, goto: str
    ) -> Passed:
        """See `Flow.passkey_login`."""
        # Nobody has shown a password, so a wrong answer counts like a wrong one.
        attempt = self._.guessing.attempt(caller.address, "", ticket)
        async with await self._.proofs.begun(attempt, caller):
            challenge = await self._.challenges.burn_ticket(ticket)
            if not challenge:
                raise Refusal("pending_expired")
            try:
                proved = await self._proved(answer, challenge, caller)
            except Refusal:
                await attempt.wrong()
                raise
        account, user_id, now = proved.account, proved.account.id, self._.clock()
        held = await self._earned_here(account, device_cookie)
        await self._.audit.record(
            Event.LOGIN, user_id, caller.origin, factor=proved.label, detail="passkey alone"
        )
        names = self._.credentials.names(user_id, held.issued)
        await self._.credentials.renew(
            user_id, names, proved_at=now, factor="webauthn", epoch=account.epoch
        )
        cookie = await self._.sessions.open(
            account.user,
            user_id,
            caller.origin,
            epoch=account.epoch,
            proved_at=now,
            factor="webauthn",
            upstream=held.session,
            holds=names,
        )
        return Passed(cookie, led(self._, account, Held(goto=goto)), user_id)

    async def _proved(self, answer: str, challenge: bytes, caller: Caller) -> Proved:
        handle = self._.factors["webauthn"].whose(answer)
        user_id = await self._.accounts.by_handle(handle) if handle else None
        if user_id is None:
            raise Refusal("otp_invalid")
        return await self._.proofs.prove(
            user_id, "webauthn", answer, caller, challenge=challenge, alone=True
        )

    async def _earned_here(self, account: Account, cookie: str) -> Held:
        """What the last login on this remembered device earned, if it is still good."""
        device = await self._.devices.get(cookie, user_id=account.id, epoch=account.epoch)
        if device is None or device.held.session is None:
            return Held()
        tokens = {one.credential for one in device.held.issued}
        if device.held.session in tokens:
            alive = await self._.credentials.find(device.held.session)
            return device.held if alive else Held()
        return device.held
