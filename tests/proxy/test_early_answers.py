"""Servers that answer before they have read the request, and close: the answer is delivered.

Closing with bytes unread resets the connection, so that the forwarder's next write to it fails.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from gateway.proxy.ports import Forward, Inspect
from tests.proxy.conversation import Peer, Talk, talk
from tests.proxy.passgate import FORWARD, PassGate

pytestmark = pytest.mark.usefixtures("every_way")

H = b"Host: index\r\n"
PIECE = 50_000
SIZED = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % (400 * PIECE)
CHUNKED = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "sized": b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
    "chunked": b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    "endless": b"HTTP/1.0 413 Too Large\r\n\r\nno",
    "after an interim one": b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 401 No\r\nContent-Length: 2\r\nSet-Cookie: session=1\r\n\r\nno",
    "larger than one piece": b"HTTP/1.1 413 Too Large\r\nContent-Length: 60002\r\n\r\n"
    + bytes(60_000) + b"no",
}  # fmt: skip


async def pour(client: Peer, request: bytes) -> None:
    """Send a body without end, until nobody takes it any more."""
    chunked = request == CHUNKED
    piece = b"%x\r\n%s\r\n" % (PIECE, bytes(PIECE)) if chunked else bytes(PIECE)
    client.send(request)
    with contextlib.suppress(ConnectionError):
        await client.pour(piece, 399)


async def refused(t: Talk, request: bytes, answer: bytes) -> None:
    client = await t.client()
    pouring = asyncio.create_task(pour(client, request))
    upstream = await t.upstream()
    await upstream.head()
    await upstream.get(2 * PIECE)
    upstream.stop_reading()
    await asyncio.sleep(0.001)
    upstream.send(answer)
    upstream.finish()
    status = answer.rpartition(b"HTTP/1.")[2][2:5]
    head = await client.head()
    while head.startswith(b"HTTP/1.1 100 "):
        head = await client.head()
    assert head.split(b" ")[1] == status
    await client.until(b"no")
    pouring.cancel()
    await asyncio.gather(pouring, return_exceptions=True)
    client.reset()


@pytest.mark.parametrize("inspected", [False, True], ids=["plain", "inspected"])
@pytest.mark.parametrize("request_", [SIZED, CHUNKED], ids=["sized", "chunked"])
async def test_an_answer_that_came_before_the_reset_is_delivered(
    request_: bytes, inspected: bool
) -> None:
    gate = PassGate()
    if inspected:
        gate.decide = lambda facts: Inspect(Everything())
    gate.session_cookie = "session"  # looked at before it passes
    async with talk(gate) as t:
        for answer in ANSWERS.values():
            await refused(t, request_, answer)


class Everything:
    """An inspector that takes whatever comes."""

    hold_limit = 0

    def __init__(self) -> None:
        self.safe = 0

    def feed(self, data: bytes) -> Forward | None:
        first = not self.safe
        self.safe += len(data)
        return FORWARD if first else None

    def finish(self) -> None: ...


async def test_an_answer_that_breaks_off_does_not_look_whole() -> None:
    async with talk() as t:
        client = await t.client()
        pouring = asyncio.create_task(pour(client, SIZED))
        upstream = await t.upstream()
        await upstream.get(2 * PIECE)
        upstream.stop_reading()
        upstream.send(b"HTTP/1.1 200 OK\r\n\r\nyes")
        await asyncio.sleep(0.01)
        upstream.reset()
        assert b"\r\nTransfer-Encoding: chunked\r\n" in await client.head()
        assert await client.get(8) == b"3\r\nyes\r\n"
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)
        client.half_close()
        with contextlib.suppress(ConnectionError):
            assert await client.rest() == b""
