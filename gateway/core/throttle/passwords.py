"""Passwords on trial: counted in the store before the index is asked, whoever asks it.

Every way in on which the index judges a password passes through here: logins, private indexes, a
code behind a password, and requests that are forwarded with a credential.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, NamedTuple
from weakref import WeakSet

from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal
from gateway.core.http.facts import IPAddress
from gateway.core.store import Key, Put, Store, StoreUnavailable
from gateway.core.throttle import guesses
from gateway.core.throttle.guesses import Guesses
from gateway.core.throttle.known_good import HALF_LIFE, KnownGood
from gateway.core.throttle.limits import UNKNOWN, network
from gateway.core.throttle.turns import NamedLocks
from gateway.core.user_id import user_id

_RETRIES: Final = 200
_AWAY: Final = 5.0  # seconds for which a store that failed is not asked by such requests
_PLACES: Final = 1024
_IN_HAND: Final = 4096


class Mark(NamedTuple):
    """A name and a password at a network, as they are counted. full: a keyed hash of all."""

    place: str
    name: str
    full: str

    @property
    def what(self) -> str:
        """A piece of it, so short that a stored one says little of a password."""
        return self.full[:4]


class Guess:
    """A password that the index is about to judge. Say what it said: exactly one of `right`,
    `passed`, `wrong`, `let_go`. As a context manager it lets go at its end of what was not judged,
    and takes back what `passed` and was not taken back by then."""

    __slots__ = ("__weakref__", "_done", "_due", "_guessing", "_hasty", "_mark", "_step", "counted")

    def __init__(self, guessing: Guessing, mark: Mark, *, hasty: bool) -> None:
        self._guessing = guessing
        self._mark = mark
        self._hasty = hasty
        self._done = False
        self._due = False
        self._step: tuple[Put, ...] = ()
        self.counted = False

    @property
    def alone(self) -> bool:
        """Whether it goes on without the store."""
        return self._hasty and self._guessing.away

    async def begin(self) -> None:
        """Count it. Raises Refusal `throttled`, and StoreUnavailable where it is not hasty."""
        if not self._guessing.spared(self._mark):
            await self._guessing.take(self, self._mark, hasty=self._hasty)

    async def right(self) -> None:
        """It was right, and counts no more."""
        self.passed()
        await self._take_back()

    def passed(self) -> None:
        """It was right; that it counts no more is to be written along with something else."""
        if not self._done:
            self._done = True
            self._due = self._guessing.passed(self, self._mark)

    def taking_back(self) -> tuple[Put, ...]:
        """The step for it, if it is due and what the store has is known."""
        self._step = self._guessing.taking_back(self._mark) if self._due else ()
        return self._step

    def taken_back(self, gave: Sequence[int]) -> None:
        """What that step gave, if it was done."""
        for step, version in zip(self._step, gave, strict=False):
            self._due = False
            self._guessing.taken_back(self._mark, step, version)

    async def _take_back(self) -> None:
        if self._due:
            self._due = False
            await self._guessing.take_back(self._mark, hasty=self._hasty)

    async def wrong(self) -> None:
        if not self._done:
            self._done = True
            await self._guessing.wrong(self._mark, hasty=self._hasty)

    async def let_go(self) -> None:
        if not self._done:
            self._done = True
            await self._guessing.let_go(self, self._mark, hasty=self._hasty)

    async def __aenter__(self) -> Guess:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._take_back()
        # A client that leaves in the middle may have been told by the index: it stays counted.
        if not isinstance(exc, asyncio.CancelledError):
            with contextlib.suppress(StoreUnavailable):
                await self.let_go()


class Guessing:
    """Counts passwords by network, in the store and so over all gateways.

    `hasty` marks requests that go on without the store: where it is away they are counted in
    this process alone.

    haste: seconds that such a request waits for the store.
    """

    haste: Final = 2.0

    def __init__(self, store: Store, ring: KeyRing, clock: Clock) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self.known = KnownGood(clock)
        self._turns = NamedLocks()
        self._in_hand: dict[str, WeakSet[Guess]] = {}
        self._seen: dict[str, Guesses] = {}
        self._versions: dict[str, int] = {}  # of those that the store has just so
        self._ours: set[str] = set()  # where the last look found what was written here
        self._away_until = 0.0

    def attempt(
        self, address: IPAddress | None, user: str, secret: str, *, hasty: bool = False
    ) -> Guess:
        return Guess(self, self.mark(address, user, secret), hasty=hasty)

    def mark(self, address: IPAddress | None, user: str, secret: str) -> Mark:
        place = network(address) or UNKNOWN
        try:
            name = user_id(user)
        except Refusal:
            name = user
        full = self._ring.digest("password tried", place, name, secret)
        return Mark(place, name, full)

    def spared(self, mark: Mark) -> bool:
        """Whether it needs no counting: right a moment ago, or wrong and counted."""
        return self.known.right(mark.full, mark.place) or self.known.wrong(mark.full)

    def settled(self, mark: Mark) -> bool:
        """Whether it is spared, and nothing is to be asked about it yet."""
        known = self.known
        return known.right(mark.full, mark.place, within=HALF_LIFE) or known.wrong(mark.full)

    @property
    def away(self) -> bool:
        """Whether the store failed just now."""
        return self._clock() < self._away_until

    # -- steps ----------------------------------------------------------------------------

    async def take(self, attempt: Guess, mark: Mark, *, hasty: bool) -> None:
        async with self._turns.of(mark.place):
            hand = self._in_hand.get(mark.full)
            if not hand:  # else it is counted for those that ask at this moment
                who = self._who(mark)
                try:
                    await self._change(
                        mark.place,
                        lambda found: guesses.taken(found, who, mark.what, self._clock()),
                        hasty=hasty,
                        seen=mark.place in self._ours,
                    )
                except Refusal:
                    self.known.missed(mark.full, mark.place)
                    raise
                hand = self._hand(mark.full)
            hand.add(attempt)
            attempt.counted = True

    async def wrong(self, mark: Mark, *, hasty: bool) -> None:
        told = self.known.wrong(mark.full)
        self.known.judged(mark.full, right=False)
        if not told:
            who = self._who(mark)
            await self._settle(
                mark,
                lambda found: guesses.told_wrong(found, who, mark.what, self._clock()),
                hasty=hasty,
            )

    def passed(self, attempt: Guess, mark: Mark) -> bool:
        """Whether it was counted and is to be taken back."""
        counted = attempt.counted or self.known.wrong(mark.full)
        self.known.judged(mark.full, right=True)
        return counted

    async def take_back(self, mark: Mark, *, hasty: bool) -> None:
        await self._settle(mark, lambda found: guesses.told_right(found, mark.what), hasty=hasty)

    def taking_back(self, mark: Mark) -> tuple[Put, ...]:
        """The same as a step over what was seen last, if the store may still have it."""
        found, version = self._seen.get(mark.place, ()), self._versions.get(mark.place)
        changed = guesses.told_right(found, mark.what)
        if version is None or changed == found:
            return ()
        return (_written(mark.place, changed, self._clock(), version),)

    def taken_back(self, mark: Mark, step: Put, version: int) -> None:
        """That step was done, and gave this version."""
        # Else others were counted meanwhile.
        if self._versions.get(mark.place) == step.if_version:
            changed = guesses.told_right(self._seen[mark.place], mark.what)
            self._remember(mark.place, changed, version)

    async def let_go(self, attempt: Guess, mark: Mark, *, hasty: bool) -> None:
        if not attempt.counted:
            return
        hand = self._in_hand.get(mark.full)
        if hand is not None:
            hand.discard(attempt)
        if not hand and not self.known.wrong(mark.full):
            self._in_hand.pop(mark.full, None)
            await self._settle(mark, lambda found: guesses.let_go(found, mark.what), hasty=hasty)

    # -- how ------------------------------------------------------------------------------

    def _who(self, mark: Mark) -> str:
        return self._ring.digest("name tried", mark.place, mark.name)[:6]

    def _hand(self, full: str) -> WeakSet[Guess]:
        if len(self._in_hand) >= _IN_HAND:
            self._in_hand = {key: hand for key, hand in self._in_hand.items() if hand}
        hand: WeakSet[Guess] = WeakSet()
        self._in_hand[full] = hand
        return hand

    async def _settle(self, mark: Mark, work: Callable[[Guesses], Guesses], *, hasty: bool) -> None:
        """What the index said refuses nobody, so it may be written over what was seen last: if
        another gateway wrote since, it is read again."""
        async with self._turns.of(mark.place):
            await self._change(mark.place, work, hasty=hasty, seen=True)

    async def _change(
        self,
        place: str,
        work: Callable[[Guesses], Guesses],
        *,
        hasty: bool,
        seen: bool = False,
    ) -> None:
        if not hasty:
            await self._in_store(place, work, seen=seen)
            return
        if not self.away:
            try:
                async with asyncio.timeout(self.haste):
                    await self._in_store(place, work, seen=seen)
                return
            except (StoreUnavailable, TimeoutError):
                self._away_until = self._clock() + _AWAY
        self._remember(place, work(self._seen.get(place, ())))

    def _remember(self, place: str, found: Guesses, version: int | None = None) -> None:
        """What is counted on from while the store is away.

        Args:
            version: that under which the store has just this; None where it may not.
        """
        self._seen.pop(place, None)
        self._versions.pop(place, None)
        self._seen[place] = found
        if version is not None:
            self._versions[place] = version
        if len(self._seen) > _PLACES:
            oldest = next(iter(self._seen))
            del self._seen[oldest]
            self._versions.pop(oldest, None)
            self._ours.discard(oldest)

    async def _in_store(
        self, place: str, work: Callable[[Guesses], Guesses], *, seen: bool = False
    ) -> None:
        """Args: seen: whether to begin with what was seen last, if the store may still have it;
        it is read before anybody is refused by it."""
        key, last = _key(place), self._versions.get(place)
        found, version = self._seen.get(place, ()), last if seen else None
        for _ in range(_RETRIES):
            now, fresh = self._clock(), version is None
            found = guesses.lasting(found, now)
            if version is None:
                record = await self._store.get(key)
                found = guesses.load(record.value, now) if record else ()
                version = record.version if record else 0
                (self._ours.add if version == last else self._ours.discard)(place)
            try:
                changed = work(found)
            except Refusal:
                if fresh:
                    raise
                version = None
                continue
            self._remember(place, changed)
            if changed == found:
                if fresh:
                    return
                version = None
                continue
            step = _written(place, changed, now, version)
            # Nobody who guesses can cut the power, and for the rest it is soon forgotten anyway.
            written = await self._store.put(
                key, step.value, expires=step.expires, if_version=version, durable=False
            )
            if written is not None:
                self._remember(place, changed, written)
                return
            version = None
        raise StoreUnavailable("passwords are tried by too many at once")


def _key(place: str) -> Key:
    return Key("guesses", "", place)


def _written(place: str, found: Guesses, now: float, version: int) -> Put:
    """What is counted at a network, over a version of it."""
    return Put(_key(place), guesses.dump(found), now + guesses.LIFE, version)
