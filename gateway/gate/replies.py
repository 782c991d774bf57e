"""Refusals as answers, and bodies in and answers out of aiohttp.

A refusal is a page or a redirect for a browser, one JSON sentence for everybody else. What the
status and the words are, `gateway.core.errors` says; here is only their form.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from gateway import languages
from gateway.core.counters import NOTES
from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts, Field
from gateway.core.http.request_id import FIELD, at_hand
from gateway.core.phrases import ENGLISH, Catalogue, _
from gateway.core.store import StoreUnavailable
from gateway.core.upstream import UpstreamResponse
from gateway.core.urls import LOGIN, base_of, below, login_for, step_up_for
from gateway.outage import refusal_for
from gateway.proxy.http1.body import BODY_ENDS
from gateway.proxy.ports import Answer
from gateway.upstreams.client import answer_fields

if TYPE_CHECKING:  # aiohttp's server costs much memory, and most gateways never need it
    from aiohttp import web

T = TypeVar("T")

_log = logging.getLogger("gateway.refusals")

# RFC 9110 section 11.6.1 wants a challenge with each 401. Browsers pass over a scheme they do
# not know; Basic is named only where a name and a password would help.
_BASIC: Final = 'Basic realm="index"'
_CHALLENGES: Final = {
    Slug.CREDENTIAL_REQUIRED: _BASIC,
    Slug.TOKEN_UNREADABLE: _BASIC,
    Slug.TOKEN_ELSEWHERE: _BASIC,
    Slug.TOKEN_UNKNOWN: _BASIC,
    Slug.TOKEN_REVOKED: _BASIC,
    Slug.TOKEN_EXPIRED: _BASIC,
    Slug.TOKEN_TOO_EARLY: _BASIC,
    Slug.TOKEN_CONDITION: _BASIC,
    Slug.TOKEN_NEEDS_RENEWAL: _BASIC,
}
_CHALLENGE: Final = "OTP"
_BY_SESSION: Final = 'Session realm="index"'
# Setting up a second factor begins with a login, too.
_LEADS_TO_LOGIN: Final = frozenset(
    {Slug.SECOND_FACTOR_REQUIRED, Slug.CREDENTIAL_REQUIRED, Slug.NOT_ENROLLED}
)

PageOf = Callable[[Facts | None, Refusal], tuple[int, tuple[Field, ...], bytes]]
"""`Pages.refusal`: status, fields and body of a refusal as a page."""


class Replies:
    """How this deployment words a refusal.

    Args:
        public_url: without a trailing slash; stands in the sentences for the command line.
        command_line: fields the upstream's command-line client expects on JSON replies.
        page: makes pages, asked only for browsers.
        shield: fields that every answer of the gateway's own carries, page or not.
    """

    def __init__(
        self,
        public_url: str,
        command_line: tuple[Field, ...],
        page: PageOf,
        shield: tuple[Field, ...],
    ) -> None:
        self._public_url: Final = public_url
        self._base: Final = base_of(public_url)
        self._command_line: Final = command_line
        self._page: Final = page
        self._shield: Final = shield

    def refusal(self, facts: Facts | None, refusal: Refusal) -> Answer:
        full = self._filled(refusal)
        if facts is not None:
            facts.notes.slug = full.slug
            NOTES.set(facts.notes)
        if facts is not None and facts.opened:
            return self._lead(facts, full) or Answer(*self._page(facts, full))
        # Programs ask for no language, and read English then.
        browser = facts is not None and facts.by_browser
        answer = self.json(full, languages.spoken(facts), browser=browser)
        if facts is None or "json" in facts.joined("accept"):
            return answer
        # twine and `devpi upload` show the reason of the status line and never the body.
        return replace(answer, reason=full.text)

    async def worded(self, facts: Facts, work: Awaitable[T]) -> T | Answer:
        """What `work` gives; any failure of it is a refusal, in the words of `core.errors`."""
        try:
            return await work
        except Refusal as refusal:
            return self.refusal(facts, refusal)
        except StoreUnavailable as error:
            return self.refusal(facts, refusal_for(error))
        except Exception:
            _log.exception("a check failed; the request is refused")
            return self.refusal(facts, Refusal(Slug.INTERNAL))

    def json(
        self, refusal: Refusal, language: Catalogue = ENGLISH, *, browser: bool = False
    ) -> Answer:
        """The refusal for a program. No Location: with a 401 it makes devpi-client forget its
        login.

        Args:
            browser: what asks for a name and a password would open a window there.
        """
        full = self._filled(refusal)
        said = {"message": full.said(language), "slug": full.slug}
        id = at_hand()
        if id:
            said["request"] = id
        body = json.dumps(said) + "\n"
        # devpi-client compares this type in full, so no charset is named.
        fields = [("Content-Type", "application/json"), *self._shield]
        if full.status == 401:
            challenge = _CHALLENGES.get(full.slug, _CHALLENGE)
            if browser and challenge == _BASIC:
                challenge = _BY_SESSION
            fields.append(("WWW-Authenticate", challenge))
        if full.retry_after is not None:
            fields.append(("Retry-After", str(full.retry_after)))
        return Answer(full.status, (*fields, *self._command_line), body.encode())

    def data(self, status: int, value: object) -> Answer:
        """What a program asked for."""
        body = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
        return Answer(status, (("Content-Type", "application/json"), *self._shield), body.encode())

    def nothing(self) -> Answer:
        """What was asked is done, and there is nothing to say of it."""
        return Answer(204, self._shield, b"")

    def see(self, location: str, *cookies: str) -> Answer:
        """Lead a browser on (RFC 9110 section 15.4.4)."""
        fields: list[Field] = [("Location", below(self._base, location)), *self._shield]
        fields += [("Set-Cookie", cookie) for cookie in cookies]
        return Answer(303, tuple(fields), b"")

    def _filled(self, refusal: Refusal) -> Refusal:
        """The addresses a sentence may name, where whoever refused did not know them."""
        detail = {
            "login": self._public_url + LOGIN,
            "enrol": self._public_url + LOGIN,
            "home": self._public_url + "/",
            **refusal.detail,
        }
        return Refusal(refusal.slug, retry_after=refusal.retry_after, **detail)

    def _lead(self, facts: Facts, refusal: Refusal) -> Answer | None:
        back = facts.target if facts.safe else "/"
        if refusal.slug in _LEADS_TO_LOGIN:
            return self.see(login_for(back))
        if refusal.slug == Slug.SECOND_FACTOR_STALE:
            return self.see(step_up_for(back))
        return None


_BODY_WITHIN: Final = 30.0  # seconds for a login or a small change to arrive
_SERVER = ("Server", "index-gateway")


async def read_body(request: web.BaseRequest, facts: Facts, limit: int) -> bytes:
    """The whole body of a request.

    Raises:
        Refusal: `body_too_large`, `request_timeout`; `bad_request` for one that is compressed,
            because the upstream may not read it as it is read here.
    """
    codings = [value for name, value in facts.fields if name == "content-encoding"]
    if any(coding.strip().lower() != "identity" for coding in codings):
        why = _("a compressed body is not accepted here")
        raise Refusal(Slug.BAD_REQUEST, why=why, fix=_("Send it as it is."))
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_WITHIN):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > limit:
                    raise Refusal(Slug.BODY_TOO_LARGE, limit=str(limit))
    except TimeoutError:
        raise Refusal(Slug.REQUEST_TIMEOUT) from None
    except ConnectionError:  # nobody is left to read the refusal
        raise Refusal(Slug.BAD_REQUEST, why=BODY_ENDS) from None
    return bytes(body)


def has_body(facts: Facts) -> bool:
    """Whether a request may have a body: devpi reads a login form out of a GET, too."""
    if facts.first("transfer-encoding") is not None:
        return True
    return facts.first("content-length") not in (None, "0")


def response_of(answer: Answer) -> web.Response:
    """An answer of the gateway's own."""
    from aiohttp import web
    from multidict import CIMultiDict

    headers = CIMultiDict(answer.fields)
    headers.setdefault(*_SERVER)  # aiohttp would name itself
    id = at_hand()
    if id:
        headers.setdefault(FIELD, id)
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def passed_on(reply: UpstreamResponse, added: tuple[Field, ...]) -> Answer:
    """The upstream's answer as it came, with what tells browsers how to treat it."""
    names = frozenset(name.lower() for name, _ in added)
    return Answer(reply.status, (*answer_fields(reply, without=names), *added), reply.body)
