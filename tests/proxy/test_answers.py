"""What the client gets of an upstream's answer: conversations about framing, endings, failures."""

from __future__ import annotations

import asyncio
import gzip
import os

import pytest

from gateway.proxy.limits import Limits
from gateway.proxy.ports import Answer
from gateway.proxy.upstream import Endpoint
from tests.proxy.conversation import QUICK, Peer, Talk, settle, talk
from tests.proxy.passgate import PassGate

H = b"Host: index\r\n"
GET = b"GET /simple/ HTTP/1.1\r\n" + H + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def asked(t: Talk, request: bytes = GET) -> tuple[Peer, Peer]:
    """A client whose request has reached the upstream."""
    client = await t.client()
    client.send(request)
    upstream = await t.upstream()
    await upstream.head()
    return client, upstream


# -- bodies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 99\r\n\r\n'),
        ("GET", b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
        ("GET", b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"),
        ("GET", b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\n"
                b"Content-Length: 2\r\n\r\nab"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\n"
                + gzip.compress(b"ok", mtime=0)),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("DELETE", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"),
    ],
    ids=["HEAD", "HEAD chunked", "204", "304", "no reason", "empty", "range", "gzip", "chunked",
         "refusal"],
)  # fmt: skip
@pytest.mark.parametrize("slowly", [False, True], ids=["whole", "byte by byte"])
async def test_an_answer_passes_as_it_came(method: str, answer: bytes, slowly: bool) -> None:
    async with talk() as t:
        client = await t.client()
        upstream = None
        for _ in range(2):  # and the connections can be used again
            client.send(f"{method} / HTTP/1.1\r\nHost: index\r\n\r\n".encode())
            upstream = upstream or await t.upstream()
            await upstream.head()
            if slowly:
                await upstream.send_slowly(answer)
            else:
                upstream.send(answer)
            assert await client.get(len(answer)) == answer
        assert t.untouched


async def test_hop_by_hop_fields_of_an_answer_end_here() -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(
            b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
            b"X_Kept: 1\r\nTrailer: X-Sum\r\nContent-Length: 0\r\nProxy-Authenticate: x\r\n\r\n"
        )
        assert await client.head() == b"HTTP/1.1 200 OK\r\nX_Kept: 1\r\nContent-Length: 0\r\n\r\n"


async def test_chunks_pass_without_extensions_and_trailers() -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(
            CHUNKED, b"5;a=b\r\nhello\r\n6 \r\n"[:14], b"1\r\nx\r\n", b"0\r\nX-Sum: 1\r\n\r\n"
        )
        assert await client.head() == CHUNKED
        assert await client.get(21) == b"5\r\nhello\r\n1\r\nx\r\n0\r\n\r\n"


async def test_a_body_without_length_ends_with_the_connection() -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nsome")
        await asyncio.sleep(0.01)
        upstream.send(b"thing")
        upstream.finish()
        assert await client.rest() == (
            b"HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nsomething"
        )


async def test_an_http_10_upstream_is_understood() -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert await client.head() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        assert await client.get(2) == b"ok"
        assert await upstream.gone()  # and not asked again


async def test_connection_close_of_the_upstream_stays_between_us_and_it() -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        assert await client.answer() == (200, {"content-length": "2"}, b"ok")
        assert await upstream.gone()
        client.send(GET)
        upstream = await t.upstream()
        await upstream.head()
        upstream.send(OK)
        assert (await client.answer())[0] == 200


async def test_an_http_10_client_gets_no_chunks() -> None:
    async with talk() as t:
        client, upstream = await asked(t, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        upstream.send(CHUNKED, b"5\r\nhello\r\n", b"1\r\n!\r\n0\r\n\r\n")
        assert await client.rest() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello!"


async def test_an_http_10_request_becomes_an_http_11_request_with_a_host() -> None:
    async with talk() as t:
        client = await t.client()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        upstream = await t.upstream()
        head = await upstream.head()
        assert head.startswith(b"GET / HTTP/1.1\r\n")
        assert b"\r\nHost: 127.0.0.1:" in head
        upstream.send(OK)
        assert (await client.rest()).endswith(b"Connection: close\r\n\r\nok")


@pytest.mark.parametrize("count", [100_000, 3_000_000], ids=["copied", "spliced"])
@pytest.mark.parametrize("http10", [False, True], ids=["1.1", "1.0"])
async def test_a_large_body_arrives_whole(count: int, http10: bool) -> None:
    body = os.urandom(count)
    async with talk() as t:
        client, upstream = await asked(t, b"GET / HTTP/1.%d\r\n%s\r\n" % (not http10, H))
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
    count = 60_000_000
    async with talk() as t:
        client, upstream = await asked(t)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        upstream.send(CHUNKED)
        for _ in range(60):
            upstream.send(b"f4240\r\n", bytes(1_000_000), b"\r\n")
        await asyncio.sleep(0.3)
        assert upstream.writer.transport.get_write_buffer_size() > count // 2
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        upstream.send(b"0\r\n\r\n")
        assert (await client.until(b"\r\n0\r\n\r\n")).count(b"f4240\r\n") == 60


# -- interim answers --------------------------------------------------------------------------


async def test_interim_answers_pass() -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        assert await client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        upstream.send(b"HTTP/1.1 102 Processing\r\n\r\n" + OK)
        assert await client.head() == b"HTTP/1.1 102 Processing\r\n\r\n"
        assert (await client.answer())[2] == b"ok"


async def test_switching_protocols_does_not_pass() -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw")
        assert (await client.answer())[0] == 502
        assert await upstream.gone()


async def test_100_continue_is_asked_of_the_upstream() -> None:
    async with talk() as t:
        client, upstream = await asked(
            t, b"PUT / HTTP/1.1\r\n" + H + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert await upstream.get(4) == b"body"
        upstream.send(OK)
        assert (await client.answer())[1] == {"content-length": "2"}


async def test_an_upstream_may_refuse_instead_of_continuing() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await asked(
            t, b"PUT / HTTP/1.1\r\n" + H + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        upstream.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        assert await client.answer() == (
            403, {"content-length": "2", "connection": "close"}, b"no",
        )  # fmt: skip
        assert await upstream.gone()
        assert await client.gone()


# -- an upstream that misbehaves --------------------------------------------------------------

GARBAGE = {
    "no HTTP": b"hello\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "folded": b"HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok",
    "space before colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "length and coding": CHUNKED[:-2] + b"Content-Length: 2\r\n\r\nok",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "odd coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nA: \x00\r\nContent-Length: 2\r\n\r\nok",
    "short status": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
    "interim in HTTP/1.0": b"HTTP/1.0 100 Continue\r\n\r\n" + OK,
    "interim and closing": b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + OK,
    "HTTP/2": b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 20000,
    "closes at once": b"",
    "closes within the head": b"HTTP/1.1 200 OK\r\nContent-",
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE.keys())
async def test_an_answer_that_cannot_be_read_is_502(answer: bytes) -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(answer)
        if not answer.endswith(b"ok"):
            upstream.finish()
        status, fields, _ = await client.answer()
        assert (status, fields["x-slug"]) == (502, "upstream_broken")
        assert await upstream.gone()
        client.send(GET)  # the client's connection goes on
        upstream = await t.upstream()
        await upstream.head()
        upstream.send(OK)
        assert (await client.answer())[0] == 200


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
        client, upstream = await asked(t)
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
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
        await client.until(b"half of")
        upstream.reset()
        with pytest.raises(ConnectionError):
            await client.rest()


async def test_a_cut_off_answer_to_an_http_10_client_is_no_clean_end() -> None:
    async with talk() as t:
        client, upstream = await asked(t, b"GET / HTTP/1.0\r\n\r\n")
        upstream.send(CHUNKED, b"a\r\nfive!")
        await client.until(b"five!")
        upstream.finish()
        with pytest.raises(ConnectionError):
            await client.rest()


async def test_surplus_bytes_end_the_upstream_connection() -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        upstream.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert (await client.answer())[2] == b"ok"
        assert await upstream.gone()
        client.send(GET)
        fresh = await t.upstream()
        await fresh.head()
        fresh.send(OK)
        assert (await client.answer())[2] == b"ok"


async def test_bytes_on_an_idle_upstream_connection_end_it() -> None:
    async with talk() as t:
        client, upstream = await t.exchange(GET, OK)
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert await upstream.gone()
        client.send(GET)
        fresh = await t.upstream()
        await fresh.head()
        fresh.send(OK)
        assert (await client.answer())[2] == b"ok"


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
        await upstream.head()
        upstream.reset()
        assert (await client.answer())[0] == 502
        assert t.untouched


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


async def test_an_upstream_that_is_not_there_is_502() -> None:
    async with talk(endpoint=Endpoint("127.0.0.1", 1)) as t:
        client = await t.client()
        for _ in range(2):
            client.send(GET)
            status, fields, _ = await client.answer()
            assert (status, fields["x-slug"]) == (502, "upstream_unreachable")


async def test_an_upstream_that_hangs_up_at_once_is_502() -> None:
    async with talk() as t:
        for how in (Peer.finish, Peer.reset) * 5:
            client = await t.client()
            client.send(GET)
            how(await t.upstream())
            assert (await client.answer())[0] == 502


async def test_an_interim_answer_sets_no_cookie() -> None:
    gate = PassGate()
    gate.session_cookie = "auth_tkt="
    gate.held = Answer(303, (), b"")
    async with talk(gate) as t:
        client, upstream = await asked(t)
        upstream.send(b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: auth_tkt=Secret\r\n\r\n" + OK)
        assert (await client.answer())[0] == 502


async def test_a_client_that_never_reads_the_end_of_its_answer_is_let_go() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await asked(t, b"GET / HTTP/1.0\r\n\r\n")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        size = 30_000_000
        upstream.send(CHUNKED, b"%x\r\n" % size, bytes(size), b"\r\n0\r\n\r\n")
        await settle(lambda: not t.forwarder.clients, 4)
        assert not t.forwarder.clients
        assert await upstream.gone()


async def test_an_upstream_that_does_not_answer_is_504() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await asked(t)
        status, fields, _ = await client.answer()
        assert (status, fields["x-slug"]) == (504, "upstream_timeout")
        assert await upstream.gone()


async def test_an_upstream_that_stops_in_the_middle_is_cut_off() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await asked(t)
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!")
        assert (await client.rest()).endswith(b"five!")
        assert await upstream.gone()


# -- a client that misbehaves -----------------------------------------------------------------


@pytest.mark.parametrize("how", ["closes", "resets", "half-closes"])
async def test_a_client_that_leaves_frees_the_upstream(how: str) -> None:
    async with talk() as t:
        client, upstream = await asked(t)
        {"closes": client.finish, "resets": client.reset, "half-closes": client.half_close}[how]()
        assert await upstream.gone()


@pytest.mark.parametrize("size", [1000, 50_000_000], ids=["small", "spliced"])
async def test_a_client_that_leaves_while_it_is_answered_frees_the_upstream(size: int) -> None:
    async with talk() as t:
        client, upstream = await asked(t)
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
        assert asyncio.get_running_loop().time() - began < 2
        assert (await client.answer())[0] == 408


async def test_an_idle_client_is_let_go() -> None:
    async with talk(limits=QUICK) as t:
        client, _ = await t.exchange(GET, OK)
        assert await client.gone()


async def test_idle_upstream_connections_are_let_go() -> None:
    async with talk(limits=Limits(pool_idle=0.1, stall=0.2)) as t:
        _, upstream = await t.exchange(GET, OK)
        assert await upstream.gone()
        assert not t.forwarder.pool.idle


# -- answers that hand out a session ----------------------------------------------------------

LOGIN = (
    b"HTTP/1.1 302 Found\r\nSet-Cookie: other=1\r\nSet-Cookie: auth_tkt=Secret; Path=/\r\n"
    b"Location: /\r\nContent-Length: 2\r\n\r\nok"
)


async def test_an_answer_that_sets_a_session_is_held_back() -> None:
    gate = PassGate()
    gate.session_cookie = "auth_tkt="
    gate.held = Answer(303, (("Location", "/+auth/verify"),), b"")
    async with talk(gate) as t:
        client, upstream = await asked(t)
        upstream.send(LOGIN)
        status, fields, _ = await client.answer()
        assert (status, fields["location"]) == (303, "/+auth/verify")
        assert "set-cookie" not in fields
        assert await upstream.gone()  # its body is not wanted
        assert ("set-cookie", "auth_tkt=Secret; Path=/") not in gate.asked[-1].fields


async def test_an_answer_the_gate_lets_through_is_not_changed() -> None:
    gate = PassGate()
    gate.session_cookie = "auth_tkt="
    async with talk(gate) as t:
        client, upstream = await asked(t)
        upstream.send(LOGIN)
        assert await client.get(len(LOGIN)) == LOGIN
        client.send(GET)
        await upstream.head()
        upstream.send(LOGIN.replace(b"auth_tkt", b"different"))
        assert b"different=Secret" in await client.head()


async def test_a_failing_gate_holds_the_answer_back() -> None:
    class Failing(PassGate):
        async def hold(self, *args: object) -> Answer | None:
            raise RuntimeError("no store")

    gate = Failing()
    gate.session_cookie = "auth_tkt="
    async with talk(gate) as t:
        client, upstream = await asked(t)
        upstream.send(LOGIN)
        status, fields, _ = await client.answer()
        assert status == 500
        assert "set-cookie" not in fields


async def test_stopping_lets_transfers_finish_and_closes_idle_connections() -> None:
    async with talk(limits=Limits(drain=3.0)) as t:
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
        await asyncio.wait_for(stopping, 2)


async def test_stopping_cuts_off_what_takes_too_long() -> None:
    async with talk(limits=Limits(drain=0.1)) as t:
        client, upstream = await asked(t)
        await asyncio.wait_for(t.forwarder.stop(), 2)
        assert await client.gone()
        assert await upstream.gone()
        await settle(lambda: not t.forwarder.clients)
