"""What the client gets of an upstream's answer: conversations about framing, endings, failures."""

from __future__ import annotations

import asyncio
import gzip
from itertools import permutations

import pytest

from gateway.proxy.http1.response import AnswerReader
from gateway.proxy.limits import Limits
from gateway.proxy.ports import Answer, Forward
from gateway.proxy.rewrite import own_answer
from gateway.proxy.upstream_pool import UpstreamAddress
from tests.proxy.conversation import QUICK, talk
from tests.proxy.passgate import PassGate

H = b"Host: index\r\n"
GET = b"GET /simple/ HTTP/1.1\r\n" + H + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


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
            if upstream is None or method == "DELETE":  # which is given no idle one
                upstream = await t.upstream()
            await upstream.head()
            if slowly:
                await upstream.send_slowly(answer)
            else:
                upstream.send(answer)
            assert await client.get(len(answer)) == answer
        assert t.untouched


async def test_hop_by_hop_fields_of_an_answer_end_here() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(
            b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
            b"X_Kept: 1\r\nTrailer: X-Sum\r\nContent-Length: 0\r\nProxy-Authenticate: x\r\n\r\n"
        )
        assert await client.head() == b"HTTP/1.1 200 OK\r\nX_Kept: 1\r\nContent-Length: 0\r\n\r\n"


OF_THE_CONNECTION = {
    "usual": (b"Connection: keep-alive", b"Connection: keep-alive\r\n"),
    "capitals": (b"connection: Keep-Alive", b"connection: Keep-Alive\r\n"),
    "names a field": (b"Connection: keep-alive, X-Hop\r\nX-Hop: 1", b""),
    "in another field": (b"TE: keep-alive\r\nUpgrade: keep-alive\r\nTrailer: keep-alive", b""),
    "with a limit": (
        b"Connection: keep-alive\r\nKeep-Alive: timeout=5",
        b"Connection: keep-alive\r\n",
    ),
}


@pytest.mark.parametrize(("came", "goes"), OF_THE_CONNECTION.values(), ids=OF_THE_CONNECTION.keys())
async def test_only_a_mere_keep_alive_passes(came: bytes, goes: bytes) -> None:
    """The first time as after many, when the fields have become an expression of their own;
    and never to a client whose connection ends."""
    async with talk() as t:
        client, upstream = await t.asked(GET)
        for ask in [GET] * 40 + [GET[:-2] + b"Connection: close\r\n\r\n"]:
            upstream.send(
                b"HTTP/1.1 200 OK\r\nA: b\r\n" + came + b"\r\nContent-Length: 2\r\n\r\nok"
            )
            got = await client.head() + await client.get(2)
            assert got == b"HTTP/1.1 200 OK\r\nA: b\r\n" + goes + b"Content-Length: 2\r\n\r\nok"
            client.send(ask)
            await upstream.head()
        upstream.send(b"HTTP/1.1 200 OK\r\nA: b\r\n" + came + b"\r\nContent-Length: 2\r\n\r\nok")
        closing = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        assert await client.rest() == closing


async def test_what_is_added_to_an_answer_is_added_to_a_usual_one() -> None:
    """Also where requests with this line went another way before, and theirs passed as it came."""
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(OK)
        assert await client.get(len(OK)) == OK
        t.gate.decide = lambda facts: Forward(answer_add=(("X-Ours", "1"),))
        for _ in range(2):
            client.send(GET[:-2] + b"Cookie: ig-session=x\r\n\r\n")
            await upstream.head()
            upstream.send(OK)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Ours: 1\r\n\r\n"
            assert await client.get(len(head) + 2) == head + b"ok"


