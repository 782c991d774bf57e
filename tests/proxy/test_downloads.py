"""Downloads over every way: conversations about large bodies, endings, and who is slow or gone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from gateway.proxy.limits import Limits
from gateway.proxy.ports import Answer
from tests.proxy.conversation import QUICK, Peer, talk
from tests.proxy.leaks import settle
from tests.proxy.passgate import PassGate
from tests.proxy.ways import taken

pytestmark = pytest.mark.usefixtures("every_way")

H = b"Host: index\r\n"
GET = b"GET /simple/ HTTP/1.1\r\n" + H + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\n\r\nx"
DELETE = b"DELETE / HTTP/1.1\r\n" + H + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_body_without_length_ends_with_the_connection() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nsome")
        await client.until(b"some")
        upstream.send(b"thing")
        upstream.finish()
        rest = await client.rest()
        # Through a unix socket an early end could not be told from the end.
        assert rest == (b"\r\n5\r\nthing\r\n0\r\n\r\n" if t.way.front == "unix" else b"thing")


@pytest.mark.parametrize("count", [100_000, 3_000_000], ids=["copied", "spliced"])
@pytest.mark.parametrize("http10", [False, True], ids=["1.1", "1.0"])
async def test_a_large_body_arrives_whole(count: int, http10: bool) -> None:
    body = os.urandom(count)
    async with talk() as t:
        client, upstream = await t.asked(b"GET / HTTP/1.%d\r\n%s\r\n" % (not http10, H))
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count, body)
        await client.head()
        assert await client.get(count) == body
        if http10:
            assert await client.gone()
            return
        client.send(GET)  # and what follows is read by the same two connections
        await upstream.head()
        upstream.send(OK)
        assert (await client.answer())[2] == b"ok"


async def test_a_slow_reader_stops_the_upstream() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        client.stop_reading()
        upstream.send(CHUNKED)
        pouring = asyncio.create_task(upstream.pour(b"f4240\r\n%s\r\n" % bytes(1_000_000), 60))
        await asyncio.sleep(0.3)
        assert not pouring.done()
        client.go_on_reading()
        await pouring
        upstream.send(b"0\r\n\r\n")
        assert (await client.until(b"\r\n0\r\n\r\n")).count(b"f4240\r\n") == 60


CUT = {
    "sized": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"five!"),
    "sized, spliced": (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", bytes(700_000)),
    "chunked": (CHUNKED, b"a\r\nfive!"),
    "chunked, between chunks": (CHUNKED, b"5\r\nfive!\r\n"),
    "chunked, before the last line": (CHUNKED, b"5\r\nfive!\r\n0\r\n"),
    "chunked, bad size": (CHUNKED, b"5\r\nfive!\r\nxyz\r\n"),
}


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize(("head", "part"), CUT.values(), ids=CUT.keys())
async def test_what_is_cut_off_upstream_is_cut_off_here(head: bytes, part: bytes, how: str) -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(head, part)
        got = await client.head()
        try:
            if how == "resets":
                part = part.removeprefix(await client.get(5))
                upstream.reset()
            else:
                upstream.finish()
            rest = await client.rest()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        assert b"Connection: close" not in got
        assert not rest.endswith(b"0\r\n\r\n")
        assert len(rest) <= len(part)


async def test_a_reset_in_a_body_without_length_is_no_clean_end() -> None:
    if taken().back == "unix":
        return  # where the upstream itself can end in one way only
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
        await client.until(b"half of")
        upstream.reset()
        assert await broken_off(client)


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n\r\n", CUT["sized, spliced"][0], CHUNKED + b"f\r\n"],
    ids=["without length", "sized", "chunked"],
)
async def test_an_end_that_tls_does_not_know_of_is_no_clean_end(head: bytes) -> None:
    if taken().back != "tls":
        return
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(head + b"half of")
        await client.until(b"half of")
        upstream.end_below()
        if b"\r\nContent-Length:" in head:
            assert await client.rest() == b""  # of nine megabytes
        elif head.startswith(CHUNKED):
            assert not (await client.rest()).endswith(b"0\r\n\r\n")
        else:
            assert await broken_off(client)


async def test_a_cut_off_answer_to_an_http_10_client_is_no_clean_end() -> None:
    if taken().front == "unix":
        return  # nothing but the end of the connection could say so
    async with talk() as t:
        client, upstream = await t.asked(b"GET / HTTP/1.0\r\n\r\n")
        upstream.send(CHUNKED, b"a\r\nfive!")
        await client.until(b"five!")
        upstream.finish()
        assert await broken_off(client)


async def broken_off(client: Peer) -> bool:
    """Whether a body without length ends so that its reader must know it is not whole."""
    try:
        rest = await client.rest()
    except ConnectionError:
        return True
    return taken().front == "unix" and not rest.endswith(b"0\r\n\r\n")  # it comes in chunks


async def test_surplus_bytes_end_the_upstream_connection() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert (await client.answer())[2] == b"ok"
        assert await upstream.gone()
        await t.anew(client, GET, OK)


async def test_bytes_on_an_idle_upstream_connection_end_it() -> None:
    async with talk() as t:
        client, upstream = await t.exchange(GET, OK)
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert await upstream.gone()
        await t.anew(client, GET, OK)


async def test_a_dead_pooled_connection_is_tried_again_once() -> None:
    async with talk() as t:
        client, upstream = await t.exchange(GET, OK)
        client.send(GET)
        await upstream.head()
        upstream.reset()  # it had closed before our request arrived
        fresh = await t.upstream()
        assert (await fresh.head()).startswith(b"GET /simple/ ")
        fresh.reset()
        assert (await client.answer())[0] == 502
        assert t.untouched


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0\r\n\r\n",
        b"DELETE / HTTP/1.1\r\n" + H + b"\r\n",
        b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\n\r\nx",
    ],
    ids=["POST", "DELETE", "GET with a body"],
)
async def test_what_must_not_happen_twice_is_not_tried_again(request_: bytes) -> None:
    async with talk() as t:
        client, upstream = await t.exchange(GET, OK)
        client.send(request_)
        # Nor is it sent where it might be lost: the idle connection may be about to end.
        fresh = await t.upstream()
        await fresh.head()
        assert upstream.quiet()
        fresh.reset()
        assert (await client.answer())[0] == 502
        assert t.untouched


@pytest.mark.parametrize("how", [Peer.finish, Peer.reset], ids=["closes", "resets"])
async def test_an_idle_connection_that_ends_costs_nobody_an_answer(
    how: Callable[[Peer], None],
) -> None:
    async with talk() as t:
        for request in (GET, GET, POST, DELETE):
            client, upstream = await t.exchange(GET, OK)
            how(upstream)
            await t.anew(client, request, OK)
            for other in t.upstreams:
                other.drop()
            await settle(lambda: not t.forwarder.shared.pool.open)


async def test_an_idle_connection_that_ends_with_a_408_costs_nobody_an_answer() -> None:
    late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with talk() as t:
        client, upstream = await t.exchange(GET, OK)
        client.send(GET)
        await upstream.head()
        upstream.send(late)
        fresh = await t.upstream()
        assert (await fresh.head()).startswith(b"GET /simple/ ")
        fresh.send(late)  # this one is meant
        assert (await client.answer())[0] == 408


async def test_requests_through_new_connections_leave_no_heap_of_idle_ones() -> None:
    async with talk() as t:
        for _ in range(5):
            client = await t.client()
            client.send(POST)
            upstream = await t.upstream()
            await upstream.until(b"x")
            upstream.send(OK)
            await client.answer()
        assert len(t.forwarder.shared.pool.idle) == 1


async def test_nothing_is_tried_again_once_an_answer_has_begun() -> None:
    async with talk() as t:
        client, upstream = await t.exchange(GET, OK)
        client.send(GET)
        await upstream.head()
        upstream.send(b"HTTP/1.1 200")
        await asyncio.sleep(0.02)
        upstream.reset()
        assert (await client.answer())[0] == 502
        assert t.untouched


async def test_nothing_is_tried_again_once_something_of_an_answer_has_passed() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    async with talk() as t:
        client, upstream = await t.exchange(GET, OK)
        client.send(GET)
        await upstream.head()
        upstream.send(early)
        assert await client.get(len(early)) == early
        upstream.reset()
        assert (await client.answer())[0] == 502
        assert t.untouched


async def test_an_upstream_that_hangs_up_at_once_is_502() -> None:
    async with talk() as t:
        for how in (Peer.finish, Peer.reset) * 5:
            client = await t.client()
            client.send(GET)
            how(await t.upstream())
            assert (await client.answer())[0] == 502


async def test_a_client_that_never_reads_the_end_of_its_answer_is_let_go() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await t.asked(b"GET / HTTP/1.0\r\n\r\n")
        client.stop_reading()
        size = 30_000_000
        upstream.send(CHUNKED, b"%x\r\n" % size, bytes(size), b"\r\n0\r\n\r\n")
        await settle(lambda: not t.forwarder.clients)
        assert not t.forwarder.clients
        assert await upstream.gone()


async def test_an_upstream_that_does_not_answer_is_504() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await t.asked(GET)
        status, fields, _ = await client.answer()
        assert (status, fields["x-slug"]) == (504, "upstream_timeout")
        assert await upstream.gone()


async def test_an_upstream_that_stops_in_the_middle_is_cut_off() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await t.asked(GET)
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!")
        assert (await client.rest()).endswith(b"five!")
        assert await upstream.gone()


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_leaves_frees_the_upstream(how: str) -> None:
    async with talk(limits=Limits(half_closed=0.05, stall=0.2)) as t:
        client, upstream = await t.asked(GET)
        if how == "closes":
            await client.leave()
        else:
            client.reset()
        assert await upstream.gone()


@pytest.mark.parametrize("size", [1000, 50_000_000], ids=["small", "spliced"])
async def test_a_client_that_leaves_while_it_is_answered_frees_the_upstream(size: int) -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, bytes(size - 1))
        await client.get(100)
        client.reset()
        assert await upstream.gone()


async def test_a_client_that_never_finishes_its_head_is_sent_away() -> None:
    async with talk(limits=QUICK) as t:
        client, silent = await t.client(), await t.client()
        client.send(b"GET / HTTP/1.1\r\n")
        assert (await client.answer())[0] == 408
        assert await client.gone()
        assert await silent.gone()
        assert t.untouched


async def test_one_byte_at_a_time_does_not_hold_a_connection() -> None:
    async with talk(limits=QUICK) as t:
        client = await t.client()
        began = asyncio.get_running_loop().time()
        for byte in b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * 1000:
            client.send(bytes([byte]))
            await asyncio.sleep(0.02)
            if not client.quiet():
                break
        assert asyncio.get_running_loop().time() - began < 15  # all of it would take 20
        assert (await client.answer())[0] == 408


async def test_an_idle_client_is_let_go() -> None:
    async with talk(limits=QUICK) as t:
        client, _ = await t.exchange(GET, OK)
        assert await client.gone()


async def test_idle_upstream_connections_are_let_go() -> None:
    async with talk(limits=Limits(pool_idle=0.1, stall=0.2)) as t:
        _, upstream = await t.exchange(GET, OK)
        assert await upstream.gone()
        assert not t.forwarder.shared.pool.idle


async def test_stopping_lets_transfers_finish_and_closes_idle_connections() -> None:
    async with talk(limits=Limits(drain=60.0)) as t:
        idle, upstream = await t.exchange(GET, OK)
        client = await t.client()
        client.send(GET)
        await upstream.head()
        stopping = asyncio.create_task(t.forwarder.stop())
        assert await idle.gone()
        upstream.send(OK)
        assert await client.answer() == (
            200, {"content-length": "2", "connection": "close"}, b"ok",
        )  # fmt: skip
        await asyncio.wait_for(stopping, 20)


@pytest.mark.parametrize("count", [2, 400_000], ids=["small", "spliced"])
async def test_stopping_waits_for_the_end_of_an_answer_and_no_longer(count: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count + bytes(count)
    async with talk(limits=Limits(drain=60.0)) as t:
        client, upstream = await t.asked(GET)
        upstream.send(answer[:-1])
        assert await client.get(len(answer) - 1) == answer[:-1]
        stopping = asyncio.create_task(t.forwarder.stop())
        await asyncio.sleep(0.02)
        upstream.send(answer[-1:])
        assert await client.rest() == answer[-1:]
        await asyncio.wait_for(stopping, 20)


async def test_stopping_cuts_off_what_takes_too_long() -> None:
    async with talk(limits=Limits(drain=0.1)) as t:
        client, upstream = await t.asked(GET)
        await asyncio.wait_for(t.forwarder.stop(), 20)
        assert await client.gone()
        assert await upstream.gone()
        await settle(lambda: not t.forwarder.clients)


async def test_a_client_that_asks_on_but_does_not_read_is_not_answered_on() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    async with talk() as t:
        client = await t.client()
        client.stop_reading()
        client.send(GET * 200)
        upstream = await t.upstream()
        answered = 0

        async def serve() -> None:
            nonlocal answered
            while True:
                await upstream.reader.readuntil(b"\r\n\r\n")
                await upstream.pour(answer, 1)
                answered += 1

        serving = asyncio.create_task(serve())
        await asyncio.sleep(0.4)
        assert 0 < answered < 190
        (here,) = t.forwarder.clients
        assert here.transport is not None
        assert here.transport.get_write_buffer_size() < 1_000_000
        client.go_on_reading()
        assert await client.get(200 * len(answer)) == answer * 200
        serving.cancel()
        await asyncio.wait([serving])


async def test_a_client_that_asks_on_and_never_reads_is_let_go() -> None:
    gate = PassGate()
    gate.decide = lambda facts: Answer(403, (), bytes(100_000))
    async with talk(gate, limits=QUICK) as t:
        client = await t.client()
        client.stop_reading()
        for _ in range(10):
            client.send(GET * 200)
            await asyncio.sleep(0.01)
            for here in t.forwarder.clients:
                assert here.transport is not None
                assert here.transport.get_write_buffer_size() < 1_000_000
        await settle(lambda: not t.forwarder.clients)
        assert not t.forwarder.clients


async def test_stopping_lets_a_slow_client_read_its_answer_to_the_end() -> None:
    size = 200_000
    async with talk(limits=Limits(drain=3.0)) as t:
        client = await t.client()
        client.stop_reading()
        client.send(GET * 40)
        upstream = await t.upstream()
        serving = asyncio.create_task(
            upstream.pour(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size), 1)
        )
        await serving
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(t.forwarder.stop())
        await asyncio.sleep(0.05)
        client.go_on_reading()
        await client.head()
        assert await client.get(size) == bytes(size)
        client.finish()
        await asyncio.wait_for(stopping, 20)
