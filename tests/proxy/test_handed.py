"""Requests for the pages: conversations about the hand-over, and what is left after it."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from gateway.core.facts import Facts
from gateway.proxy.handover import HandOvers
from gateway.proxy.ports import HandOver, Inspect, Plan
from tests.proxy.conversation import talk
from tests.proxy.inspectors import Scripted, judged
from tests.proxy.passgate import PassGate

H = b"Host: index\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\n" + H + b"\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n"


def post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % length


class Site:
    """A small aiohttp application that says what it got."""

    def __init__(self) -> None:
        self.runner = web.AppRunner(self._app(), auto_decompress=False, access_log=None)
        self.pages: HandOvers

    async def __aenter__(self) -> Site:
        await self.runner.setup()
        assert self.runner.server is not None
        self.pages = HandOvers(self.runner.server)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        plan = self.pages.plan(request.protocol)
        body = await request.read()
        text = f"{plan.context} {plan.facts.path} {len(body)} {sum(body)}"
        return web.Response(text=text, headers={"X-Head": "|".join(request.headers)})


def hand_over(facts: Facts) -> Plan:
    return HandOver(facts, "context")


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
    gate = PassGate()
    gate.decide = hand_over
    async with Site() as site:
        async with talk(gate, pages=site.pages) as t:
            client = await t.client()
            if slowly:
                await client.send_slowly(request_)
            else:
                client.send(request_ + GET)  # what is sent ahead is not answered
            status, _, body = await client.answer()
            assert (status, body) == (200, said)
            assert await client.gone()
            assert t.untouched
        assert not site.pages._plans


async def test_the_pages_ask_for_a_body() -> None:
    gate = PassGate()
    gate.decide = hand_over
    async with Site() as site, talk(gate, pages=site.pages) as t:
        client = await t.client()
        client.send(
            b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + H + b"\r\n"
        )
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"\1\1")
        assert (await client.answer())[2] == b"context / 2 2"


async def test_a_large_body_for_the_pages_passes() -> None:
    gate = PassGate()
    gate.decide = hand_over
    async with Site() as site, talk(gate, pages=site.pages) as t:
        client = await t.client()
        client.send(post(10_000_000), b"\1" * 10_000_000)
        assert (await client.answer())[2] == b"context / 10000000 10000000"


async def test_bad_chunks_for_the_pages_end_the_connection() -> None:
    gate = PassGate()
    gate.decide = hand_over
    async with Site() as site, talk(gate, pages=site.pages) as t:
        client = await t.client()
        client.send(CHUNKED + b"2;x=y\r\nab\r\n0\r\n\r\n")
        assert await client.gone()


async def test_an_inspector_may_hand_over() -> None:
    inspector = Scripted(after=4)
    gate = judged(inspector)

    def decide(facts: Facts) -> Plan:
        inspector._say = HandOver(facts, "judged")
        return Inspect(inspector)

    gate.decide = decide
    async with Site() as site, talk(gate, pages=site.pages) as t:
        client = await t.client()
        client.send(post(8), b"\1\1")
        await asyncio.sleep(0.01)
        client.send(b"\1\1\1")
        await asyncio.sleep(0.01)
        client.send(b"\1\1\1")
        assert (await client.answer())[2] == b"judged / 8 8"
