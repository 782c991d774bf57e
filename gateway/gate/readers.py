"""Credentials on routes that need one the index accepts: judged by the index once, then remembered.

Kept in this process only and never written: by a keyed hash of network, name and secret, with what
goes to the index in its place. devpi hashes a password anew with each request, so it gets the login
token that judging the password earned. What is remembered lets in no longer than a person's epoch
stands, and not from a network that has guessed too often (`gateway.core.throttle.known_good`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple

from gateway.core.accounts.repository import Accounts
from gateway.core.clock import Clock
from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.http.facts import Facts
from gateway.core.login.flow import Flow
from gateway.core.login.models import Caller
from gateway.core.store import StoreUnavailable
from gateway.core.throttle.passwords import Mark
from gateway.core.typed import split_code
from gateway.core.upstream import Carrier, Credential, Upstream
from gateway.core.user_id import user_id
from gateway.gate.first_factor import Passwords
from gateway.proxy.ports import Forward

TOKEN_FOR: Final = 60.0
"""Seconds for which a token is not looked up again."""
FRESH: Final = 3.0
"""Seconds for which a person's epoch is believed, so that a changed password ends it everywhere."""
_MOST: Final = 8192
_WAYS: Final = 64
_HASTE: Final = 2.0  # seconds that a remembered one waits for the store


@dataclass(slots=True)
class Reader:
    """What one credential has turned out to be.

    secret: what stands in its place on the way to the index; None: it goes on as it is.
    until: when it is judged anew. epoch: of the person when it was judged, None where something
        else sees to its end. looked: when that was looked at last.
    ways: how requests with it go on, by the way of their rule.
    """

    user_id: str
    secret: str | None = field(repr=False)
    until: float
    epoch: int | None
    looked: float
    ways: dict[tuple[int, str], tuple[Forward, Forward]] = field(default_factory=dict, repr=False)


class Accepted(NamedTuple):
    """A credential of a request that counts, and what is known of it."""

    carrier: Carrier
    mark: Mark
    reader: Reader

    @property
    def credential(self) -> Credential | None:
        """What the index is to see of it."""
        shown, secret = self.carrier.credential, self.reader.secret
        return shown if shown is None or secret is None else Credential(shown.user, secret)


