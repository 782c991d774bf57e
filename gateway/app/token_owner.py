"""What a token stands for at the index, for commands, which have no gate: whether the password is
right, and a token of the index's own in its place."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import TYPE_CHECKING

from gateway.app.domain import calls_to, form_of, scoped_of
from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import _
from gateway.core.upstream import Credential
from gateway.gate.first_factor import Passwords
from gateway.upstreams import UPSTREAMS

if TYPE_CHECKING:
    from gateway.core.tokens.tokens import Tokens
    from gateway.gate.scoped_tokens import ScopedTokens
    from gateway.settings import Settings


async def proven(settings: Settings, user: str, password: str) -> Credential:
    """What the token holds.

    Raises:
        Refusal: `password_invalid`, `token_request` for a kind that has no tokens, `upstream_…`.
    """
    upstream = UPSTREAMS[settings.upstream.kind](form_of(settings))
    if not upstream.takes_tokens:
        raise Refusal(
            Slug.TOKEN_REQUEST, why=_("an index of kind {kind} has no tokens", kind=upstream.kind)
        )
    credential, calls = Credential(user, password), calls_to(settings)
    own = upstream.own_fields(str(settings.public_url), None)
    passwords = Passwords(upstream, calls, own, clock=time, random=secrets.token_bytes)
    try:
        if await passwords.right(credential) is None:
            raise Refusal(Slug.PASSWORD_INVALID)
    finally:
        await calls.close()
    return credential


@asynccontextmanager
async def scoped_by(settings: Settings, tokens: Tokens) -> AsyncIterator[ScopedTokens | None]:
    """What makes tokens of the index's own, where those are to be held."""
    calls = calls_to(settings)
    try:
        upstream = UPSTREAMS[settings.upstream.kind](form_of(settings))
        yield scoped_of(settings, upstream, calls, tokens)
    finally:
        await calls.close()
