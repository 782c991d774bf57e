"""`POST /_/secrets/disclose-token`: GitHub, or a company's own scanner, says that a token leaked.

Answers as PyPI does: 404 without GitHub's header fields (and where nobody may report), 400 for
what is not signed or no list, 204 for anything else, whether or not a token was known.
"""

from __future__ import annotations

import logging
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.login.models import caller_of
from gateway.core.urls import LEAKS
from gateway.gate.context import GateContext
from gateway.proxy.ports import Answer

_log = logging.getLogger("gateway.leaks")

MAX_REPORT: Final = 512 * 1024
_KEY: Final = "github-public-key-identifier"
_SIGNATURE: Final = "github-public-key-signature"


class LeakApi:
    """Raises `Refusal` and `StoreUnavailable`; the gate words them."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a canonical path is this one."""
        return path == LEAKS

    def expect(self, facts: Facts) -> None:
        """Look at the head, so that nobody else's body is read."""
        self._signed(facts)

    async def answer(self, facts: Facts, body: bytes) -> Answer:
        key, signature = self._signed(facts)
        taken = await self._parts.leaks.take(key, signature, body, caller_of(facts).origin)
        _log.info("%s reported %d leaked tokens; %d were live and are revoked", *taken)
        return self._parts.replies.nothing()

    def _signed(self, facts: Facts) -> tuple[str, str]:
        keys = [value for name, value in facts.fields if name == _KEY]
        signatures = [value for name, value in facts.fields if name == _SIGNATURE]
        if not self._parts.leaks.active or len(keys) != 1 or len(signatures) != 1:
            raise Refusal(Slug.NOT_HERE)
        if facts.method != "POST":
            raise Refusal(Slug.METHOD_NOT_ALLOWED)
        return keys[0], signatures[0]
