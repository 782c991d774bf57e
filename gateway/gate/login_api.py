"""Logging a command line in by a browser: `POST /+auth/api/login` begins,
`POST /+auth/api/login/poll` waits: 202 with Retry-After until somebody has said yes or no.

JSON in, JSON out; no browser asks for it.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.core.errors import Refusal, Slug
from gateway.core.evidence import Site, site_of
from gateway.core.http.facts import Facts
from gateway.core.json_text import read_json
from gateway.core.login.grants import LONGEST
from gateway.core.login.models import Caller, caller_of
from gateway.core.phrases import _
from gateway.core.tokens.records import refused, scope_of
from gateway.core.upstream import Action
from gateway.core.urls import API_LOGIN, API_LOGIN_POLL, CONNECT
from gateway.gate.context import GateContext
from gateway.proxy.ports import Answer

RETRY_AFTER: Final = 2
"""Seconds between two questions of a command line that waits."""


class LoginApi:
    """Raises `Refusal` and `StoreUnavailable`; the gate words them."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a canonical path is one of these."""
        return path in (API_LOGIN, API_LOGIN_POLL)

    async def answer(self, facts: Facts, body: bytes) -> Answer:
        if facts.method != "POST":
            raise Refusal(Slug.METHOD_NOT_ALLOWED)
        if site_of(facts, self._parts.public_url) is not Site.UNKNOWN:
            raise Refusal(Slug.CROSS_SITE, home=self._parts.public_url + "/")
        if facts.content_type != "application/json":
            raise Refusal(Slug.UNSUPPORTED_TYPE, accepted="application/json")
        try:
            data = read_json(body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise refused(_("its body is not JSON"))
        if facts.path == API_LOGIN_POLL:
            return await self._poll(data)
        return await self._begin(data, caller_of(facts))

    async def _begin(self, data: dict[str, Any], caller: Caller) -> Answer:
        parts = self._parts
        if not parts.upstream.takes_tokens:
            raise refused(_("this kind of index has no tokens"))
        actions, hours = data.get("actions", ["read"]), data.get("hours", LONGEST / 3600)
        if not isinstance(actions, list) or not all(isinstance(one, str) for one in actions):
            raise refused(_("{name} is no list of texts", name="'actions'"))
        if type(hours) not in (int, float) or not 0 < hours <= LONGEST / 3600:
            raise refused(_("it would live longer than 12 hours, or not at all"))
        scope = scope_of(actions)
        if Action.MANAGE in scope.actions:
            raise refused(_("a browser's word is for reading and uploads alone"))
        asked = await parts.flow.granting.ask(scope.actions, hours * 3600, caller)
        told = {
            "approve": f"{parts.public_url}{CONNECT}/{asked.id}",
            "number": asked.number,
            "poll": f"{parts.public_url}{API_LOGIN_POLL}",
            "secret": asked.secret,
            "expires": int(asked.expires),
        }
        return parts.replies.data(201, told)

    async def _poll(self, data: dict[str, Any]) -> Answer:
        secret = data.get("secret")
        if not isinstance(secret, str):
            raise Refusal(Slug.APPROVAL_GONE)
        granted = await self._parts.flow.granting.fetch(secret)
        if granted is None:
            waits = self._parts.replies.data(202, {"state": "waiting"})
            fields = (*waits.fields, ("Retry-After", str(RETRY_AFTER)))
            return Answer(waits.status, fields, waits.body)
        told = {"token": granted.text, "user": granted.user, "expires": int(granted.expires)}
        return self._parts.replies.data(200, told)
