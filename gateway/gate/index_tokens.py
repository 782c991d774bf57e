"""Tokens of the index's own (devpi-tokens) that were made here with a second factor: seen when they
are made, and evidence where a rule has the policy `token`.

What such a token says of itself proves nothing, so the index is asked whether it takes it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from gateway.core.errors import Refusal
from gateway.core.evidence import Evidence, Shown
from gateway.core.http.facts import Facts
from gateway.core.login.models import Session, Verified
from gateway.core.store import StoreUnavailable
from gateway.core.upstream import TokenMaking, UpstreamResponse
from gateway.core.user_id import user_id
from gateway.gate.context import GateContext

_log = logging.getLogger("gateway.index_tokens")


class IndexTokenEvidence:
    """Raises `Refusal` and `StoreUnavailable`; the gate words them."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts
        self._upstream: Final = parts.upstream if isinstance(parts.upstream, TokenMaking) else None

    def makes_one(self, facts: Facts) -> bool:
        return self._upstream is not None and self._upstream.makes_token(facts)

    async def made(self, reply: UpstreamResponse, proof: Verified | Session) -> None:
        """A request that makes one was answered."""
        name = self._upstream.token_made(reply) if self._upstream is not None else None
        if name is None:
            return
        try:
            await self._parts.flow.services.index_tokens.remember(
                user_id(name.user), name.id, proof
            )
        except StoreUnavailable:  # nobody sees its answer again, so it goes out
            _log.warning("a token of the index was made, and will not count as such here")

    async def added(
        self, evidence: Evidence, accepted: Callable[[Shown], Awaitable[object]]
    ) -> Evidence:
        """The same with what such tokens prove.

        Args:
            accepted: asks the index whether it takes a credential; raises Refusal where not.
        """
        if self._upstream is None:
            return evidence
        carriers = [await self._judged(one, accepted) for one in evidence.carriers]
        return replace(evidence, carriers=tuple(carriers))

    async def _judged(self, shown: Shown, accepted: Callable[[Shown], Awaitable[object]]) -> Shown:
        credential = shown.carrier.credential
        if shown.verified is not None or credential is None or self._upstream is None:
            return shown
        name = self._upstream.token_name(credential.secret)
        try:
            owner = user_id(credential.user)
            if name is None or user_id(name.user) != owner:
                return shown
        except Refusal:
            return shown
        known = await self._parts.flow.services.index_tokens.find(owner, name.id)
        if known is None:
            return shown
        await accepted(shown)
        return shown._replace(verified=known)
