"""Bodies that are judged as they stream: conversations about inspectors."""

from __future__ import annotations

import asyncio
import os

import pytest

from gateway.proxy.http1.body import ChunkDecoder
from gateway.proxy.limits import Limits
from gateway.proxy.ports import Answer, Inspect, Plan
from tests.proxy.conversation import CHUNKED, GET, OK, QUICK, H, post, talk
from tests.proxy.inspectors import Scripted, judged
from tests.proxy.passgate import FORWARD, PassGate

pytestmark = pytest.mark.usefixtures("every_way")


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


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_no_byte_goes_on_that_is_not_safe(chunked: bool) -> None:
    """The scripted inspector keeps a question mark back until it has seen what follows."""
    async with talk(judged(Scripted())) as t:
        client = await t.client()

        def send(data: bytes) -> None:
            client.send(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)

        client.send(CHUNKED if chunked else post(9))
        send(b"123?")
        upstream = await t.upstream()
        await upstream.head()
        assert await upstream.get(8 if chunked else 3) == (b"3\r\n123\r\n" if chunked else b"123")
        await asyncio.sleep(0.02)
        assert upstream.quiet()
        send(b"56")
        assert await upstream.get(8 if chunked else 3) == (b"3\r\n?56\r\n" if chunked else b"?56")
        send(b"78?")
        if chunked:
            client.send(b"0\r\n\r\n")
        rest = b"2\r\n78\r\n1\r\n?\r\n0\r\n\r\n", b"3\r\n78?\r\n0\r\n\r\n"
        got = await upstream.until(b"0\r\n\r\n") if chunked else await upstream.get(3)
        assert got in (rest if chunked else (b"78?",))
        upstream.send(OK)
        assert (await client.answer())[2] == b"ok"


@pytest.mark.parametrize("how", ["closes", "resets", "half-closes", "junk", "stalls"])
@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
async def test_a_request_that_breaks_off_is_reset_upstream(chunked: bool, how: str) -> None:
    async with talk(judged(Scripted()), limits=QUICK) as t:
        client = await t.client()
        client.send(CHUNKED + b"4\r\n1234\r\n" if chunked else post(9), b"" if chunked else b"1234")
        upstream = await t.upstream()
        await upstream.head()
        if how == "closes":
            client.finish()
        elif how == "resets":
            client.reset()
        elif how == "half-closes":
            client.half_close()
        elif how == "junk":
            client.send(b"zz\r\n" if chunked else b"!")
        assert await upstream.broken_off() == (b"4\r\n1234\r\n" if chunked else b"1234")


async def test_what_the_upstream_has_not_taken_yet_does_not_look_like_the_end() -> None:
    """The request is complete here, and not there, when its client leaves."""
    body = bytes(30_000_000)
    async with talk(judged(Scripted())) as t:
        client = await t.client()
        client.send(post(len(body)))
        client.send(b"1")
        upstream = await t.upstream()
        upstream.stop_reading()
        await upstream.head()
        client.send(body[1:])
        await asyncio.sleep(0.1)
        client.reset()
        await asyncio.sleep(0.1)
        upstream.go_on_reading()
        assert len(await upstream.broken_off()) < len(body)


async def test_who_has_waited_longest_makes_room() -> None:
    inspectors = [Scripted(after=1000) for _ in range(4)]
    gate = PassGate()
    waiting = iter(inspectors)
    gate.decide = lambda facts: Inspect(next(waiting))
    async with talk(gate, limits=Limits(held=2000)) as t:
        clients = []
        for _ in range(3):
            clients.append(await t.client())
            clients[-1].send(post(1000), bytes(600))
            await asyncio.sleep(0.02)
        clients[0].send(bytes(300))  # 2,100 bytes together now
        status, fields, _ = await clients[0].answer()
        assert (status, fields["connection"]) == (503, "close")
        assert t.forwarder.shared.room.total == 1200
        clients[1].send(bytes(400))
        upstream = await t.upstream()
        await upstream.head()
        upstream.send(OK)
        assert (await clients[1].answer())[0] == 200
        assert t.forwarder.shared.room.total == 600
        clients[2].reset()
        await asyncio.sleep(0.05)
        assert t.forwarder.shared.room.total == 0


async def test_many_small_chunks_wait_for_the_turns_of_others() -> None:
    """Nothing of them is lost or read twice, whatever follows them."""
    body = b"".join(b"1\r\n%c\r\n" % (97 + number % 26) for number in range(20_000))
    inspector, gate = Scripted(after=10_000, hold_limit=100_000), PassGate()
    gate.decide = lambda facts: Inspect(inspector) if facts.method == "POST" else FORWARD
    async with talk(gate) as t:
        client = await t.client()
        client.send(CHUNKED, body, b"0\r\n\r\n", GET)
        upstream = await t.upstream()
        await upstream.head()
        got = await upstream.until(b"0\r\n\r\n")
        decoder = ChunkDecoder()
        assert b"".join(decoder.feed(got)[1]) == body[3::6]
        upstream.send(OK)
        assert (await client.answer())[2] == b"ok"
        assert (await upstream.head()).startswith(b"GET ")
        upstream.send(OK)
        assert (await client.answer())[2] == b"ok"


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
    async with talk(judged(Scripted(slow=False)), limits=QUICK) as t:
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
