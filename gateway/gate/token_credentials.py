"""What a token stands for at the index: asked of the index once, then used for a while.

devpi hands out a login token for the sealed password, so that it hashes the password once in a
while and not with each file; pypiserver is asked whether the password is right, and gets it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.core.audit.events import Origin
from gateway.core.clock import Clock
from gateway.core.errors import Refusal, Slug
from gateway.core.throttle.turns import NamedLocks
from gateway.core.tokens.models import Bearer
from gateway.core.tokens.records import Token
from gateway.core.tokens.tokens import Tokens
from gateway.core.upstream import Credential, Issued
from gateway.gate.first_factor import Passwords

GOOD_FOR: Final = 300.0
"""Seconds for which the index is not asked again about what it took, or refused."""
_MOST: Final = 4096


class _Said(NamedTuple):
    """What the index said of a token's credential; None: it refuses it. of: the sealed value."""

    credential: Credential | None
    asked: float
    until: float
    of: str

    def good(self, token: Token, now: float) -> bool:
        """Whether the index need not be asked. Another process may have heard since that it
        refuses it."""
        told = self.credential is not None and token.refused > self.asked
        return self.of == token.credential and now < self.until and not told


class TokenCredentials:
    """One for a process.

    Args:
        hands_over: whether a secret is a token of the index's own (`Upstream.hands_over`).
        service: the account that stands for every token, where the configuration names one.
    """

    def __init__(
        self,
        passwords: Passwords,
        tokens: Tokens,
        clock: Clock,
        service: Credential | None,
        hands_over: Callable[[str], bool],
    ) -> None:
        self._hands_over: Final = hands_over
        self._passwords: Final = passwords
        self._tokens: Final = tokens
        self._clock: Final = clock
        self._service: Final = service
        self._said: Final[OrderedDict[str, _Said]] = OrderedDict()
        self._turns: Final = NamedLocks()

    @property
    def by_service(self) -> bool:
        """Whether tokens need no credential of their own."""
        return self._service is not None

    async def of(self, bearer: Bearer, origin: Origin) -> Credential:
        """What goes to the index in place of a token.

        Raises:
            Refusal: `token_needs_renewal`, `upstream_…`.
        """
        if self._service is not None:
            return self._service
        token = bearer.token
        place = f"{token.owner}/{token.id}"
        async with self._turns.of(place):
            said = self._said.get(place)
            if said is None or not said.good(token, self._clock()):
                said = await self._ask(bearer, origin)
                self._said[place] = said
                self._said.move_to_end(place)
                if len(self._said) > _MOST:
                    self._said.popitem(last=False)
        if said.credential is None:
            raise Refusal(Slug.TOKEN_NEEDS_RENEWAL)
        return said.credential

    def at_once(self, bearer: Bearer) -> Credential | None:
        """The same without asking; None where the index has to be asked."""
        if self._service is not None:
            return self._service
        token = bearer.token
        said = self._said.get(f"{token.owner}/{token.id}")
        return said.credential if said is not None and said.good(token, self._clock()) else None

    def doubt(self, bearer: Bearer) -> None:
        """The index refused a request with it: ask anew."""
        self._said.pop(f"{bearer.token.owner}/{bearer.token.id}", None)

    async def _ask(self, bearer: Bearer, origin: Origin) -> _Said:
        token, now = bearer.token, self._clock()
        held = self._tokens.credential(bearer)
        issued = await self._issued(held) if held is not None else None
        await self._tokens.index_says(token, origin, right=issued is not None)
        if issued is None:
            return _Said(None, now, now + GOOD_FOR, token.credential)
        lives = GOOD_FOR if issued.lifetime is None else min(GOOD_FOR, issued.lifetime / 2)
        return _Said(issued.credential, now, now + lives, token.credential)

    async def _issued(self, held: Credential) -> Issued | None:
        """What to use for it. A token of the index's own (of a browser's login, of devpi-tokens) is
        used as it is."""
        if not self._hands_over(held.secret):
            return await self._passwords.right(held)
        return Issued(held, None) if await self._passwords.accepted(held) else None
