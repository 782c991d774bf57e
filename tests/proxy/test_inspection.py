"""Bodies that are judged as they stream: conversations about inspectors."""

from __future__ import annotations

import asyncio
import os

import pytest

from gateway.proxy.ports import Answer, Plan
from tests.proxy.conversation import talk
from tests.proxy.inspectors import Scripted, judged

H = b"Host: index\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\n" + H + b"\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n"


def post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % length


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_nothing_passes_before_the_body_is_judged(slow: bool, chunked: bool) -> None:
    inspector = Scripted(after=8, slow=slow)
    async with talk(judged(inspector)) as t:
        client = await t.client()
        client.send(CHUNKED + b"4;ext=1\r\n" if chunked else post(12), b"1234")
        await asyncio.sleep(0.03)
        assert t.untouched
        client.send(b"\r\n8\r\n" if chunked else b"", b"5678", b"90ab")
        if chunked:
            client.send(b"\r\n0\r\n\r\n")
        upstream = await t.upstream()
        assert b"X-Judged: yes" in await upstream.head()
        expected = b"c\r\n1234567890ab\r\n0\r\n\r\n" if chunked else b"1234567890ab"
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
        assert await upstream.get(9 if chunked else 4) == (b"4\r\n1234\r\n" if chunked else b"1234")
        client.send(b"\r\n4\r\n" if chunked else b"", b"567!", b"\r\n0\r\n\r\n" if chunked else b"")
        assert (await client.answer())[0] == 403
        assert await upstream.broken_off() in (b"", b"\r\n")


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
        assert await upstream.broken_off() == b"1234"


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
