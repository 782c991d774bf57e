"""The aiohttp server behind the pages and logins: it frames, and words nothing by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from gateway.core.errors import Refusal, Slug
from gateway.gate.replies import Replies, response_of

_log = logging.getLogger("gateway.handler")


class Server(web.Server):
    """An aiohttp server whose own refusals are in our words, with our header fields."""

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        replies: Replies,
    ) -> None:
        super().__init__(answer)
        self._replies: Final = replies

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, self._replies)


class _Protocol(web.RequestHandler):
    __slots__ = ("_replies",)

    def __init__(self, server: Server, replies: Replies) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]
            lingering_time=0,
        )
        self._replies = replies

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp cannot read or send: its own page has none of our fields, and its log
        would quote the request."""
        if request.transport is not None:  # else the client left, which is no failure
            _log.error("a page could not be sent", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is out")
        answer = response_of(self._replies.refusal(None, Refusal(Slug.INTERNAL)))
        answer.force_close()
        return answer
