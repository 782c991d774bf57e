"""The listener for those who watch the gateway: one page, by GET, and nothing else.

It stands apart from the listeners for clients, so that it can be bound where only they reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

Page: TypeAlias = Callable[[str], Awaitable[tuple[str, bytes]]]
"""Given what is accepted (the Accept field), the content type and the body."""

_WITHIN: Final = 10.0  # seconds for a whole exchange
_HEAD: Final = 8192
_AT_ONCE: Final = 8
_ACCEPT: Final = re.compile(rb"(?i:\r\naccept):[ \t]*+([\x20-\x7e]*+)\r\n")
PATH: Final = b"/metrics"


class Scrapes:
    """Answers on a listening socket."""

    def __init__(self, page: Page) -> None:
        self._page: Final = page
        self._busy = 0
        self._server: asyncio.Server | None = None

    async def listen(self, sock: socket.socket) -> None:
        if sock.family == socket.AF_UNIX:
            self._server = await asyncio.start_unix_server(self._answer, sock=sock, limit=_HEAD)
        else:
            self._server = await asyncio.start_server(self._answer, sock=sock, limit=_HEAD)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._busy += 1
        try:
            if self._busy > _AT_ONCE:
                return
            async with asyncio.timeout(_WITHIN):
                writer.write(await self._said(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who asks like this is not answered
        finally:
            self._busy -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _said(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        target = rest.partition(b" ")[0].partition(b"?")[0]
        if target != PATH:
            return _answer("404 Not Found", "text/plain", b"The numbers are at /metrics.\n")
        if method not in (b"GET", b"HEAD"):
            return _answer("405 Method Not Allowed", "text/plain", b"", "Allow: GET, HEAD\r\n")
        accepted = _ACCEPT.search(head)
        kind, body = await self._page(accepted[1].decode("ascii") if accepted else "")
        whole = _answer("200 OK", kind, body)
        return whole if method == b"GET" else whole[: len(whole) - len(body)]


def _answer(status: str, kind: str, body: bytes, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"{more}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