async def test_what_is_added_takes_the_place_of_the_upstreams_own_whatever_came_before() -> None:
    """Whether it has to is worked out once for each list of names."""
    own = OK.replace(b"\r\n\r\n", b"\r\nx-OURS: weaker\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Ours: 1\r\n\r\n"
    async with talk() as t:
        t.gate.decide = lambda facts: Forward(answer_add=(("X-Ours", "1"),))
        client, upstream = await t.asked(GET)
        for answer in [OK, own] * 20 + [OK] * 20 + [own] * 20:
            upstream.send(answer)
            assert await client.get(len(head) + 2) == head + b"ok"
            client.send(GET)
            await upstream.head()


@pytest.mark.parametrize("cut", [1, 20, len(OK) - 3, len(OK) - 1])
async def test_a_usual_answer_may_come_in_pieces(cut: int) -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        for _ in range(3):
            upstream.send(OK[:cut])
            await asyncio.sleep(0.02)
            upstream.send(OK[cut:])
            assert await client.get(len(OK)) == OK
            client.send(GET)
            await upstream.head()
        assert t.untouched


async def test_a_usual_answer_with_too_large_a_head_is_refused() -> None:
    async with talk(limits=Limits(head=len(OK) + 20, drain=0.5)) as t:
        client, upstream = await t.asked(GET)
        upstream.send(OK.replace(b"OK", b"O" * 40))
        assert (await client.answer())[0] == 502


async def test_what_comes_behind_an_answer_does_not_pass() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    async with talk() as t:
        client, upstream = await t.asked(GET)
        for _ in range(40):
            upstream.send(answer)
            assert await client.get(len(answer)) == answer
            client.send(GET)
            await upstream.head()
        upstream.send(answer + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert await client.get(len(answer)) == answer
        await t.anew(client, GET, OK)
        assert await upstream.gone()


async def test_chunks_pass_without_extensions_and_trailers() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(
            CHUNKED, b"5;a=b\r\nhello\r\n6 \r\n"[:14], b"1\r\nx\r\n", b"0\r\nX-Sum: 1\r\n\r\n"
        )
        assert await client.head() == CHUNKED
        assert await client.get(21) == b"5\r\nhello\r\n1\r\nx\r\n0\r\n\r\n"


async def test_an_http_10_upstream_is_understood() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert await client.head() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        assert await client.get(2) == b"ok"
        assert await upstream.gone()  # and not asked again


async def test_connection_close_of_the_upstream_stays_between_us_and_it() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
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
        client, upstream = await t.asked(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
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


# -- interim answers --------------------------------------------------------------------------


async def test_interim_answers_pass() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        assert await client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        upstream.send(b"HTTP/1.1 102 Processing\r\n\r\n" + OK)
        assert await client.head() == b"HTTP/1.1 102 Processing\r\n\r\n"
        assert (await client.answer())[2] == b"ok"


async def test_switching_protocols_does_not_pass() -> None:
    async with talk() as t:
        client, upstream = await t.asked(GET)
        upstream.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw")
        assert (await client.answer())[0] == 502
        assert await upstream.gone()


async def test_100_continue_is_asked_of_the_upstream() -> None:
    async with talk() as t:
        client, upstream = await t.asked(
            b"PUT / HTTP/1.1\r\n" + H + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert await upstream.get(4) == b"body"
        upstream.send(OK)
        assert (await client.answer())[1] == {"content-length": "2"}


async def test_an_upstream_may_refuse_instead_of_continuing() -> None:
    async with talk(limits=QUICK) as t:
        client, upstream = await t.asked(
            b"PUT / HTTP/1.1\r\n" + H + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
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
        client, upstream = await t.asked(GET)
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


async def test_an_upstream_that_is_not_there_is_502() -> None:
    async with talk(endpoint=UpstreamAddress("127.0.0.1", 1)) as t:
        client = await t.client()
        for _ in range(2):
            client.send(GET)
            status, fields, _ = await client.answer()
            assert (status, fields["x-slug"]) == (502, "upstream_unreachable")


async def test_an_interim_answer_sets_no_cookie() -> None:
    gate = PassGate()
    gate.session_cookie = "auth_tkt="
    gate.held = Answer(303, (), b"")
    async with talk(gate) as t:
        client, upstream = await t.asked(GET)
        upstream.send(b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: auth_tkt=Secret\r\n\r\n" + OK)
        assert (await client.answer())[0] == 502


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
        client, upstream = await t.asked(GET)
        upstream.send(LOGIN)
        status, fields, _ = await client.answer()
        assert (status, fields["location"]) == (303, "/+auth/verify")
        assert "set-cookie" not in fields
        assert await upstream.gone()  # its body is not wanted
        assert ("set-cookie", "auth_tkt=Secret; Path=/") not in gate.asked[-1].fields


async def test_an_answer_the_gate_lets_through_is_changed_in_its_cookies_only() -> None:
    """Each gets a SameSite, or a foreign page could send it with a form of its own."""
    gate = PassGate()
    gate.session_cookie = "auth_tkt="
    async with talk(gate) as t:
        client, upstream = await t.asked(GET)
        upstream.send(LOGIN)
        kept = LOGIN.replace(b"other=1", b"other=1; SameSite=Lax")
        kept = kept.replace(b"Path=/", b"Path=/; SameSite=Lax")
        assert await client.get(len(kept)) == kept
        client.send(GET)
        await upstream.head()
        upstream.send(LOGIN.replace(b"auth_tkt", b"different"))
        assert b"different=Secret; Path=/; SameSite=Lax\r\n" in await client.head()


async def test_a_failing_gate_holds_the_answer_back() -> None:
    class Failing(PassGate):
        async def hold(self, *args: object) -> Answer | None:
            raise RuntimeError("no store")

    gate = Failing()
    gate.session_cookie = "auth_tkt="
    async with talk(gate) as t:
        client, upstream = await t.asked(GET)
        upstream.send(LOGIN)
        status, fields, _ = await client.answer()
        assert status == 500
        assert "set-cookie" not in fields


@pytest.mark.parametrize(
    "spellings", list(permutations([b"Set-Cookie", b"set-cookie", b"SET-COOKIE"]))
)
def test_cookies_of_an_answer_are_read_in_their_order(spellings: tuple[bytes, ...]) -> None:
    lines = [
        b"%s: c=%d\r\n" % line for line in zip([*spellings, spellings[0]], range(4), strict=True)
    ]
    answers = AnswerReader(4096)
    for _ in range(20):
        head = answers.read(b"HTTP/1.1 200 OK\r\n" + b"".join(lines) + b"\r\n")
        assert head is not None and head.cookies == [b"c=%d" % at for at in range(4)]


def test_a_reason_is_one_line_of_ascii_whoever_wrote_it() -> None:
    answer = Answer(400, (), b"no", reason="no 'é\r\nX-Evil: 1' here")
    assert own_answer(answer, close=False, bodiless=False).startswith(
        b"HTTP/1.1 400 no '???X-Evil: 1' here\r\n"
    )
    usual = own_answer(Answer(400, (), b"no"), close=False, bodiless=False)
    assert usual.startswith(b"HTTP/1.1 400 Bad Request\r\n")
