"""Clients that send no more and wait for their answers (RFC 9112 section 9.6)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.http.facts import Facts
from gateway.proxy.limits import Limits
from gateway.proxy.ports import Plan
from tests.proxy.closing import ask
from tests.proxy.conversation import talk
from tests.proxy.inspectors import Scripted, judged
from tests.proxy.passgate import FORWARD, PassGate
from tests.proxy.test_handover import to, visit
from tests.proxy.ways import Way, contexts, taking

H = b"Host: index\r\n"
GET = b"GET / HTTP/1.1\r\n" + H + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
SIZED = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\n"
LARGE = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1000000\r\n\r\n"
HUGE = SIZED.replace(b"5", b"2000000")
BODIES = {
    "GET": (GET, b""),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n", b""),
    "sized": (SIZED, b"hello"),
    "chunked": (CHUNKED, b"0\r\n\r\n"),
    "many chunks": (CHUNKED, b"1\r\nx\r\n" * 9_000 + b"0\r\n\r\n"),
    "spliced": (LARGE, bytes(1_000_000)),
}
SHORT = {
    "head": (b"GET / HTTP/1.1\r\nHost", b""),
    "sized": (SIZED, b"hell"),
    "chunked": (CHUNKED, b"0\r\n"),
    "spliced": (LARGE, bytes(999_999)),
}


async def later(facts: Facts) -> Plan:
    await asyncio.sleep(0.02)
    return FORWARD


def gate_of(kind: str) -> PassGate:
    if kind == "inspected":
        return judged(Scripted(after=3, slow=True, hold_limit=1 << 21))
    gate = PassGate()
    if kind == "decided later":
        gate.decide = later
    return gate


kinds = pytest.mark.parametrize("kind", ["quick", "decided later", "inspected"])


@pytest.fixture(
    params=[Way(), Way(splice=False), Way("unix", "unix"), Way("tcp", "tls"), Way("tls", "tcp")],
    ids=str,
)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    if not request.param.splice:
        monkeypatch.setattr("gateway.proxy.exchange.AVAILABLE", False)
    with taking(request.param):
        yield


@kinds
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("wait", [0.0, 0.005], ids=["at once", "later"])
async def test_a_request_is_answered(kind: str, wait: float) -> None:
    for head, body in BODIES.values():
        async with talk(gate_of(kind)) as t:
            client = await t.client()
            client.send(head)
            await asyncio.sleep(wait)
            client.send(body)
            client.half_close()
            upstream = await t.upstream()
            await upstream.head()
            if b"chunked" in head:
                await upstream.until(b"\r\n0\r\n\r\n")
            else:
                assert await upstream.get(len(body)) == body
            await asyncio.sleep(0.02)
            upstream.send(OK)
            assert (await client.answer())[2] == b"ok"
            assert await client.rest() == b""


@kinds
@pytest.mark.usefixtures("way")
async def test_a_request_cut_short_is_400_and_never_whole(kind: str) -> None:
    for head, body in SHORT.values():
        async with talk(gate_of(kind)) as t:
            client = await t.client()
            client.send(head)
            await asyncio.sleep(0.005)
            client.send(body)
            client.half_close()
            status, fields, text = await client.answer()
            assert (status, fields["x-slug"]) == (400, "bad_request")
            assert b"too early" in text
            assert await client.rest() == b""
            if not t.arrivals.empty():
                got = await (await t.upstream()).broken_off()
                assert len(got.partition(b"\r\n\r\n")[2]) < 1_000_000
                assert not got.endswith((b"hello", b"0\r\n\r\n"))


@pytest.mark.usefixtures("way")
async def test_what_was_sent_ahead_is_answered_too() -> None:
    async with talk() as t:
        client = await t.client()
        client.send(GET * 3)
        client.half_close()
        upstream = await t.upstream()
        for _ in range(3):
            await upstream.head()
            upstream.send(OK)
            assert (await client.answer())[2] == b"ok"
        assert await client.rest() == b""


@pytest.mark.usefixtures("way")
async def test_a_large_answer_is_read_to_its_end() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        client.half_close()
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", bytes(9_000_000))
        assert (await client.answer())[2] == bytes(9_000_000)
        assert await client.rest() == b""


@pytest.mark.usefixtures("way")
async def test_an_early_answer_to_one_who_gave_up_sending_is_read() -> None:
    async with talk() as t:
        client, upstream = await t.asked(LARGE, bytes(1000))
        upstream.send(b"HTTP/1.1 413 No\r\nContent-Length: 4\r\n\r\nno")
        await client.until(b"no")
        client.half_close()
        await asyncio.sleep(0.02)
        upstream.send(b"no")
        assert await client.rest() == b"no"


async def test_a_client_that_waits_long_is_asked_whether_it_is_there() -> None:
    async with talk(limits=Limits(half_closed=0.05, stall=0.2)) as t:
        client, upstream = await t.asked(GET)
        client.half_close()
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        upstream.send(OK)
        assert (await client.rest()).endswith(OK)


@pytest.mark.usefixtures("way")
async def test_a_page_is_answered() -> None:
    async with visit() as t:
        for path in ("/", "/slow", "/large"):
            client = await t.client()
            client.send(to(path, 2) + b"\1\1")
            client.half_close()
            assert (await client.answer())[0] == 200
            assert await client.rest() == b""
        client = await t.client()
        client.send(to("/", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        client.send(b"1\r\n\1\r\n" * 9_000 + b"0\r\n\r\n")
        client.half_close()
        assert (await client.answer())[2] == b"context / 9000 9000"
        client = await t.client()
        client.send(to("/", 3) + b"\1\1")
        client.half_close()
        status, fields, _ = await client.answer()
        assert (status, fields["x-slug"]) == (400, "bad_request")


@kinds
async def test_who_closes_tls_and_tcp_is_answered(kind: str) -> None:
    """However much is waiting to be decrypted when the end of TCP comes."""
    with taking(Way("tls", "tcp")):
        for head, body in (*BODIES.values(), (HUGE, bytes(2_000_000))):
            async with talk(gate_of(kind)) as t:
                told = asyncio.to_thread(ask, int(t.front), contexts()[2], head + body)
                asked = asyncio.create_task(told)
                upstream = await t.upstream()
                upstream.stop_reading()
                await asyncio.sleep(0.02)
                upstream.go_on_reading()
                await upstream.head()
                if b"chunked" in head:
                    await upstream.until(b"\r\n0\r\n\r\n")
                else:
                    assert await upstream.get(len(body)) == body
                upstream.send(b"HTTP/1.1 200 OK\r\n\r\n", bytes(500_000))
                upstream.finish()
                assert (await asked).count(0) == 500_000


async def test_who_ends_tcp_below_tls_has_left() -> None:
    """Somebody on the way could have done it."""
    with taking(Way("tls", "tcp")):
        async with talk() as t:
            client, upstream = await t.asked(GET)
            client.end_below()
            assert await upstream.gone()


async def test_who_closes_tls_and_leaves_frees_the_upstream() -> None:
    with taking(Way("tls", "tcp")):
        async with talk(limits=Limits(half_closed=0.05, stall=0.2)) as t:
            client, upstream = await t.asked(GET)
            await client.leave()
            assert await upstream.gone()
