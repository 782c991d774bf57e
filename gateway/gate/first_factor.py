"""Ask the upstream about names, passwords and tokens. Only the upstream ever judges them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.clock import Clock, Random
from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts, Field
from gateway.core.login.models import Held
from gateway.core.upstream import Asking, Credential, Issued, Upstream

PROBE_EVERY: Final = 600.0
"""Seconds for which an upstream that refused a made-up password is believed to check them."""


class Passwords:
    """Checks at one upstream, and the `PasswordChecker` of the pages.

    An upstream that accepts every password (pypiserver whose -a lacks `update`, say) would make
    the first factor worthless, so a made-up one must be refused before a right one counts.

    Args:
        calls: carry what is asked here, which may be asked twice.
    """

    def __init__(
        self,
        upstream: Upstream,
        calls: Asking,
        fields: tuple[Field, ...],
        *,
        clock: Clock,
        random: Random,
    ) -> None:
        self._upstream: Final = upstream
        self._calls: Final = calls
        self._fields: Final = fields
        self._clock: Final = clock
        self._random: Final = random
        self._probed: float | None = None

    async def check(self, user: str, password: str, facts: Facts) -> Held | None:
        """What a right password earns: the credential for the session (`PasswordChecker`)."""
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
            await self._probe(credential.user, self._ask)
        return issued

    async def accepted(self, credential: Credential) -> bool:
        """Whether the upstream accepts a credential of any sort.

        Raises:
            Refusal: `upstream_…`; `upstream_open` where it takes any password.
        """
        accepted = await self._accepts(credential)
        if accepted:
            await self._probe(credential.user, self._accepts)
        return bool(accepted)

    async def judged(self, credential: Credential) -> bool | None:
        """The same, None where there is no such question or no answer that can be relied on."""
        try:
            if self._upstream.acceptance_check(credential) is None:
                return None
            return await self.accepted(credential)
        except Refusal:
            return None

    async def _accepts(self, credential: Credential) -> bool:
        call = self._upstream.acceptance_check(credential)
        if call is None:
            return False
        reply = await self._calls.ask(call, self._fields)
        return self._upstream.acceptance_answer(credential, reply)

    async def _ask(self, credential: Credential) -> Issued | None:
        call = self._upstream.password_check(credential)
        if call is None:
            return None
        reply = await self._calls.ask(call, self._fields)
        return self._upstream.password_answer(credential, reply)

    async def _probe(self, user: str, ask: Callable[[Credential], Awaitable[object]]) -> None:
        now = self._clock()
        if self._probed is not None and 0 <= now - self._probed < PROBE_EVERY:
            return
        if await ask(Credential(user, self._random(16).hex())):
            raise Refusal(Slug.UPSTREAM_OPEN)
        self._probed = now
