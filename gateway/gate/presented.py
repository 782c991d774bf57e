"""Credentials on routes that are forwarded as they are: the index judges them, this counts.

Requests without a credential never come here, and one that the index took a short while ago
costs a look into memory. Any other is counted before it goes on, and the status of the answer
says whether it was a guess. Such a route may take any password unread (pypiserver's `/simple/`
without `list` in -a), so its yes proves nothing: what comes again is asked about. devpi takes a
wrong one for none and answers 200 (`/+api` then says so): there everything is asked about.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts
from gateway.core.login.models import caller_of
from gateway.core.rules.rules import Rule
from gateway.core.store import StoreUnavailable
from gateway.core.throttle.known_good import HALF_LIFE
from gateway.core.throttle.passwords import Guess, Mark
from gateway.core.upstream import Carrier, Credential
from gateway.gate.context import GateContext
from gateway.proxy.ports import Forward, Plan

_log = logging.getLogger("gateway.presented")

_NO: Final = frozenset({401, 403})
_FAULTS: Final = 500  # from here on the answer is the fault of a server
_SEEN: Final = 4096
_UNSURE: Final = 60.0  # seconds in which an index that does not say is not asked again


class RequestCredential(NamedTuple):
    """A credential of a request. asked: what the index can be asked about, if it can be read.
    bearer: a token that nobody guesses. signed: the same in the place of a password."""

    mark: Mark
    user: str
    secret: str
    asked: Credential | None
    bearer: bool
    signed: bool


class Presented:
    """One for a process: it remembers what is being asked."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts
        self._guessing: Final = parts.flow.guessing
        self._seen: dict[str, None] = {}
        self._asking: Final[set[str]] = set()
        self._unsure_until = 0.0
        self._tasks: Final[set[asyncio.Task[None]]] = set()

    @property
    def busy(self) -> bool:
        """Whether answers are still being counted."""
        return bool(self._tasks)

    def plan(self, facts: Facts, rule: Rule | None, base: Forward) -> Plan | Awaitable[Plan]:
        """`base`, watched or refused where that is needed."""
        shown = [self._shown(facts, one) for one in self._carriers(facts) if goes_on(one, base)]
        unknown = [one for one in shown if not (one.signed or self._guessing.spared(one.mark))]
        for one in shown:
            self._renew(one)
        if not unknown:
            return base
        return self._parts.replies.worded(facts, self._counted(facts, rule, base, unknown))

    def alike(self, facts: Facts) -> Callable[[], bool]:
        """Whether `plan` would say the same of the credentials of these facts."""
        shown = [self._shown(facts, one) for one in self._carriers(facts)]
        marks = tuple(one.mark for one in shown if not one.signed)
        settled = self._guessing.settled
        return lambda: all(map(settled, marks))

    async def _counted(
        self, facts: Facts, rule: Rule | None, base: Forward, unknown: Sequence[RequestCredential]
    ) -> Plan:
        caller = caller_of(facts, rule)
        attempts: list[tuple[RequestCredential, Guess]] = []
        try:
            for one in unknown:
                if one.asked is not None and await self._verified(one.asked):
                    self._guessing.known.judged(one.mark.full, right=True)
                    continue
                attempt = await self._parts.flow.proofs.trying(
                    one.user, one.secret, caller, hasty=True
                )
                attempts.append((one, attempt))
        except Refusal:
            for _, attempt in attempts:
                await attempt.let_go()
            raise
        return replace(base, watch=Watching(self, attempts)) if attempts else base

    # -- what the answer says ---------------------------------------------------------------

    def answered(
        self, attempts: Sequence[tuple[RequestCredential, Guess]], status: int | None
    ) -> None:
        self._work(self._judged(attempts, status))

    async def _judged(
        self, attempts: Sequence[tuple[RequestCredential, Guess]], status: int | None
    ) -> None:
        for shown, attempt in attempts:
            verdict = False if status in _NO else await self._verdict(shown, status)
            if verdict is None:
                await attempt.let_go()
            elif verdict:
                await attempt.right()
            else:
                await attempt.wrong()

    async def _verdict(self, shown: RequestCredential, status: int | None) -> bool | None:
        """Whether a credential was right that the answer does not refuse.

        Who leaves before the answer may see by what has happened whether it was.
        """
        again = self._again(shown.mark.full)
        lost = status is None or status >= _FAULTS
        tells = self._parts.upstream.tells_anyway
        if shown.mark.full in self._asking or not (again or lost or tells):
            return None
        said = await self._ask(shown, anyway=lost)
        if said is None and shown.asked is None and not shown.bearer:  # nobody can be asked
            return False if tells or lost else None
        return False if said is None and tells and not (lost or shown.bearer) else said

    def _again(self, full: str) -> bool:
        """Whether it was here before: for one that comes once the index need not be asked."""
        again = full in self._seen
        self._seen.pop(full, None)
        if len(self._seen) >= _SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[full] = None
        return again

    async def _ask(self, shown: RequestCredential, *, anyway: bool = False) -> bool | None:
        """What the index says of a credential; None where it does not, or is being asked.

        Args:
            anyway: although it did not say a moment ago.
        """
        full = shown.mark.full
        now = self._parts.clock()
        if shown.asked is None or full in self._asking:
            return None
        if now < self._unsure_until and not anyway:
            return None
        self._asking.add(full)
        try:
            said = await self._parts.passwords.judged(shown.asked)
        finally:
            self._asking.discard(full)
        if said is None:
            self._unsure_until = now + _UNSURE
        return said

    def _renew(self, shown: RequestCredential) -> None:
        """Ask again in time about one that is in use, so that it is known without a gap."""
        known, mark = self._guessing.known, shown.mark
        if known.age(mark.full) >= HALF_LIFE and known.right(mark.full, mark.place):
            self._work(self._renewed(shown))

    async def _renewed(self, shown: RequestCredential) -> None:
        if await self._ask(shown):
            self._guessing.known.judged(shown.mark.full, right=True)

    # -- how ------------------------------------------------------------------------------

    def _carriers(self, facts: Facts) -> tuple[Carrier, ...]:
        try:
            return self._parts.upstream.carriers(facts)
        except Refusal:  # a repeated one: two readers may take different ones
            return (Carrier("cookie", None),)

    def _shown(self, facts: Facts, carrier: Carrier) -> RequestCredential:
        credential = carrier.credential
        value = facts.first(carrier.place.partition(":")[0]) or ""
        if credential is not None:
            user, secret = credential.user, credential.secret
        else:
            user, secret = "", f"{carrier.place} {value}"
        mark = self._guessing.mark(facts.client, user, secret)
        bearer = carrier.place == "authorization" and value.lower().startswith("bearer ")
        signed = credential is not None and self._parts.upstream.signed(secret)
        return RequestCredential(mark, user, secret, credential, bearer, signed)

    async def _verified(self, credential: Credential) -> bool:
        if self._guessing.away:
            return False
        try:
            async with asyncio.timeout(self._guessing.haste):
                return await self._parts.flow.earned.verified(credential) is not None
        except (StoreUnavailable, TimeoutError):
            return False

    def _work(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception:
            _log.exception("a tried password could not be counted")


def goes_on(carrier: Carrier, base: Forward) -> bool:
    """Whether the index gets it, be it under another name. A Cookie field is only replaced to
    take credentials out."""
    field, cookie, _ = carrier.place.partition(":")
    return field not in base.replace or not (cookie or base.replace[field] is None)


class Watching:
    """A `gateway.proxy.ports.Watch` over the attempts of one request."""

    __slots__ = ("_attempts", "_presented")

    def __init__(
        self, presented: Presented, attempts: Sequence[tuple[RequestCredential, Guess]]
    ) -> None:
        self._presented = presented
        self._attempts = attempts

    def answered(self, status: int | None, length: int | None = None) -> None:
        self._presented.answered(self._attempts, status)
