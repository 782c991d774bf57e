"""Request bodies on their way up: conversations about streaming, early answers, inspection."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace

import pytest

from gateway.proxy.limits import Limits
from tests.proxy.conversation import CHUNKED, GET, OK, QUICK, post, talk

pytestmark = pytest.mark.usefixtures("every_way")


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
        b"5;a=b\nhello\r\n0\r\n\r\n",
        b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a=" + b"b" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
        (b"1;a=" + b"b" * 1000 + b"\r\nh\r\n") * 20 + b"0\r\n\r\n",
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
    ids=lambda body: str(body[:40]),
)
async def test_chunks_that_can_be_misread_end_the_request(body: bytes) -> None:
    async with talk() as t:
        client = await t.client()
        client.send(CHUNKED)
        upstream = await t.upstream()
        await upstream.head()
        client.send(body)
        assert (await client.answer())[0] == 400
        assert not (await upstream.broken_off()).endswith(b"0\r\n\r\n")


async def test_chunk_extensions_are_ignored_and_go_no_further() -> None:
    """A client may sign each piece of a large body in one."""
    async with talk() as t:
        client = await t.client()
        piece = b"x" * 4000
        signed = b"fa0;chunk-signature=%s\r\n%s\r\n" % (b"a" * 64, piece)
        client.send(CHUNKED, b'5;a=b;c="d;\\" e"\r\nhello\r\n', signed * 300, b"0;last\r\n\r\n")
        upstream = await t.upstream()
        await upstream.head()
        plain = b"5\r\nhello\r\n" + b"fa0\r\n%s\r\n" % piece * 300 + b"0\r\n\r\n"
        assert await upstream.get(len(plain)) == plain
        upstream.send(OK)
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize("size", [1000, 3_000_000], ids=["small", "large"])
async def test_an_early_answer_reaches_a_client_that_is_still_sending(size: int) -> None:
    async with talk() as t:
        client, upstream = await t.asked(post(size), bytes(size // 4))
        upstream.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        assert await client.head() == (
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        )
        client.send(bytes(size // 2))  # the client goes on, and is not reset for it
        assert await client.get(2) == b"no"
        client.send(bytes(size // 4))
        await asyncio.sleep(0.02)
        client.finish()


async def test_an_upstream_that_answers_and_closes_while_we_send() -> None:
    async with talk() as t:
        for _ in range(10):
            client, upstream = await t.asked(post(50_000_000), bytes(100_000))
            upstream.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            upstream.finish()  # with bytes unread: a reset follows
            client.send(bytes(5_000_000))
            assert (await client.head()).startswith(b"HTTP/1.1 413 ")
            assert await client.get(2) == b"no"
            client.reset()


async def test_a_body_still_flows_while_the_answer_has_begun() -> None:
    async with talk() as t:
        client, upstream = await t.asked(post(10), b"12345")
        upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await client.until(b"1\r\na\r\n")
        client.send(b"67890")
        assert await upstream.get(10) == b"1234567890"
        upstream.send(b"0\r\n\r\n")
        assert (await client.rest()).endswith(b"0\r\n\r\n")


async def test_a_slow_upstream_stops_the_client() -> None:
    async with talk(limits=Limits(splice_from=1 << 40)) as t:
        client, upstream = await t.asked(post(60_000_000))
        upstream.stop_reading()
        pouring = asyncio.create_task(client.pour(bytes(1_000_000), 60))
        await asyncio.sleep(0.3)
        assert not pouring.done()
        upstream.go_on_reading()
        assert len(await upstream.get(60_000_000)) == 60_000_000
        await pouring
        upstream.send(OK)
        await client.answer()


@pytest.mark.parametrize("size", [1000, 20_000_000], ids=["copied", "spliced"])
async def test_an_upstream_that_never_reads_is_given_up(size: int) -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await t.asked(post(size * 20), b"")
        upstream.stop_reading()
        client.send(bytes(size))
        status, _, _ = await client.answer()
        assert status == (504 if size > 1000 else 408)
        upstream.go_on_reading()
        client.reset()
        assert len(await upstream.broken_off()) <= size


@pytest.mark.parametrize("size", [1000, 5_000_000], ids=["copied", "spliced"])
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_leaves_ends_the_upload(size: int, how: str) -> None:
    async with talk() as t:
        client, upstream = await t.asked(post(size), bytes(size // 2))
        await upstream.get(size // 4)
        client.reset() if how == "resets" else client.finish()
        assert len(await upstream.broken_off()) <= size // 2


async def test_a_client_that_stops_sending_is_408() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await t.asked(post(10), b"12345")
        assert (await client.answer())[0] == 408
        assert await upstream.broken_off() == b"12345"


async def test_nobody_is_slow_while_the_gateway_itself_stands_still() -> None:
    limits = replace(QUICK, stall=1.5, answer=1.5)
    async with talk(limits=limits) as t:
        client, upstream = await t.asked(post(10), b"12345")
        assert await upstream.get(5) == b"12345"
        time.sleep(1.2 * limits.stall)
        await asyncio.sleep(2 * limits.tick)
        client.send(b"67890")
        assert await upstream.get(5) == b"67890"
        time.sleep(1.2 * limits.answer)
        upstream.send(OK)
        assert (await client.answer())[0] == 200


async def test_an_upload_to_an_upstream_that_is_gone_is_502() -> None:
    async with talk() as t:
        client, upstream = await t.asked(post(9_000_000), bytes(1_000_000))
        upstream.reset()
        client.send(bytes(8_000_000))
        assert (await client.answer())[0] == 502