class Readers:
    """One for a process.

    Args:
        remember: seconds for which a password that the index took is not judged again.
    """

    def __init__(
        self,
        upstream: Upstream,
        passwords: Passwords,
        flow: Flow,
        accounts: Accounts,
        clock: Clock,
        remember: float,
    ) -> None:
        self._upstream: Final = upstream
        self._passwords: Final = passwords
        self._flow: Final = flow
        self._guessing: Final = flow.guessing
        self._accounts: Final = accounts
        self._clock: Final = clock
        self._remember: Final = remember
        self._readers: Final[dict[str, Reader]] = {}
        self._asking: Final[dict[str, asyncio.Task[Reader]]] = {}

    # -- asking -----------------------------------------------------------------------------

    def at_once(self, facts: Facts, base: Forward) -> Forward | None:
        """The way of a request whose credentials are all remembered and name one person; None
        where something has to be asked."""
        accepted = []
        for carrier in self._upstream.carriers(facts):
            one = self._remembered(facts, carrier)
            if one is None or not self._fresh(one.reader):
                return None
            accepted.append(one)
        if len({one.reader.user_id for one in accepted}) != 1:
            return None
        return self.forward(facts, base, accepted)

    def opens(self, facts: Facts) -> Callable[[Forward], Forward | None] | None:
        """How requests with the fields of this one go on, as long as all is remembered; None
        where that is not so now."""
        carriers = self._upstream.carriers(facts)
        one = self._remembered(facts, carriers[0]) if len(carriers) == 1 else None
        if one is None or one.carrier.place.startswith("cookie:"):
            return None
        known, (_, mark, reader) = [one], one
        readers, clock, exhausted = self._readers, self._clock, self._guessing.known.exhausted
        full, place, until, lasts = mark.full, mark.place, reader.until, reader.epoch is None
        last: tuple[Forward, Forward] | None = None

        def way(base: Forward) -> Forward | None:
            nonlocal last
            now = clock()
            if readers.get(full) is not reader or now >= until or exhausted(place):
                return None
            if not (lasts or 0 <= now - reader.looked < FRESH):
                return None
            if last is None or last[0] is not base:
                last = (base, self.forward(facts, base, known))
            return last[1]

        return way

    async def accepted(self, facts: Facts, carrier: Carrier, caller: Caller) -> Accepted:
        """A credential that the index takes.

        Many requests with one credential, at one time, ask the index once.

        Raises:
            Refusal: `credential_required`, `throttled`, `upstream_…`.
        """
        credential = carrier.credential
        if credential is None:
            raise Refusal(Slug.CREDENTIAL_REQUIRED)
        known = self._remembered(facts, carrier)
        if known is not None and await self._still(known.reader):
            return known
        mark = self._guessing.mark(caller.address, credential.user, credential.secret)
        asking = self._asking.get(mark.full)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._judged(credential, mark, caller))
            self._asking[mark.full] = asking
            asking.add_done_callback(lambda task: self._asked(mark, task))
        # Whoever asked first may leave; the others wait on.
        return Accepted(carrier, mark, await asyncio.shield(asking))

    def forget(self, who: str) -> None:
        """Remember nothing of a person: their password has changed."""
        gone = [name for name, reader in self._readers.items() if reader.user_id == who]
        for name in gone:
            del self._readers[name]

    # -- how --------------------------------------------------------------------------------

    def _remembered(self, facts: Facts, carrier: Carrier) -> Accepted | None:
        credential = carrier.credential
        if credential is None:
            return None
        mark = self._guessing.mark(facts.client, credential.user, credential.secret)
        reader = self._readers.get(mark.full)
        if reader is None or self._clock() >= reader.until:
            return None
        if self._guessing.known.exhausted(mark.place):
            return None
        return Accepted(carrier, mark, reader)

    def _fresh(self, reader: Reader) -> bool:
        return reader.epoch is None or 0 <= self._clock() - reader.looked < FRESH

    async def _still(self, reader: Reader) -> bool:
        """Whether nothing has ended it since it was judged. Where the store is away it counts on,
        for the time it is remembered."""
        if self._fresh(reader):
            return True
        now = self._clock()
        try:
            async with asyncio.timeout(_HASTE):
                epoch = await self._accounts.epoch(reader.user_id)
        except (StoreUnavailable, TimeoutError):
            reader.looked = now
            return True
        if epoch != reader.epoch:
            self.forget(reader.user_id)
            return False
        reader.looked = now
        return True

    async def _judged(self, credential: Credential, mark: Mark, caller: Caller) -> Reader:
        now = self._clock()
        verified = await self._flow.earned.verified(credential)
        if verified is not None:
            return self._keep(mark, Reader(verified.user_id, None, now + TOKEN_FOR, None, now))
        user, secret = credential.user, credential.secret
        who = _id_of(user)
        epoch = await self._accounts.epoch(who) if who else 0
        async with await self._flow.proofs.trying(user, secret, caller) as attempt:
            found = await self._ask(credential)
            if found is None:
                await attempt.wrong()
                raise Refusal(Slug.CREDENTIAL_REQUIRED)
            await attempt.right()
        instead, lives = found
        return self._keep(mark, Reader(who or user_id(user), instead, now + lives, epoch, now))

    async def _ask(self, credential: Credential) -> tuple[str | None, float] | None:
        """What goes to the index in place of a credential, and for how many seconds; None where
        the index does not take it."""
        upstream, secret = self._upstream, credential.secret
        if upstream.acceptance_check(credential) is None:
            return None
        if upstream.hands_over(secret):
            taken = await self._passwords.accepted(credential)
            return (None, TOKEN_FOR) if taken else None
        parts = split_code(secret)
        # What looks like a code may be the end of a password.
        for candidate in (parts[0], secret) if parts else (secret,):
            issued = await self._passwords.right(Credential(credential.user, candidate))
            if issued is not None:
                instead = issued.credential.secret
                lives = self._remember
                if issued.lifetime is not None:
                    lives = min(lives, issued.lifetime / 2)
                return (instead if instead != secret else None), lives
        return None

    def _keep(self, mark: Mark, reader: Reader) -> Reader:
        if reader.until > self._clock():
            self._readers.pop(mark.full, None)
            if len(self._readers) >= _MOST:
                del self._readers[next(iter(self._readers))]
            self._readers[mark.full] = reader
        return reader

    def _doubt(self, marks: tuple[str, ...]) -> None:
        """The index refused what was remembered: ask anew at the next request."""
        for mark in marks:
            self._readers.pop(mark, None)

    def _asked(self, mark: Mark, task: asyncio.Task[Reader]) -> None:
        self._asking.pop(mark.full, None)
        if not task.cancelled():
            task.exception()  # those that waited have it; perhaps none did

    # -- on the way -------------------------------------------------------------------------

    def forward(self, facts: Facts, base: Forward, accepted: list[Accepted]) -> Forward:
        """The request with what the index is to see."""
        if len(accepted) != 1 or accepted[0].carrier.place.startswith("cookie:"):
            return self._swapped(facts, base, accepted)
        # The same field again and again: one object, which is rendered once.
        one = accepted[0]
        key = (id(base), one.carrier.place)
        known = one.reader.ways.get(key)
        if known is not None and known[0] is base:
            return known[1]
        way = self._swapped(facts, base, accepted)
        if len(one.reader.ways) < _WAYS:
            one.reader.ways[key] = (base, way)
        return way

    def _swapped(self, facts: Facts, base: Forward, accepted: list[Accepted]) -> Forward:
        replaced: dict[str, str | None] = dict(base.replace)
        for one in accepted:
            if one.reader.secret is not None:
                changed = self._upstream.with_secret(facts, one.carrier, one.reader.secret)
                replaced |= cleaned(changed)
        marks = tuple(one.mark.full for one in accepted)
        return replace(base, replace=replaced, doubt=partial(self._doubt, marks))


def _id_of(user: str) -> str:
    """The id of a name, "" where nobody can be called that."""
    try:
        return user_id(user)
    except Refusal:
        return ""


def cleaned(changed: Mapping[str, str]) -> dict[str, str]:
    """A rewritten Cookie field goes upstream as it is: without the gateway's own."""
    return {
        name: cookies.without_own_cookies(value) if name == "cookie" else value
        for name, value in changed.items()
    }
