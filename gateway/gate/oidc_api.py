"""Trusted publishing as PyPI's clients call it: `GET /_/oidc/audience`, `POST /_/oidc/mint-token`.

Both stand at the root of the host, and say what PyPI says: uv, twine and the publishing action
print the code and the description of each error.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.freezes import Frozen
from gateway.core.http.facts import Facts
from gateway.core.json_text import read_json
from gateway.core.login.models import Caller, caller_of
from gateway.core.publishing.exchange import TokenExchange
from gateway.core.publishing.identity import IdentityToken
from gateway.core.store import StoreUnavailable
from gateway.core.tokens.models import NewToken
from gateway.core.urls import OIDC, OIDC_AUDIENCE, OIDC_MINT
from gateway.gate.context import GateContext
from gateway.outage import refusal_for
from gateway.proxy.ports import Answer

_CODES: Final = MappingProxyType(
    {
        Slug.OIDC_OFF: "not-enabled",
        Slug.OIDC_PAYLOAD: "invalid-payload",
        Slug.OIDC_TOKEN: "invalid-token",
        Slug.OIDC_REUSED: "invalid-reuse-token",
        Slug.OIDC_PUBLISHER: "invalid-publisher",
    }
)
"""PyPI's names; another refusal goes by its slug."""
_UNPROCESSABLE: Final = 422


class OidcApi:
    """Says every refusal in PyPI's form."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts
        self._exchange: Final[TokenExchange] = parts.exchange

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a canonical path is one of these."""
        return path.startswith(OIDC + "/")

    async def answer(self, facts: Facts, body: bytes) -> Answer:
        if facts.path == OIDC_AUDIENCE and facts.method in ("GET", "HEAD"):
            return self._audience()
        if facts.path in OIDC_MINT and facts.method == "POST":
            try:
                made = await self._minted(caller_of(facts), body)
            except Refusal as refusal:
                return self._refused(refusal)
            except StoreUnavailable as error:
                return self._refused(refusal_for(error))
            told = {"success": True, "token": made.text, "expires": int(made.token.expires)}
            return self._parts.replies.data(200, told)
        known = facts.path == OIDC_AUDIENCE or facts.path in OIDC_MINT
        raise Refusal(Slug.METHOD_NOT_ALLOWED if known else Slug.NOT_HERE)

    def _audience(self) -> Answer:
        replies = self._parts.replies
        if not self._exchange.publishers:
            off = Refusal(Slug.OIDC_OFF)
            return replies.data(off.status, {"message": off.text})
        return replies.data(200, {"audience": self._exchange.audience})

    async def _minted(self, caller: Caller, body: bytes) -> NewToken:
        token = self._read(body)
        freezes = self._parts.flow.services.freezes
        await freezes.ensure()
        freezes.check(freezes.first(Frozen.ALL, Frozen.LOGINS, Frozen.UPLOADS))
        try:
            return await self._exchange.mint(token, caller.origin)
        except Refusal:
            # Many jobs come from one network at once, so only what was wrong is counted.
            async with await self._parts.flow.proofs.trying("", token.text, caller) as attempt:
                await attempt.wrong()
            raise

    def _read(self, body: bytes) -> IdentityToken:
        try:
            data = read_json(body)
        except (ValueError, RecursionError):
            data = None
        return self._exchange.read(data.get("token") if isinstance(data, dict) else None)

    def _refused(self, refusal: Refusal) -> Answer:
        status = _UNPROCESSABLE if refusal.slug is Slug.OIDC_OFF else refusal.status
        error = {"code": _CODES.get(refusal.slug, str(refusal.slug)), "description": refusal.text}
        told = {"message": "Token request failed", "errors": [error]}
        answer = self._parts.replies.data(status, told)
        if refusal.retry_after is None:
            return answer
        fields = (*answer.fields, ("Retry-After", str(refusal.retry_after)))
        return Answer(answer.status, fields, answer.body)
