"""Requests for the pages: conversations about the hand-over, and what is left after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.core.http.facts import Facts
from gateway.proxy.handover import HandOvers
from gateway.proxy.limits import Limits
from gateway.proxy.ports import HandOver, Inspect, Plan
from tests.proxy.conversation import CHUNKED, GET, QUICK, H, Talk, post, talk
from tests.proxy.inspectors import Scripted, judged
from tests.proxy.leaks import settle
from tests.proxy.passgate import PassGate

every_way = pytest.mark.usefixtures("every_way")


class Site:
    """Pages that say what they got, or behave as the path tells them."""

    def __init__(self) -> None:
        self.server = web.Server(
            self._handle, auto_decompress=False, access_log=None, lingering_time=0
        )
        self.pages = HandOvers(self.server)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        plan = self.pages.plan(request.protocol)
        match plan.facts.path:
            case "/unread":
                return web.Response(text="enough")
            case "/large":
                return web.Response(body=bytes(20_000_000))
            case "/slow":
                await asyncio.sleep(0.2)
            case "/broken":
                raise web.HTTPInternalServerError
        length = total = 0
        async for piece in request.content.iter_any():
            length, total = length + len(piece), total + sum(piece)
        text = f"{plan.context} {plan.facts.path} {length} {total}"
        return web.Response(text=text, headers={"X-Head": "|".join(request.headers)})


def hand_over(facts: Facts) -> Plan:
    return HandOver(facts, "context")


@asynccontextmanager
async def visit(gate: PassGate | None = None, limits: Limits | None = None) -> AsyncIterator[Talk]:
    """A conversation in which every request is for the pages; nothing of them may be left."""
    if gate is None:
        gate = PassGate()
        gate.decide = hand_over
    site = Site()
    async with talk(gate, pages=site.pages, limits=limits) as t:
        yield t
    await settle(lambda: not site.pages._plans and not site.server.connections)
    assert not site.pages._plans, "a plan was left"
    assert not site.server.connections, "the pages still have a connection"


@pytest.mark.parametrize("slowly", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (GET, b"context / 0 0"),
        (post(3) + b"\1\2\3", b"context / 3 6"),
        (CHUNKED + b"2\r\n\1\2\r\n1\r\n\3\r\n0\r\nX-T: 1\r\n\r\n", b"context / 3 6"),
        (b"GET /%2Bx HTTP/1.0\r\n\r\n", b"context /+x 0 0"),
    ],
    ids=["GET", "sized", "chunked", "HTTP/1.0"],
)
async def test_a_request_for_the_pages_is_answered_there(
    request_: bytes, said: bytes, slowly: bool
) -> None:
    async with visit() as t:
        client = await t.client()
        if slowly:
            await client.send_slowly(request_)
        else:
            client.send(request_ + GET)  # what is sent ahead is not answered
        status, _, body = await client.answer()
        assert (status, body) == (200, said)
        assert await client.gone()
        assert t.untouched


async def test_the_pages_ask_for_a_body() -> None:
    async with visit() as t:
        client = await t.client()
        client.send(
            b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + H + b"\r\n"
        )
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"\1\1")
        assert (await client.answer())[2] == b"context / 2 2"


@every_way
async def test_a_large_body_for_the_pages_passes() -> None:
    async with visit() as t:
        client = await t.client()
        client.send(post(10_000_000), b"\1" * 10_000_000)
        assert (await client.answer())[2] == b"context / 10000000 10000000"


@every_way
@pytest.mark.parametrize("before", [b"", b"1\r\n\1\r\n"], ids=["at once", "later"])
async def test_bad_chunks_for_the_pages_are_400(before: bytes) -> None:
    async with visit() as t:
        client = await t.client()
        client.send(CHUNKED + before)
        await asyncio.sleep(0.01 if before else 0)
        client.send(b"2 \r\nab\r\n0\r\n\r\n")
        status, fields, _ = await client.answer()
        assert (status, fields["x-slug"]) == (400, "bad_request")


async def test_bad_chunks_behind_a_page_do_not_disturb_it() -> None:
    async with visit() as t:
        client = await t.client()
        client.send(CHUNKED.replace(b" / ", b" /unread "), b"1\r\n\1\r\n")
        assert (await client.answer())[2] == b"enough"
        client.send(b"2 \r\nab\r\n0\r\n\r\n")


async def test_extensions_and_offers_mean_nothing_to_the_pages() -> None:
    async with visit() as t:
        client = await t.client()
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"
        head = CHUNKED.replace(H, H + offer)
        client.send(head + b"2;x=y\r\n\1\1\r\n0;z\r\n\r\n")
        status, fields, body = await client.answer()
        assert (status, body) == (200, b"context / 2 2")
        assert "Upgrade" not in fields["x-head"].split("|")


async def test_an_inspector_may_hand_over() -> None:
    inspector = Scripted(after=4)
    gate = judged(inspector)

    def decide(facts: Facts) -> Plan:
        inspector._say = HandOver(facts, "judged")
        return Inspect(inspector)

    gate.decide = decide
    async with visit(gate) as t:
        client = await t.client()
        client.send(post(8), b"\1\1")
        await asyncio.sleep(0.01)
        client.send(b"\1\1\1")
        await asyncio.sleep(0.01)
        client.send(b"\1\1\1")
        assert (await client.answer())[2] == b"judged / 8 8"


# -- what is left -----------------------------------------------------------------------------

PATHS = ["/", "/unread", "/large", "/slow", "/broken"]


def to(path: str, length: int = 0) -> bytes:
    return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n" % (path.encode(), H, length)


@every_way
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("how", ["closes", "resets", "half-closes"])
async def test_a_client_that_leaves_leaves_nothing_behind(path: str, how: str) -> None:
    async with visit() as t:
        for part in (b"", b"12345", b"1234567890"):
            for wait in (0, 0.02):
                client = await t.client()
                client.send(to(path, 10) + part)
                await asyncio.sleep(wait)
                leave = {"closes": client.finish, "resets": client.reset}
                leave.get(how, client.half_close)()


@every_way
async def test_what_the_pages_do_not_read_costs_nobody_the_answer() -> None:
    async with visit() as t:
        client = await t.client()
        client.send(to("/unread", 3_000_000), bytes(100_000))
        status, fields, body = await client.answer()
        assert (status, fields["connection"], body) == (200, "close", b"enough")
        client.send(bytes(2_900_000))  # and is not reset for it
        await asyncio.sleep(0.02)
        client.finish()


@every_way
async def test_a_client_that_never_reads_a_page_is_let_go() -> None:
    async with visit(limits=QUICK) as t:
        client = await t.client()
        client.stop_reading()
        client.send(to("/large"))
        await settle(lambda: bool(t.forwarder.clients))
        await settle(lambda: not t.forwarder.clients)
        assert not t.forwarder.clients


@every_way
async def test_a_body_for_the_pages_that_stops_coming_is_408() -> None:
    async with visit(limits=QUICK) as t:
        client = await t.client()
        client.send(to("/", 10) + b"12345")
        status, fields, _ = await client.answer()
        assert (status, fields["x-slug"]) == (408, "request_timeout")


@pytest.mark.parametrize("path", PATHS)
async def test_stopping_waits_for_a_page_but_not_for_its_reader(path: str) -> None:
    gate, asked = PassGate(), []

    def decide(facts: Facts) -> Plan:
        asked.append(facts)
        return hand_over(facts)

    gate.decide = decide
    async with visit(gate, limits=QUICK) as t:
        client, half = await t.client(), await t.client()
        if path == "/large":
            client.stop_reading()
        client.send(to(path))
        half.send(to(path, 10) + b"12345")
        await settle(lambda: len(asked) == 2, 5)
        stopping = asyncio.create_task(t.forwarder.stop())
        if path != "/large":
            assert (await client.answer())[0] in (200, 500)
        await asyncio.wait_for(stopping, 3)
