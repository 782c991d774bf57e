"""Between aiohttp and the gateway's own words: bodies in, answers out."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts, Field
from gateway.core.upstream import Reply
from gateway.proxy.http1.body import BODY_ENDS
from gateway.proxy.ports import Answer
from gateway.upstreams.client import answer_fields

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
        why = "a compressed body is not accepted here"
        raise Refusal("bad_request", why=why, fix="Send it as it is.")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_WITHIN):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > limit:
                    raise Refusal("body_too_large", limit=str(limit))
    except TimeoutError:
        raise Refusal("request_timeout") from None
    except ConnectionError:  # nobody is left to read the refusal
        raise Refusal("bad_request", why=BODY_ENDS) from None
    return bytes(body)


def response_of(answer: Answer) -> web.Response:
    """An answer of the gateway's own."""
    headers = CIMultiDict(answer.fields)
    headers.setdefault(*_SERVER)  # aiohttp would name itself
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def passed_on(reply: Reply, added: tuple[Field, ...]) -> Answer:
    """The upstream's answer as it came, with what tells browsers how to treat it."""
    names = frozenset(name.lower() for name, _ in added)
    return Answer(reply.status, (*answer_fields(reply, without=names), *added), reply.body)
