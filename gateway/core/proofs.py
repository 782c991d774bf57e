"""Judging a second factor: throttle, check, and the conditional write that makes it count once.

Everything that asks for a factor (a login, a step up, a request with its code) comes by here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from gateway.core.account_store import Accounts
from gateway.core.accounts import Account
from gateway.core.agents import device_name
from gateway.core.audit import AuditSink, Event
from gateway.core.clock import Clock
from gateway.core.errors import Refusal
from gateway.core.factor import Factor, Proof, WrongAnswer
from gateway.core.keys import KeyRing
from gateway.core.logins import Caller
from gateway.core.notices import Notice, Notifier
from gateway.core.store import Key, Store
from gateway.core.throttle import Throttle
from gateway.core.tries import KNOWN_NETWORKS, network

_AGENTS = 10
_QUIET = 300  # seconds between two notices of wrong codes


class Proved(NamedTuple):
    """A factor that passed. label: for the audit trail, "totp phone"."""

    kind: str
    label: str
    account: Account


class Proofs:
    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        accounts: Accounts,
        factors: Mapping[str, Factor],
        throttle: Throttle,
        audit: AuditSink,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._store = store
        self._ring = ring
        self._accounts = accounts
        self._factors = factors
        self._throttle = throttle
        self._audit = audit
        self._notifier = notifier
        self._clock = clock

    def kinds(self, account: Account) -> tuple[str, ...]:
        """The kinds of factor a person can answer with: the last used first, recovery last."""
        have = [kind for kind, factor in self._factors.items() if factor.has(account)]
        last = account.last if account.last != "recovery" else ""
        return tuple(sorted(have, key=lambda kind: (kind == "recovery", kind != last)))

    def kind_of(self, code: str) -> str:
        """The kind of factor a typed text looks like; TOTP for what looks like none."""
        fitting = (kind for kind, factor in self._factors.items() if factor.fits(code))
        return next(fitting, "totp")

    async def prove(
        self,
        user_id: str,
        kind: str,
        answer: str,
        caller: Caller,
        *,
        challenge: bytes = b"",
        alone: bool = False,
    ) -> Proved:
        """Judge an answer and make it count.

        Args:
            alone: no password came before; the answer must show a person by itself.

        Raises:
            Refusal: `otp_invalid`, `throttled`.
        """
        factor = self._factors.get(kind)
        account = await self._accounts.get(user_id)
        if factor is None or account is None:
            await self._wrong(user_id, "unknown", caller)
            raise Refusal("otp_invalid")
        known = self._network(user_id, caller) in account.known
        try:
            ticket = (
                await self._throttle.reserve(user_id, caller.address, known=known)
                if factor.guessable
                else None
            )
        except Refusal:
            await self._held_back(user_id, kind, caller)
            raise
        try:
            proved, fresh = await self._claim(factor, account, answer, challenge, alone, caller)
        except WrongAnswer:
            if ticket is not None:  # others are not limited, so they must use up nobody's tries
                await self._throttle.wrong(caller.address)
            await self._wrong(user_id, kind, caller)
            raise Refusal("otp_invalid") from None
        if ticket is not None:
            await self._throttle.release(ticket)
        await self._tell(user_id, proved, caller, fresh)
        return proved

    async def _claim(
        self,
        factor: Factor,
        account: Account,
        answer: str,
        challenge: bytes,
        alone: bool,
        caller: Caller,
    ) -> tuple[Proved, bool]:
        """Store what the proof changes over the version it was judged by."""

        def work(present: Account) -> tuple[Account, tuple[Proof, bool]]:
            proof = factor.check(present, answer, challenge=challenge, now=self._clock())
            if alone and not proof.alone:
                raise WrongAnswer
            seen, fresh = self.seen(proof.account, caller)
            return replace(seen, last=factor.kind), (replace(proof, account=seen), fresh)

        proof, fresh = await self._accounts.change(
            account.id, account.user, work, now=self._clock()
        )
        label = f"{factor.kind} {proof.name}".strip()
        return Proved(factor.kind, label, proof.account), fresh

    def seen(self, account: Account, caller: Caller) -> tuple[Account, bool]:
        """The account with this network and device among those known; whether it is new."""
        place = self._network(account.id, caller)
        agent = self._ring.digest("agent", account.id, device_name(caller.origin.user_agent))
        known = tuple(dict.fromkeys(([place] if place else []) + list(account.known)))
        agents = tuple(dict.fromkeys([agent, *account.agents]))
        fresh = bool(account.agents) and agent not in account.agents
        return replace(account, known=known[:KNOWN_NETWORKS], agents=agents[:_AGENTS]), fresh

    def _network(self, user_id: str, caller: Caller) -> str:
        place = network(caller.address)
        return self._ring.digest("network", user_id, place) if place else ""

    async def _tell(self, user_id: str, proved: Proved, caller: Caller, fresh: bool) -> None:
        origin = caller.origin
        if proved.kind == "recovery":
            left = f"{len(proved.account.recovery.codes)} left"
            await self._audit.record(Event.RECOVERY_CODE_USED, user_id, origin, detail=left)
            await self._notifier.notify(Notice.RECOVERY_CODE_USED, user_id, origin, detail=left)
        if fresh:
            name = device_name(origin.user_agent)
            await self._notifier.notify(Notice.NEW_DEVICE, user_id, origin, detail=name)

    async def _wrong(self, user_id: str, kind: str, caller: Caller) -> None:
        await self._audit.record(Event.FACTOR_REFUSED, user_id, caller.origin, factor=kind)
        if await self._once(user_id, "wrong"):
            await self._notifier.notify(Notice.WRONG_FACTOR, user_id, caller.origin, detail=kind)

    async def _held_back(self, user_id: str, kind: str, caller: Caller) -> None:
        if await self._once(user_id, "throttled"):
            await self._audit.record(Event.THROTTLED, user_id, caller.origin, factor=kind)

    async def _once(self, user_id: str, what: str) -> bool:
        """True at most every five minutes, so that an attack floods nobody."""
        expires = self._clock() + _QUIET
        return await self._store.claim(Key("told", user_id, what), expires=expires)
