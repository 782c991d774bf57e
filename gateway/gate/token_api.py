"""API tokens for programs: `POST /+auth/api/tokens` makes one for a password and a code, and
`POST /+auth/api/tokens/burn` ends the one that it carries. JSON in, JSON out.

Browsers are told to use the pages: what they send says where it comes from.
"""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.evidence import Site, site_of
from gateway.core.http.facts import Facts
from gateway.core.json_text import read_json
from gateway.core.login.models import Caller, caller_of
from gateway.core.phrases import _
from gateway.core.tokens.messages import TokenWish, read_wish, told_new
from gateway.core.tokens.records import no_indexes
from gateway.core.typed import split_code
from gateway.core.upstream import Credential
from gateway.core.urls import API_TOKENS, BURN
from gateway.core.user_id import user_id
from gateway.gate.context import GateContext
from gateway.proxy.ports import Answer
from gateway.upstreams.carriers import token_fields

MAX_BODY: Final = 64 * 1024


class TokenApi:
    """Raises `Refusal` and `StoreUnavailable`; the gate words them."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a canonical path is one of these."""
        return path in (API_TOKENS, BURN)

    async def answer(self, facts: Facts, body: bytes) -> Answer:
        if facts.method != "POST":
            raise Refusal(Slug.METHOD_NOT_ALLOWED)
        if site_of(facts, self._parts.public_url) is not Site.UNKNOWN:
            raise Refusal(Slug.CROSS_SITE, home=self._parts.public_url + "/")
        caller = caller_of(facts)
        if facts.path == BURN:
            return await self._burn(facts, caller)
        if facts.content_type != "application/json":
            raise Refusal(Slug.UNSUPPORTED_TYPE, accepted="application/json")
        try:
            wish = read_wish(read_json(body))
        except (ValueError, RecursionError):
            raise Refusal(Slug.TOKEN_REQUEST, why=_("its body is not JSON")) from None
        return await self._make(wish, caller)

    async def _make(self, wish: TokenWish, caller: Caller) -> Answer:
        parts = self._parts
        if not parts.upstream.takes_tokens:
            raise Refusal(Slug.TOKEN_REQUEST, why=_("this kind of index has no tokens"))
        self._check(wish)  # or it would use up the code
        password, code = await self._right(wish, caller)
        await parts.flow.services.freezes.check_login(user_id(wish.user))
        await parts.flow.at_once.prove(wish.user, code or None, (), caller)
        held = None if parts.token_credentials.by_service else Credential(wish.user, password)
        made = await parts.tokens.make(
            *(wish.user, wish.name, wish.scope, wish.lifetime, held, caller.origin),
            scoped=parts.scoped,
        )
        if parts.scoped is not None:
            await parts.scoped.give_back(made.token.owner, held)
        return parts.replies.data(201, told_new(made, parts.clock()))

    def _check(self, wish: TokenWish) -> None:
        """What can be said of it without a password. Raises Refusal `token_request`."""
        tokens = self._parts.tokens
        tokens.check_name(wish.name)
        tokens.check_lifetime(wish.lifetime)
        tokens.check_scope(wish.scope)
        if wish.scope.indexes and not self._parts.upstream.indexed:
            raise no_indexes()

    async def _right(self, wish: TokenWish, caller: Caller) -> tuple[str, str]:
        """The password that the index takes, and the code, which may stand behind it.

        Raises:
            Refusal: `password_invalid`, `throttled`, `upstream_…`.
        """
        parts = self._parts
        split = None if wish.code else split_code(wish.password)
        for password, code in ((wish.password, wish.code), *([split] if split else [])):
            if not wish.user or not password:
                break
            async with await parts.flow.proofs.trying(wish.user, password, caller) as attempt:
                if await parts.passwords.right(Credential(wish.user, password)) is not None:
                    await attempt.right()
                    return password, code
                await attempt.wrong()
        raise Refusal(Slug.PASSWORD_INVALID)

    async def _burn(self, facts: Facts, caller: Caller) -> Answer:
        """Whoever has a token may end it: that is how a leak is stopped first."""
        fields = token_fields(facts)
        if len({one.text for one in fields}) != 1:
            raise Refusal(Slug.CREDENTIAL_REQUIRED)
        try:
            token = await self._parts.tokens.burn(fields[0].text, caller.origin)
        except Refusal:
            async with await self._parts.flow.proofs.trying("", fields[0].text, caller) as attempt:
                await attempt.wrong()
            raise
        return self._parts.replies.data(200, {"revoked": token.id})
