"""Judging a second factor: throttle, check, and the conditional write that makes it count once.

Everything that asks for a factor (a login, a step up, a request with its code) passes through here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from gateway.core.accounts.factor import Factor, Proof, WrongAnswer
from gateway.core.accounts.records import Account
from gateway.core.accounts.repository import Accounts, StoredAccount
from gateway.core.audit.events import AuditSink, Event
from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import CODES_WAIT, CODES_WAIT_ELSE, Refusal, Slug
from gateway.core.login.models import Caller
from gateway.core.notices.events import Notice, Notifier
from gateway.core.store import Key, Store, StoreStep, StoreUnavailable
from gateway.core.throttle.attempts import Counter, Throttle
from gateway.core.throttle.limits import KNOWN_NETWORKS, network, region
from gateway.core.throttle.passwords import Guess, Guessing
from gateway.core.values import dataclass
from gateway.core.wording import device_name, in_words

_AGENTS = 20
_ROUNDS = 200
_QUIET = 3600  # seconds between two entries that say somebody is held back


class Proved(NamedTuple):
    """A factor that passed. label: for the audit trail, "totp phone"."""

    kind: str
    label: str
    account: Account


@dataclass(frozen=True, slots=True)
class _Rejected:
    """A rejected answer, as recorded in the audit trail. alone, session: as in `Proofs.prove`."""

    user_id: str
    kind: str
    caller: Caller
    alone: bool = False
    session: bool = False

    @property
    def how(self) -> str:
        return "passkey alone" if self.alone else "step up" if self.session else ""


Effect: TypeAlias = Callable[[Proved, Sequence[StoreStep]], Awaitable[bool]]
"""Carries out, in this order and before anything else, the steps by which a right answer counts;
whether all held. If not, nothing else may have been done, and the answer is judged again."""


class _BeforeTheLast(WrongAnswer):
    """After one more wrong answer, answers of this kind have to wait."""


class _TheLast(WrongAnswer):
    """Answers of this kind have to wait now, so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Proofs:
    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        accounts: Accounts,
        factors: Mapping[str, Factor],
        throttle: Throttle,
        guessing: Guessing,
        audit: AuditSink,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._store = store
        self._ring = ring
        self._accounts = accounts
        self._factors = factors
        self._throttle = throttle
        self._guessing = guessing
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
        stored: StoredAccount | None,
        challenge: bytes = b"",
        alone: bool = False,
        session: bool = False,
        effect: Effect | None = None,
    ) -> Proved:
        """Judge an answer and make it count.

        Args:
            stored: the account as it was just read.
            alone: no password came before; the answer must show a person by itself.
            session: it is a step up on a session, no login.
            effect: how it counts, where something is written along with it.

        Raises:
            Refusal: `otp_invalid`, `throttled`.
        """
        factor = self._factors.get(kind)
        wrong = _Rejected(user_id, kind, caller, alone, session)
        if factor is None or stored is None:
            wrong = replace(wrong, kind="unknown")
        try:
            if factor is None or stored is None:
                await self._throttle.wasted(user_id)
                raise WrongAnswer
            proved, fresh = await self._judged(
                factor, stored, answer, challenge, alone, caller, effect or self._effect
            )
        except WrongAnswer as error:
            raise await self._refused(wrong, error, stored) from None
        except Refusal as throttled:
            await self._held_back(wrong)
            raise self._with_other_ways(throttled, kind, stored) from None
        await self._tell(user_id, proved, caller, fresh)
        return proved

    async def _judged(
        self,
        factor: Factor,
        stored: StoredAccount,
        answer: str,
        challenge: bytes,
        alone: bool,
        caller: Caller,
        effect: Effect,
    ) -> tuple[Proved, bool]:
        """Count a wrong answer, or store what a right one changes; either over what it was judged
        by, else it is judged again.

        Raises:
            WrongAnswer
            Refusal: `throttled`.
        """
        user_id = stored.account.id
        for _ in range(_ROUNDS):
            place = self._network(user_id, caller)
            known = place in stored.account.known
            counters: tuple[Counter, ...] = ()
            if factor.guessable:
                counters = self._throttle.counters(user_id, caller.address, known=known)
            async with self._throttle.turn(counters):
                counts = await self._throttle.read(counters)
                counts.check()
                try:
                    changed, proof = self._proof(factor, stored.account, answer, challenge, alone)
                except WrongAnswer:
                    if factor.guessable:
                        await self._throttle.count(counts)
                        if seconds := counts.held_after():
                            raise _TheLast(seconds) from None
                        if counts.last:
                            raise _BeforeTheLast from None
                    else:  # judged first: who has a right one is never held back
                        await self._throttle.wasted(user_id)
                    raise
                changed, fresh = self._seen(changed, caller, place, factor.kind)
                proved = Proved(factor.kind, f"{factor.kind} {proof.name}".strip(), changed)
                steps = [*counts.unchanged(), *self._accounts.writing(stored, changed)]
                if await effect(proved, steps):
                    return proved, fresh
            read = await self._accounts.stored(user_id)
            stored = read or StoredAccount(Account(user_id, stored.account.user), 0)
        raise StoreUnavailable("an account is changed by too many at once")

    async def _effect(self, _: Proved, steps: Sequence[StoreStep]) -> bool:
        return len(await self._store.transact(steps)) == len(steps)

    def _proof(
        self, factor: Factor, account: Account, answer: str, challenge: bytes, alone: bool
    ) -> tuple[Account, Proof]:
        proof = factor.check(account, answer, challenge=challenge, now=self._clock())
        if alone and not proof.alone:
            raise WrongAnswer
        return proof.account, proof

    async def trying(self, user: str, secret: str, caller: Caller, *, hasty: bool = False) -> Guess:
        """Count a password before the upstream is asked; tell the attempt what it said.

        Nothing is kept under the name, known or not: it can lock nobody out and tells nothing.

        Args:
            hasty: the request goes on where the store is away.

        Raises:
            Refusal: `throttled`.
        """
        return await self.begun(
            self._guessing.attempt(caller.address, user, secret, hasty=hasty), caller
        )

    async def begun(self, attempt: Guess, caller: Caller) -> Guess:
        """A password (or a passkey) that may be tried now.

        Raises:
            Refusal: `throttled`.
        """
        try:
            await attempt.begin()
        except Refusal:
            if not attempt.alone:
                await self._held_back(_Rejected("", "password", caller))
            raise
        return attempt

    async def meet(self, account: Account, caller: Caller) -> None:
        """A login without a factor: keep the account, and tell of a device not seen before."""

        def work(present: Account) -> tuple[Account, bool]:
            agents, fresh = self._agents(present, caller)
            language = caller.language or present.language
            return replace(present, agents=agents, language=language), fresh

        now = self._clock()
        if await self._accounts.change(account.id, account.user, work, now=now):
            await self._new_device(account.id, caller)

    def seen(self, account: Account, caller: Caller) -> tuple[Account, bool]:
        """The account with this network and device among those known; whether it is new."""
        return self._seen(account, caller, self._network(account.id, caller), account.last)

    def _seen(
        self, account: Account, caller: Caller, place: str, kind: str
    ) -> tuple[Account, bool]:
        known = tuple(dict.fromkeys(([place] if place else []) + list(account.known)))
        agents, fresh = self._agents(account, caller)
        language = caller.language or account.language
        return replace(
            account, last=kind, known=known[:KNOWN_NETWORKS], agents=agents, language=language
        ), fresh

    def _agents(self, account: Account, caller: Caller) -> tuple[tuple[str, ...], bool]:
        """The devices known after a login, the newest first, and whether this one was new."""
        # A relay on its way between a person and the gateway repeats the User-Agent, so the name
        # of the program alone would make every phished login one from a device seen before.
        name, around = device_name(caller.origin.user_agent), region(caller.address)
        agent = self._ring.digest("agent", account.id, name, around)
        fresh = bool(account.agents) and agent not in account.agents
        return tuple(dict.fromkeys([agent, *account.agents]))[:_AGENTS], fresh

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
            await self._new_device(user_id, caller)

    async def _new_device(self, user_id: str, caller: Caller) -> None:
        name = device_name(caller.origin.user_agent)
        await self._notifier.notify(Notice.NEW_DEVICE, user_id, caller.origin, detail=name)

    def _with_other_ways(
        self, throttled: Refusal, kind: str, stored: StoredAccount | None
    ) -> Refusal:
        """The same refusal; it names what works in the meantime, where the person has it."""
        if not self._another_way(kind, stored):
            return throttled
        return Refusal(
            throttled.slug, retry_after=throttled.retry_after, **throttled.detail, instead="yes"
        )

    def _another_way(self, kind: str, stored: StoredAccount | None) -> bool:
        """Whether the person has what works while answers of that kind have to wait."""
        factor = self._factors.get(kind)
        if stored is None or factor is None or not factor.guessable:
            return False
        return any(one != kind for one in self.kinds(stored.account))

    async def _refused(
        self, wrong: _Rejected, error: WrongAnswer, stored: StoredAccount | None
    ) -> Refusal:
        origin, how = wrong.caller.origin, wrong.how
        await self._audit.record(
            Event.FACTOR_REFUSED, wrong.user_id, origin, factor=wrong.kind, detail=how
        )
        if not wrong.alone:  # else no password was given, and nothing of the person's is known
            notice = Notice.WRONG_STEP_UP if wrong.session else Notice.WRONG_FACTOR
            await self._notifier.notify(notice, wrong.user_id, origin, detail=wrong.kind)
        said: dict[str, str] = {}
        if wrong.kind == "recovery":
            said = {"recovery": "yes"}
        elif isinstance(error, _TheLast):
            said = {"fix": CODES_WAIT, "wait": in_words(error.seconds)}
            if self._another_way(wrong.kind, stored):
                said |= {"fix": CODES_WAIT_ELSE, "instead": "yes"}
        elif isinstance(error, _BeforeTheLast):
            said = {"last": "yes"}
        return Refusal(Slug.OTP_INVALID, retry_after=None, **said)

    async def _held_back(self, wrong: _Rejected) -> None:
        """Record a lock-out once, so that it can be seen and an attack floods nobody."""
        caller = wrong.caller
        place = "" if wrong.user_id else network(caller.address)
        told = Key("told", wrong.user_id, f"throttled {place}".strip())
        live = await self._store.get(told)
        if not live and await self._store.claim(told, expires=self._clock() + _QUIET):
            await self._audit.record(
                Event.THROTTLED, wrong.user_id, caller.origin, factor=wrong.kind
            )
