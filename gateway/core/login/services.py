"""The pieces that logins, enrolments and the security pages share, put together once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.accounts.factor import Factor
from gateway.core.accounts.repository import Accounts
from gateway.core.audit.events import AuditSink, Event, Origin
from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing
from gateway.core.freezes import Freezes
from gateway.core.login.approvals import Approvals
from gateway.core.login.challenges import Challenges
from gateway.core.login.credentials import Credentials
from gateway.core.login.devices import Devices
from gateway.core.login.drafts import Drafts
from gateway.core.login.index_tokens import IndexTokens
from gateway.core.login.invitations import Invitations
from gateway.core.login.models import FlowLimits, Session
from gateway.core.login.pending import PendingLogins
from gateway.core.login.reading import ReadingPasses
from gateway.core.login.sessions import CHANGED, LINGER, Sessions
from gateway.core.login.verification import Proofs
from gateway.core.notices.events import Notifier
from gateway.core.store import SWEPT, Key, Store
from gateway.core.throttle.attempts import Throttle
from gateway.core.throttle.passwords import Guessing
from gateway.core.tokens.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Services:
    store: Store
    ring: KeyRing
    factors: Mapping[str, Factor]
    audit: AuditSink
    notifier: Notifier
    clock: Clock
    random: Random
    limits: FlowLimits
    accounts: Accounts
    throttle: Throttle
    guessing: Guessing
    proofs: Proofs
    sessions: Sessions
    pending: PendingLogins
    credentials: Credentials
    index_tokens: IndexTokens
    devices: Devices
    approvals: Approvals
    challenges: Challenges
    tokens: Tokens
    drafts: Drafts
    invitations: Invitations
    reading: ReadingPasses
    freezes: Freezes

    async def reachable(self) -> None:
        """Touch the store, as a health check wants it.

        Raises:
            StoreUnavailable
        """
        await self.store.get(Key("health", "", ""))

    async def end_session(self, session: Session, origin: Origin, why: str) -> tuple[str, ...]:
        """End a session and what its login earned, but for what another one goes on with; the
        Set-Cookie values that take that out of its browser."""
        user_id, names = session.user_id, set(session.holds)
        for other in await self.sessions.of(user_id) if names else ():
            if other.id != session.id:
                names -= set(other.holds)
        clears = await self.credentials.end(user_id, names)
        if await self.sessions.end(user_id, session.id):
            await self.audit.record(Event.SESSION_ENDED, user_id, origin, detail=why)
        return clears

    async def sweep(self, user_id: str, *, changed: str = CHANGED) -> None:
        """End, and record, what is over of a person's sessions and remembered devices.

        Args:
            changed: why those of an earlier epoch ended.
        """
        await self.sessions.sweep(user_id, changed=changed)
        await self.devices.sweep(user_id, changed=changed)

    async def sweep_due(self) -> None:
        """The same of everybody who has any whose time is over; nobody else is looked at."""
        before = self.clock() + LINGER
        for kind in sorted(SWEPT):
            going_on, after = True, ""
            while going_on:
                owners, after = await self.store.ending(kind, before=before, after=after)
                for user_id in owners:
                    await self.sweep(user_id)
                going_on = bool(after)


def assemble(
    *,
    store: Store,
    ring: KeyRing,
    factors: Mapping[str, Factor],
    audit: AuditSink,
    notifier: Notifier,
    clock: Clock,
    random: Random,
    limits: FlowLimits,
) -> Services:
    accounts = Accounts(store)
    throttle = Throttle(store, clock)
    guessing = Guessing(store, ring, clock)
    return Services(
        store=store,
        ring=ring,
        factors=factors,
        audit=audit,
        notifier=notifier,
        clock=clock,
        random=random,
        limits=limits,
        accounts=accounts,
        throttle=throttle,
        guessing=guessing,
        proofs=Proofs(store, ring, accounts, factors, throttle, guessing, audit, notifier, clock),
        sessions=Sessions(store, ring, accounts, clock, random, limits, audit),
        pending=PendingLogins(store, ring, clock, random, limits),
        credentials=Credentials(store, ring, accounts, clock, limits.credential),
        index_tokens=IndexTokens(store, ring, clock, limits.token_age),
        devices=Devices(store, ring, accounts, clock, random, limits, audit),
        approvals=Approvals(store, ring, clock, random, limits.approval),
        challenges=Challenges(store, ring, clock, random, limits.challenge),
        tokens=Tokens(store, ring, audit, notifier, clock, random, limits.tokens),
        drafts=Drafts(store, ring, clock, limits.enrolling),
        invitations=Invitations(store, ring),
        reading=ReadingPasses(store, ring, clock),
        freezes=Freezes(store, clock),
    )
