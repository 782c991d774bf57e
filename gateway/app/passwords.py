"""Ask the upstream about names, passwords and tokens. Only the upstream ever judges them."""

from __future__ import annotations

from typing import Final

from gateway.core.clock import Clock, Random
from gateway.core.errors import Refusal
from gateway.core.facts import Facts, Field
from gateway.core.keys import KeyRing
from gateway.core.logins import Held
from gateway.core.upstream import Credential, Issued, Upstream
from gateway.proxy.calls import Calls

PROBE_EVERY: Final = 600.0
"""Seconds for which an upstream that refused a made-up password is believed to check them."""
ACCEPTED_FOR: Final = 60.0
"""Seconds an accepted credential is not asked about again (`authenticated` rules)."""
_KEPT: Final = 4096


class Passwords:
    """Checks at one upstream, and the `PasswordChecker` of the pages.

    An upstream that accepts every password (pypiserver whose -a lacks `update`, say) would make
    the first factor worthless, so a made-up one must be refused before a right one counts.
    """

    def __init__(
        self,
        upstream: Upstream,
        calls: Calls,
        fields: tuple[Field, ...],
        *,
        ring: KeyRing,
        clock: Clock,
        random: Random,
    ) -> None:
        self._upstream: Final = upstream
        self._calls: Final = calls
        self._fields: Final = fields
        self._ring: Final = ring
        self._clock: Final = clock
        self._random: Final = random
        self._probed: float | None = None
        self._accepted: Final[dict[str, float]] = {}

    async def check(self, user: str, password: str, facts: Facts) -> Held | None:
        """What a right password earns: the credential for the session. See web.ports."""
        issued = await self.right(Credential(user, password))
        if issued is None:
            return None
        # A password used as it is (pypiserver) never becomes a verified credential.
        token = issued.credential.secret != password
        return Held(issued=(issued,) if token else (), session=issued.credential)

    async def right(self, credential: Credential) -> Issued | None:
        """Whether a password is right, and what to use from now on.

        Raises:
            Refusal: `upstream_…`; `upstream_open` where it takes any password.
        """
        issued = await self._ask(credential)
        if issued is not None:
            await self._probe(credential.user)
        return issued

    def known(self, credential: Credential) -> bool:
        """Whether the upstream accepted this credential a short while ago."""
        at = self._accepted.get(self._mark(credential))
        return at is not None and 0 <= self._clock() - at < ACCEPTED_FOR

    async def accepted(self, credential: Credential) -> bool:
        """Whether the upstream accepts a credential of any sort; `known` remembers it."""
        call = self._upstream.acceptance_check(credential)
        if call is None:
            return False
        reply = await self._calls.ask(call, self._fields)
        accepted = self._upstream.acceptance_answer(credential, reply)
        if accepted:
            if len(self._accepted) >= _KEPT:
                self._accepted.clear()
            self._accepted[self._mark(credential)] = self._clock()
        return accepted

    def _mark(self, credential: Credential) -> str:
        return self._ring.digest("accepted", credential.user, credential.secret)

    async def _ask(self, credential: Credential) -> Issued | None:
        reply = await self._calls.ask(self._upstream.password_check(credential), self._fields)
        return self._upstream.password_answer(credential, reply)

    async def _probe(self, user: str) -> None:
        now = self._clock()
        if self._probed is not None and 0 <= now - self._probed < PROBE_EVERY:
            return
        if await self._ask(Credential(user, self._random(16).hex())) is not None:
            raise Refusal("upstream_open")
        self._probed = now
