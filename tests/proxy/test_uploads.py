"""Request bodies on their way up: conversations about streaming, early answers, inspection."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from gateway.core.facts import Facts
from gateway.proxy.handover import HandOvers
from gateway.proxy.limits import Limits
from gateway.proxy.ports import Answer, Forward, HandOver, Inspect, Plan
from tests.proxy.conversation import QUICK, Peer, Talk, talk
from tests.proxy.passgate import PassGate

H = b"Host: index\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\n" + H + b"\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n"


def post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % length


async def begun(t: Talk, head: bytes, part: bytes = b"") -> tuple[Peer, Peer]:
    """A client that has begun an upload, and the upstream that has its head."""
    client = await t.client()
    client.send(head, part)
    upstream = await t.upstream()
    await upstream.head()
    return client, upstream


@pytest.mark.parametrize("count", [0, 1, 70_000, 5_000_000])
@pytest.mark.parametrize("together", [True, False], ids=["with the head", "after the head"])
async def test_a_sized_body_arrives_whole(count: int, together: bool) -> None:
    body = os.urandom(count)
    async with talk() as t:
        client = await t.client()
        client.send(post(count))
        if not together:
            await asyncio.sleep(0.02)
        client.send(body, GET)
        upstream = await t.upstream()
        assert b"\r\nContent-Length: %d\r\n" % count in await upstream.head()
        assert await upstream.get(count) == body
        await asyncio.sleep(0.01)
        assert upstream.quiet()
        upstream.send(OK)
        assert (await client.answer())[2] == b"ok"
        assert (await upstream.head()).startswith(b"GET / ")
        upstream.send(OK)
        assert (await client.answer())[2] == b"ok"


@pytest.mark.parametrize("slowly", [False, True], ids=["whole", "byte by byte"])
async def test_a_chunked_body_arrives_in_its_chunks(slowly: bool) -> None:
    async with talk() as t:
        client = await t.client()
        data = CHUNKED + b"5\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n" + GET
        if slowly:
            await client.send_slowly(data)
        else:
            client.send(data)
        upstream = await t.upstream()
        head = await upstream.head()
        assert b"Transfer-Encoding: chunked\r\n" in head
        expected = b"5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n"
        assert await upstream.get(len(expected)) == expected
        upstream.send(OK)
        await client.answer()
        assert (await upstream.head()).startswith(b"GET / ")
        upstream.send(OK)
        await client.answer()


@pytest.mark.parametrize(
    "body",
    [
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"8000000000000000\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
        b"5\r\nhello\r\n0\r\n folded: 1\r\n\r\n",
        b"5\r\nhello\r\n0\r\nA: \x00\r\n\r\n",
    ],
    ids=str,
)
async def test_chunks_that_can_be_misread_end_the_request(body: bytes) -> None:
    async with talk() as t:
        client = await t.client()
        client.send(CHUNKED)
        upstream = await t.upstream()
        await upstream.head()
        client.send(body)
        assert (await client.answer())[0] == 400
        assert not (await upstream.rest()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("size", [1000, 3_000_000], ids=["small", "large"])
async def test_an_early_answer_reaches_a_client_that_is_still_sending(size: int) -> None:
    async with talk() as t:
        client, upstream = await begun(t, post(size), bytes(size // 4))
        upstream.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        assert await client.head() == (
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        )
        client.send(bytes(size // 2))  # the client goes on, and is not reset for it
        assert await client.rest() == b"no"
        client.send(bytes(size // 4))
        await asyncio.sleep(0.02)
        client.finish()


async def test_an_upstream_that_answers_and_closes_while_we_send() -> None:
    async with talk() as t:
        for _ in range(10):
            client, upstream = await begun(t, post(50_000_000), bytes(100_000))
            upstream.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            upstream.finish()  # with bytes unread: a reset follows
            client.send(bytes(5_000_000))
            assert (await client.head()).startswith(b"HTTP/1.1 413 ")
            assert await client.get(2) == b"no"
            client.reset()


async def test_a_body_still_flows_while_the_answer_has_begun() -> None:
    async with talk() as t:
        client, upstream = await begun(t, post(10), b"12345")
        upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await client.until(b"1\r\na\r\n")
        client.send(b"67890")
        assert await upstream.get(10) == b"1234567890"
        upstream.send(b"0\r\n\r\n")
        assert (await client.rest()).endswith(b"0\r\n\r\n")


async def test_a_slow_upstream_stops_the_client() -> None:
    async with talk(limits=Limits(splice_from=1 << 40)) as t:
        client, upstream = await begun(t, post(60_000_000))
        upstream.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(bytes(60_000_000))
        await asyncio.sleep(0.3)
        assert client.writer.transport.get_write_buffer_size() > 30_000_000
        upstream.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await upstream.get(60_000_000)) == 60_000_000
        upstream.send(OK)
        await client.answer()


@pytest.mark.parametrize("size", [1000, 20_000_000], ids=["copied", "spliced"])
async def test_an_upstream_that_never_reads_is_given_up(size: int) -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await begun(t, post(size * 20), b"")
        upstream.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(bytes(size))
        status, _, _ = await client.answer()
        assert status == (504 if size > 1000 else 408)
        upstream.writer.transport.resume_reading()  # type: ignore[attr-defined]
        client.reset()
        assert len(await upstream.rest()) <= size


@pytest.mark.parametrize("size", [1000, 5_000_000], ids=["copied", "spliced"])
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_leaves_ends_the_upload(size: int, how: str) -> None:
    async with talk() as t:
        client, upstream = await begun(t, post(size), bytes(size // 2))
        await upstream.get(size // 4)
        client.reset() if how == "resets" else client.finish()
        with contextlib.suppress(ConnectionError):
            assert len(await upstream.rest()) <= size // 2


async def test_a_client_that_stops_sending_is_408() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await begun(t, post(10), b"12345")
        assert (await client.answer())[0] == 408
        assert await upstream.get(5) == b"12345"
        assert await upstream.gone()


async def test_an_upload_to_an_upstream_that_is_gone_is_502() -> None:
    async with talk() as t:
        client, upstream = await begun(t, post(9_000_000), bytes(1_000_000))
        upstream.reset()
        client.send(bytes(8_000_000))
        assert (await client.answer())[0] == 502


# -- bodies that are judged -------------------------------------------------------------------


class Scripted:
    """An inspector that says what a test wants once it has seen enough."""

    def __init__(
        self,
        *,
        after: int = 0,
        say: Plan | None = None,
        bad: bytes = b"!",
        last: Callable[[], Plan | Awaitable[Plan] | None] = lambda: None,
        slow: bool = False,
        hold_limit: int = 1000,
    ) -> None:
        self.hold_limit = hold_limit
        self.seen = b""
        self._after = after
        self._say = say or Forward(add=(("X-Judged", "yes"),))
        self._bad = bad
        self._last = last
        self._slow = slow
        self._decided = False

    def feed(self, data: bytes) -> Plan | Awaitable[Plan] | None:
        self.seen += data
        if self._bad in data:
            return Answer(403, (), b"bad")
        if self._decided or len(self.seen) < self._after:
            return None
        self._decided = True
        return self._later() if self._slow else self._say

    async def _later(self) -> Plan:
        await asyncio.sleep(0.02)
        return self._say

    def finish(self) -> Plan | Awaitable[Plan] | None:
        if not self._decided:
            return self._say
        return self._last()


def judged(inspector: Scripted) -> PassGate:
    gate = PassGate()
    gate.decide = lambda facts: Inspect(inspector)
    return gate


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_nothing_passes_before_the_body_is_judged(slow: bool, chunked: bool) -> None:
    inspector = Scripted(after=8, slow=slow)
    async with talk(judged(inspector)) as t:
        client = await t.client()
        client.send(CHUNKED + b"4\r\n" if chunked else post(12), b"1234")
        await asyncio.sleep(0.03)
        assert t.untouched
        client.send(b"\r\n8\r\n" if chunked else b"", b"5678", b"90ab")
        if chunked:
            client.send(b"\r\n0\r\n\r\n")
        upstream = await t.upstream()
        assert b"X-Judged: yes" in await upstream.head()
        expected = b"4\r\n1234\r\n8\r\n567890ab\r\n0\r\n\r\n" if chunked else b"1234567890ab"
        assert await upstream.get(len(expected)) == expected
        assert inspector.seen == b"1234567890ab"
        upstream.send(OK)
        assert (await client.answer())[2] == b"ok"


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_a_body_that_turns_bad_never_reaches_its_end(chunked: bool) -> None:
    async with talk(judged(Scripted())) as t:
        client = await t.client()
        client.send(CHUNKED + b"4\r\n" if chunked else post(8), b"1234")
        upstream = await t.upstream()
        await upstream.head()
        assert await upstream.get(4) == (b"4\r\n1" if chunked else b"1234")
        client.send(b"\r\n4\r\n" if chunked else b"", b"567!", b"\r\n0\r\n\r\n" if chunked else b"")
        assert (await client.answer())[0] == 403
        assert b"0\r\n\r\n" not in await upstream.rest()


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "later"])
async def test_the_last_piece_waits_for_the_end_of_the_judgement(slow: bool) -> None:
    async def later() -> Plan:
        await asyncio.sleep(0.02)
        return Answer(403, (), b"bad")

    inspector = Scripted(last=lambda: later() if slow else Answer(403, (), b"bad"))
    async with talk(judged(inspector)) as t:
        client = await t.client()
        client.send(post(8), b"1234")
        upstream = await t.upstream()
        await upstream.head()
        client.send(b"5678")
        assert (await client.answer())[0] == 403
        assert await upstream.rest() == b"1234"


async def test_a_body_judged_only_at_its_end_is_held_until_then() -> None:
    async with talk(judged(Scripted(after=100))) as t:
        client = await t.client()
        client.send(post(8), b"12345678")
        upstream = await t.upstream()
        await upstream.head()
        assert await upstream.get(8) == b"12345678"
        upstream.send(OK)
        assert (await client.answer())[2] == b"ok"


async def test_an_inspector_may_not_hold_without_end() -> None:
    async with talk(judged(Scripted(after=10_000))) as t:
        client = await t.client()
        client.send(post(100_000), bytes(5_000))
        assert (await client.answer())[0] == 413
        assert t.untouched


async def test_a_judged_body_streams_with_back_pressure() -> None:
    inspector = Scripted(after=10)
    body = os.urandom(20_000_000).replace(b"!", b"?")
    async with talk(judged(inspector)) as t:
        client = await t.client()
        client.send(post(len(body)), body)
        upstream = await t.upstream()
        await upstream.head()
        assert await upstream.get(len(body)) == body
        upstream.send(OK)
        assert (await client.answer())[2] == b"ok"


async def test_an_early_answer_ends_the_judgement() -> None:
    async with talk(judged(Scripted(slow=False))) as t:
        client = await t.client()
        client.send(post(8), b"1234")
        upstream = await t.upstream()
        await upstream.head()
        upstream.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        status, fields, _ = await client.answer()
        assert (status, fields["connection"]) == (401, "close")
        client.send(b"567!")
        assert await client.gone()


async def test_a_judged_body_is_asked_for() -> None:
    async with talk(judged(Scripted(after=4))) as t:
        client = await t.client()
        client.send(
            b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n" + H + b"\r\n"
        )
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"1234")
        upstream = await t.upstream()
        assert b"expect" not in (await upstream.head()).lower()
        upstream.send(OK)
        assert (await client.answer())[0] == 200


# -- requests for the pages -------------------------------------------------------------------


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
