"""Tokens of the index's own (devpi-tokens) that API tokens stand for, in place of the password.

Each is made with the rights of its API token, as far as the index knows such rights, when that one
is made. When it ends nobody has the index's token any more, since it was sealed in it; the index is
asked to delete it as soon as a credential of its owner is at hand.
"""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Refusal
from gateway.core.http.facts import Field
from gateway.core.phrases import _
from gateway.core.store import StoreUnavailable
from gateway.core.tokens.models import HeldToken
from gateway.core.tokens.records import Scope, refused
from gateway.core.tokens.tokens import Tokens
from gateway.core.upstream import Credential, TokenGrant, TokenMaking
from gateway.upstreams.client import Calls

_CLOCKS: Final = 60  # seconds by which the clock of the index may be off
_AT_ONCE: Final = 20


class ScopedTokens:
    """A `ScopedHolding`. fields: what every call to the index carries."""

    def __init__(
        self,
        upstream: TokenMaking,
        calls: Calls,
        fields: tuple[Field, ...],
        tokens: Tokens,
    ) -> None:
        self._upstream: Final = upstream
        self._calls: Final = calls
        self._fields: Final = fields
        self._tokens: Final = tokens

    async def make(self, credential: Credential, scope: Scope, expires: float) -> HeldToken:
        named = not any(set("*?") & set(one) for one in scope.projects)
        grant = TokenGrant(
            actions=scope.actions,
            indexes=scope.indexes,
            projects=scope.projects if named else (),
            expires=int(expires) + _CLOCKS,
        )
        reply = await self._calls.ask(self._upstream.making_call(credential, grant), self._fields)
        text = self._upstream.making_answer(reply)
        name = self._upstream.token_name(text) if text is not None else None
        if text is None or name is None:
            raise refused(
                _(
                    "the index makes no token of its own for it (it answers {status}); ask whoever "
                    "runs it",
                    status=reply.status,
                )
            )
        return HeldToken(Credential(credential.user, text), name.id)

    async def give_back(self, owner: str, credential: Credential | None) -> None:
        """Let the index delete what ended API tokens of a person stood for. Never fails: what is
        left is tried again the next time, and ends by itself."""
        if credential is None:
            return
        try:
            for one in (await self._tokens.left_at_index(owner))[:_AT_ONCE]:
                call = self._upstream.ending_call(credential, one.index_token)
                reply = await self._calls.ask(call, self._fields)
                if not self._upstream.ending_answer(reply):
                    return
                await self._tokens.gone_at_index(one)
        except (Refusal, StoreUnavailable):
            return
