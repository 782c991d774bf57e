"""What reaches the upstream of a request: conversations about heads, hygiene and refusals."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from itertools import permutations

import pytest

from gateway.proxy.limits import Limits
from gateway.proxy.ports import Answer, Forward
from tests.proxy.conversation import talk
from tests.proxy.passgate import PassGate

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /simple/ HTTP/1.1\r\nHost: index\r\n\r\n"


def fields(head: bytes) -> list[bytes]:
    """The field lines of a head, without the gate's own address field."""
    return [
        line for line in head.split(b"\r\n")[1:] if line and line != b"X-Forwarded-For: 127.0.0.1"
    ]


async def test_a_request_and_its_answer_pass() -> None:
    async with talk() as t:
        client = await t.client()
        client.send(GET)
        upstream = await t.upstream()
        assert await upstream.head() == (
            b"GET /simple/ HTTP/1.1\r\nHost: index\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
        )
        upstream.send(OK)
        assert await client.get(len(OK)) == OK


async def test_a_head_may_come_byte_by_byte() -> None:
    async with talk() as t:
        client = await t.client()
        await client.send_slowly(GET)
        upstream = await t.upstream()
        assert (await upstream.head()).startswith(b"GET /simple/ HTTP/1.1\r\nHost: index\r\n")
        await upstream.send_slowly(OK)
        assert await client.get(len(OK)) == OK


async def test_connections_are_kept_on_both_sides() -> None:
    async with talk() as t:
        client, upstream = await t.exchange(GET, OK)
        for _ in range(3):
            client.send(GET)
            await upstream.head()
            upstream.send(OK)
            assert (await client.answer())[2] == b"ok"
        assert t.untouched


DROPPED = [
    "Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
    "TE: trailers", "Trailer: X-Sum", "Proxy-Authorization: Basic eDp5",
    "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "x-forwarded-anything: 1",
    "Forwarded: for=10.0.0.1", "X-Real-IP: 10.0.0.1", "X-Original-URL: /x", "X-Rewrite-URL: /x",
    "X-Outside-URL: http://x/foo", "X-HTTP-Method-Override: DELETE", "Remote-User: root",
    "X-Remote-User: root", "X_Outside_URL: http://x/foo", "X_Devpi_Auth: cm9vdDo=",
    "_: 1", "X-OTP: 123456", "x-oUTSIDE-uRL:   ",
]  # fmt: skip
KEPT = [
    "Accept: */*", "User-Agent: pip/24 {\"cpu\":\"x86_64\"}", "Authorization: Basic cm9vdDpwdw==",
    "X-Devpi-Auth: cm9vdDpwdw==", "If-None-Match: \"a_b\"", "Range: bytes=0-1", "Empty:",
    "X-Text: \tspaced \xe9 ", "Accept-Encoding: gzip", "Cookie: auth_tkt=abc; other=1",
    "Expectation: none", "Remote: control", "Via: 1.1 other", "Upgrade-Insecure-Requests: 1",
]  # fmt: skip


@pytest.mark.parametrize("line", DROPPED, ids=str)
async def test_a_field_that_only_the_gateway_may_set_is_dropped(line: str) -> None:
    async with talk() as t:
        client = await t.client()
        client.send(b"GET / HTTP/1.1\r\nA: 1\r\n" + line.encode() + b"\r\nHost: index\r\n\r\n")
        upstream = await t.upstream()
        assert fields(await upstream.head()) == [b"A: 1", b"Host: index"]
        upstream.send(OK)
        await client.answer()


async def test_every_other_field_passes_as_it_came() -> None:
    async with talk() as t:
        client = await t.client()
        lines = ["Host: index", *KEPT]
        client.send(("GET / HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        upstream = await t.upstream()
        assert fields(await upstream.head()) == [line.encode("latin-1") for line in lines]
        upstream.send(OK)
        await client.answer()


async def test_connection_names_fields_that_go_no_further_but_never_ours() -> None:
    gate = PassGate()
    gate.own_fields = (("X-Outside-URL", "https://packages"), ("X-Foo", "ours"))
    async with talk(gate) as t:
        client = await t.client()
        client.send(
            b"GET / HTTP/1.1\r\nHost: index\r\nX-Foo: theirs\r\nx-bar: 1\r\nX-Barn: 2\r\n"
            b"Connection: close, X-Outside-URL, x-foo\r\nConnection: X-BAR\r\n\r\n"
        )
        upstream = await t.upstream()
        assert fields(await upstream.head()) == [
            b"Host: index",
            b"X-Barn: 2",
            b"X-Outside-URL: https://packages",
            b"X-Foo: ours",
        ]
        upstream.send(OK)
        _, answer, _ = await client.answer()
        assert answer["connection"] == "close"
        assert await client.gone()


@pytest.mark.parametrize("framing", ["", "Content-Length: 0\r\n", "Content-Length: 00\r\n"])
async def test_no_body_is_expected_where_there_is_none(framing: str) -> None:
    """RFC 9110 section 10.1.1; some servers wait for the body they were told to ask for."""
    async with talk() as t:
        client = await t.client()
        request = f"GET / HTTP/1.1\r\nHost: index\r\nExpect: 100-Continue\r\n{framing}\r\n"
        for _ in range(20):  # often enough to be read by a shape of its own
            client.send(request.encode())
            if not t.upstreams:
                upstream = await t.upstream()
            left = [b"Host: index"] + ([framing.strip().encode()] if framing else [])
            assert fields(await upstream.head()) == left
            upstream.send(OK)
            assert (await client.answer())[2] == b"ok"


async def test_a_body_is_expected_of_the_upstream_where_there_is_one() -> None:
    for framing in (b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"):
        async with talk() as t:
            client = await t.client()
            client.send(b"PUT / HTTP/1.1\r\nHost: index\r\nExpect: 100-continue\r\n", framing)
            client.send(b"\r\n")
            upstream = await t.upstream()
            assert b"Expect: 100-continue" in fields(await upstream.head())


@pytest.mark.parametrize(
    ("cookie", "left"),
    [
        ("ig-session=s3cret", None),
        ("a=1; ig-session=s3cret; b=2", "a=1; b=2"),
        ("__Host-ig-session=x;a=1", "a=1"),
        ("a=1;  ig-form=x ;", "a=1"),
        ("a=ig-session; Ig-x=1; big-x=1", "a=ig-session; Ig-x=1; big-x=1"),
    ],
)
async def test_cookies_of_the_gateway_stay_here(cookie: str, left: str | None) -> None:
    async with talk() as t:
        client = await t.client()
        client.send(f"GET / HTTP/1.1\r\nHost: index\r\nCookie: {cookie}\r\n\r\n".encode())
        upstream = await t.upstream()
        expected = [b"Host: index"] + ([f"Cookie: {left}".encode()] if left else [])
        assert fields(await upstream.head()) == expected
        upstream.send(OK)
        await client.answer()


async def test_a_plan_replaces_and_adds_fields() -> None:
    gate = PassGate()
    gate.decide = lambda facts: Forward(
        replace={"authorization": "Basic bmV3", "x-gone": None},
        add=(("X-Devpi-Auth", "dG9rZW4="),),
        answer_add=(("Content-Security-Policy", "sandbox"),),
    )
    async with talk(gate) as t:
        client = await t.client()
        client.send(
            b"GET / HTTP/1.1\r\nAuthorization: Basic b2xk\r\nX-Gone: 1\r\nX-Devpi-Auth: b2xk\r\n"
            b"Host: index\r\n\r\n"
        )
        upstream = await t.upstream()
        assert fields(await upstream.head()) == [
            b"Host: index",
            b"authorization: Basic bmV3",
            b"X-Devpi-Auth: dG9rZW4=",
        ]
        upstream.send(
            b"HTTP/1.1 200 OK\r\nContent-Security-Policy: none\r\nContent-Length: 0\r\n\r\n"
        )
        assert (await client.answer())[1]["content-security-policy"] == "sandbox"


async def test_a_field_that_would_split_the_head_is_never_sent() -> None:
    gate = PassGate()
    gate.decide = lambda facts: Forward(add=(("X-A", "1\r\nX-B: 2"),))
    async with talk(gate) as t:
        client = await t.client()
        client.send(GET)
        assert (await client.answer())[0] == 500
        assert t.untouched


H = b"Host: index\r\n"
REFUSED = {
    "bare line feed": b"GET / HTTP/1.1\nHost: index\n\n",
    "bare line feed in the fields": b"GET / HTTP/1.1\r\nHost: index\nA: 1\r\n\r\n",
    "line feed in a value": b"GET / HTTP/1.1\r\n" + H + b"A: 1\nB: 2\r\n\r\n",
    "line feed within a value": b"GET / HTTP/1.1\r\n" + H + b"A: 1\n2\r\n\r\n",
    "bare carriage return": b"GET / HTTP/1.1\r\n" + H + b"A: 1\r2\r\n\r\n",
    "folded line": b"GET / HTTP/1.1\r\n" + H + b"A: 1\r\n 2\r\n\r\n",
    "folded first line": b"GET / HTTP/1.1\r\n A: 1\r\n" + H + b"\r\n",
    "space before colon": b"GET / HTTP/1.1\r\n" + H + b"A : 1\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\n" + H + b"A\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\n" + H + b": 1\r\n\r\n",
    "name not a token": b"GET / HTTP/1.1\r\n" + H + b"A(b): 1\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\n" + H + b"A: 1\x002\r\n\r\n",
    "DEL in a value": b"GET / HTTP/1.1\r\n" + H + b"A: 1\x7f2\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nA: 1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + H + H + b"\r\n",
    "empty host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: index/x\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: a@index\r\n\r\n",
    "two hosts in one": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "length and coding": b"POST / HTTP/1.1\r\n" + H
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": b"POST / HTTP/1.1\r\n" + H
    + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "list of lengths": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1, 1\r\n\r\nx",
    "signed length": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: +1\r\n\r\nx",
    "length with an underscore": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1_0\r\n\r\nx",
    "length with a form feed": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: \x0c1\r\n\r\nx",
    "length with a no-break space": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\xa0\r\n\r\nx",
    "negative length": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: -1\r\n\r\nx",
    "empty length": b"POST / HTTP/1.1\r\n" + H + b"Content-Length:\r\n\r\nx",
    "hex length": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0x1\r\n\r\nx",
    "endless length": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nx",
    "two codings": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "coding twice": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n",
    "identity": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: identity\r\n\r\n",
    "odd coding": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: xchunked\r\n\r\n",
    "coding with a vertical tab": b"POST / HTTP/1.1\r\n" + H
    + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "coding with a no-break space": b"POST / HTTP/1.1\r\n" + H
    + b"Transfer-Encoding: chunked\xa0\r\n\r\n0\r\n\r\n",
    "coding with a parameter": b"POST / HTTP/1.1\r\n" + H
    + b"Transfer-Encoding: chunked;q=1\r\n\r\n",
    "coding in HTTP/1.0": b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n",
    "websocket": b"GET / HTTP/1.1\r\n" + H + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "websocket among others": b"GET / HTTP/1.1\r\n" + H
    + b"upgrade: h2c, WebSocket/13\r\n\r\n",
    "websocket in a second field": b"GET / HTTP/1.1\r\n" + H
    + b"Upgrade: h2c\r\nUPGRADE: websocket\r\n\r\n",
    "tunnel to a path": b"CONNECT / HTTP/1.1\r\n" + H + b"\r\n",
    "tunnel in small letters": b"connect / HTTP/1.1\r\n" + H + b"\r\n",
    "two authorizations": b"GET / HTTP/1.1\r\n" + H
    + b"Authorization: a\r\nauthorization: b\r\n\r\n",
    "two devpi tokens": b"GET / HTTP/1.1\r\n" + H + b"X-Devpi-Auth: a\r\nX-Devpi-Auth: a\r\n\r\n",
    "two cookies": b"GET / HTTP/1.1\r\n" + H + b"Cookie: a=1\r\nCookie: b=1\r\n\r\n",
    "two content types": b"POST / HTTP/1.1\r\n" + H + b"Content-Type: a/b\r\n" * 2 + b"\r\n",
    "connection names host": b"GET / HTTP/1.1\r\n" + H + b"Connection: host\r\n\r\n",
    "connection names the length": b"POST / HTTP/1.1\r\n" + H
    + b"Content-Length: 1\r\nConnection: content-length\r\n\r\nx",
    "connection names a credential": b"GET / HTTP/1.1\r\n" + H
    + b"Authorization: a\r\nConnection: authorization\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
    "authority": b"CONNECT index:80 HTTP/1.1\r\n" + H + b"\r\n",
    "absolute": b"GET http://index/ HTTP/1.1\r\n" + H + b"\r\n",
    "raw non-ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n",
    "dot segments": b"GET /a/../b HTTP/1.1\r\n" + H + b"\r\n",
    "doubled slash": b"GET //+login HTTP/1.1\r\n" + H + b"\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\n" + H + b"\r\n",
    "a tab": b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n",
    "space at the end": b"GET / HTTP/1.1 \r\n" + H + b"\r\n",
    "method not a token": b"G(T / HTTP/1.1\r\n" + H + b"\r\n",
    "no method": b" / HTTP/1.1\r\n" + H + b"\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n" + H + b"\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + H + b"\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\n" + H + b"\r\n",
    "lower-case version": b"GET / http/1.1\r\n" + H + b"\r\n",
    "empty line first": b"\r\nGET / HTTP/1.1\r\n" + H + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "too many fields": b"GET / HTTP/1.1\r\n" + H + b"A: 1\r\n" * 200 + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("slowly", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED.keys())
async def test_what_two_servers_could_read_differently_is_refused(
    request_: bytes, slowly: bool
) -> None:
    async with talk() as t:
        client = await t.client()
        if slowly:
            await client.send_slowly(request_)
        else:
            client.send(request_)
        status, answer, _ = await client.answer()
        assert status == 400
        if answer["x-slug"] != "ambiguous_target":  # there the framing is beyond doubt
            assert await client.gone()
        assert t.untouched


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + H + b"\r\n",
        b"GET /" + b"a" * 9000,
        b"GET / HTTP/1.1\r\n" + H + b"A: " + b"a" * 66000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + H + b"A: " + b"a" * 66000,
    ],
    ids=["line", "line without end", "head", "head without end"],
)
async def test_a_head_too_large_is_431(request_: bytes) -> None:
    async with talk() as t:
        client = await t.client()
        client.send(request_)
        assert (await client.answer())[0] == 431
        assert t.untouched


async def test_only_100_continue_may_be_expected() -> None:
    async with talk() as t:
        client = await t.client()
        client.send(b"PUT / HTTP/1.1\r\n" + H + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\n")
        assert (await client.answer())[0] == 417
        assert t.untouched


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("X-Forwarded-For: 192.0.2.7", "192.0.2.7"),
        ("X-Forwarded-For: 198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 127.0.0.9", "192.0.2.7"),
        ("X-Forwarded-For: ::ffff:192.0.2.7", "192.0.2.7"),
        ("X-Forwarded-For: 2001:db8::1", "2001:db8::1"),
        ("Accept: */*", "127.0.0.1"),
    ],
)
async def test_a_trusted_proxy_says_whose_request_it_is(sent: str, expected: str) -> None:
    async with talk(trusted=[ip_network("127.0.0.0/8")]) as t:
        client = await t.client()
        client.send(f"GET / HTTP/1.1\r\nHost: index\r\n{sent}\r\n\r\n".encode())
        upstream = await t.upstream()
        assert f"X-Forwarded-For: {expected}\r\n".encode() in await upstream.head()
        upstream.send(OK)
        await client.answer()


async def test_each_request_through_a_trusted_proxy_has_its_own_client() -> None:
    async with talk(trusted=[ip_network("127.0.0.0/8")]) as t:
        client = await t.client()
        seen = []
        upstream = None
        for address in (b"192.0.2.1", b"192.0.2.2", None, b"192.0.2.1"):
            named = b"X-Forwarded-For: " + address + b"\r\n" if address else b""
            client.send(b"GET / HTTP/1.1\r\n" + H + named + b"\r\n")
            upstream = upstream or await t.upstream()
            seen.append(fields(await upstream.head() + b"\r\n")[-1])
            upstream.send(OK)
            await client.answer()
        assert seen[0] == b"X-Forwarded-For: 192.0.2.1"
        assert seen[1] == b"X-Forwarded-For: 192.0.2.2"
        assert seen[2] == b"Host: index"  # the peer itself
        assert seen[3] == b"X-Forwarded-For: 192.0.2.1"


@pytest.mark.parametrize("value", ["a", "[2001:db8::1", "192.0.2.7, unknown", "fe80::1%eth0"])
async def test_an_unreadable_client_is_unknown_and_gets_its_download(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate = PassGate()
    async with talk(gate, trusted=[ip_network("127.0.0.0/8")]) as t:
        client = await t.client()
        upstream = None
        for turn in range(3):
            if turn == 2:
                t.forwarder.shared.requests.known.clear()
                gate.decide = lambda facts: Forward()
            named = b"X-Forwarded-For: " + value.encode() + b"\r\n"
            client.send(b"GET / HTTP/1.1\r\n" + H + named + b"\r\n")
            upstream = upstream or await t.upstream()
            assert b"forwarded" not in (await upstream.head()).lower()
            upstream.send(OK)
            assert (await client.answer())[0] == 200
        assert gate.asked[-1].client is None
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "X-Forwarded-For" in said[0]
    assert value == "a" or value not in said[0]


SPELLINGS = [b"X-Forwarded-For", b"x-forwarded-for", b"X-FORWARDED-FOR", b"X-Forwarded-for"]


@pytest.mark.parametrize("seen_often", [False, True], ids=["first", "often"])
@pytest.mark.parametrize("order", list(permutations(range(4), 3)), ids=str)
async def test_the_fields_of_a_list_are_read_in_their_order(
    order: tuple[int, ...], seen_often: bool
) -> None:
    """However each of them spells its name: the last one is the trusted proxy's own."""
    async with talk(trusted=[ip_network("127.0.0.0/8")]) as t:
        client = await t.client()
        upstream = None
        names = [SPELLINGS[place] for place in order]
        names += names[:1] if order[0] % 2 else []  # one spelling twice, around the others
        lines = b"".join(
            b"%s: 192.0.2.%d\r\nA%d: 1\r\n" % (name, at, at) for at, name in enumerate(names)
        )
        for _ in range(20 if seen_often else 1):
            client.send(b"GET / HTTP/1.1\r\n" + H + lines + b"\r\n")
            upstream = upstream or await t.upstream()
            expected = b"X-Forwarded-For: 192.0.2.%d\r\n" % (len(names) - 1)
            assert expected in await upstream.head()
            upstream.send(OK)
            await client.answer()


UPGRADES = {
    "curl --http2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "Java": b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    b"Upgrade: h2c\r\n",
    "only settings": b"HTTP2-Settings: AAA\r\n",
    "without Connection": b"upgrade: h2c\r\n",
    "TLS": b"Connection: upgrade\r\nUpgrade: TLS/1.2, IRC/6.9\r\n",
    "two fields": b"Upgrade: h2c\r\nUPGRADE: TLS/1.0\r\nConnection: Upgrade\r\n",
}


@pytest.mark.parametrize("offer", UPGRADES.values(), ids=UPGRADES.keys())
@pytest.mark.parametrize("planned", [False, True], ids=["quick", "planned"])
async def test_an_offer_to_upgrade_is_passed_over(offer: bytes, planned: bool) -> None:
    gate = PassGate()
    if planned:
        gate.decide = lambda facts: Forward()
    async with talk(gate) as t:
        client = await t.client()
        client.send(b"POST / HTTP/1.1\r\n" + H + offer + b"Content-Length: 4\r\n\r\nbody", GET)
        upstream = await t.upstream()
        assert fields(await upstream.head()) == [b"Host: index", b"Content-Length: 4"]
        assert await upstream.get(4) == b"body"
        upstream.send(OK)
        assert (await client.answer())[0] == 200
        assert (await upstream.head()).startswith(b"GET /simple/ HTTP/1.1\r\n")
        upstream.send(OK)
        assert (await client.answer())[0] == 200


REASONS = {
    b"Cookie: a=1\r\nCookie: b=2\r\n": "more than one Cookie field",
    b"cookie: a=1\r\nCOOKIE: b=2\r\n": "join several with '; '",
    b"Authorization: a\r\nauthorization: b\r\n": "more than one Authorization field",
    b"Upgrade: websocket\r\n": "WebSocket",
    b"A: 1\nB: 2\r\n": "field 2 ends in a bare line feed",
    b"A: 1\r\n 2\r\n": "field 3 is folded",
    b"A : 1\r\n": "blank before its colon",
    b"A\r\n": "no colon",
    b"A: \x01\r\n": "field 2 (A) has a control character",
    b"A: 1\r2\r\n": "bare carriage return",
    b"Host: b\r\n": "more than one Host field",
    b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n": "both Content-Length",
}


@pytest.mark.parametrize(("lines", "words"), REASONS.items(), ids=REASONS.values())
async def test_a_refusal_names_what_was_wrong(lines: bytes, words: str) -> None:
    async with talk() as t:
        client = await t.client()
        client.send(b"GET / HTTP/1.1\r\n" + H + lines + b"\r\n")
        assert words in (await client.answer())[2].decode()


FIRST_LINES = {
    b"CONNECT index:80 HTTP/1.1": "tunnel",
    b"GET /": "no version",
    b"GET  / HTTP/1.1": "blanks",
    b"GET / HTTP/2.0": "version of HTTP",
    b"PRI * HTTP/2.0": "HTTP/2",
    b"G(T / HTTP/1.1": "method",
    b"GET / HTTP/1.1\nA: 1": "bare line feed",
    b"\x16\x03\x01\x02": "TLS",
}


@pytest.mark.parametrize(("line", "words"), FIRST_LINES.items(), ids=FIRST_LINES.values())
async def test_a_refusal_names_what_was_wrong_with_the_first_line(line: bytes, words: str) -> None:
    async with talk() as t:
        client = await t.client()
        client.send(line + b"\r\n" + H + b"\r\n")
        assert words in (await client.answer())[2].decode()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with talk() as t:
        client = await t.client()
        client.send(*(b"GET /%d HTTP/1.1\r\n%s\r\n" % (n, H) for n in range(4)))
        upstream = await t.upstream()
        for number in range(4):
            assert (await upstream.head()).startswith(b"GET /%d " % number)
            await asyncio.sleep(0.01)
            assert upstream.quiet()  # one at a time
            upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
            assert (await client.answer())[2] == b"%d" % number


async def test_bytes_between_two_requests_sent_ahead_are_no_head() -> None:
    async with talk() as t:
        client = await t.client()
        body = b"\n\r\x00" * 4000
        ahead = b"POST /a HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(body)
        client.send(GET)
        upstream = await t.upstream()
        for _ in range(20):
            await upstream.head()
            client.send(ahead + body[:5])
            await asyncio.sleep(0.002)
            upstream.send(OK)
            client.send(body[5:], GET)  # arrives just as the first answer ends
            assert (await client.answer())[0] == 200
            other = await t.upstream()
            assert (await other.head()).startswith(b"POST /a ")
            assert await other.get(len(body)) == body
            other.send(OK)
            assert (await client.answer())[0] == 200
        await upstream.head()
        upstream.send(OK)
        await client.answer()


async def test_a_client_that_sends_far_ahead_is_not_read() -> None:
    async with talk(limits=Limits(pipelined=1000)) as t:
        client = await t.client()
        client.send(GET)
        upstream = await t.upstream()
        await upstream.head()
        blob = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 20000000\r\n\r\n" + bytes(20_000_000)
        client.send(blob)
        await asyncio.sleep(0.2)
        assert client.writer.transport.get_write_buffer_size() > 5_000_000
        upstream.send(OK)
        await client.answer()
        upstream = await t.upstream()
        await upstream.head()
        assert len(await upstream.get(20_000_000)) == 20_000_000
        upstream.send(OK)
        await client.answer()


async def test_an_answer_of_the_gate_leaves_the_connection_usable() -> None:
    gate = PassGate()
    gate.decide = lambda facts: Answer(403, (("X-Slug", "denied"),), b"no")
    async with talk(gate) as t:
        client = await t.client()
        client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 4\r\n\r\nbody" + GET)
        assert [await client.answer() for _ in range(2)][1][0] == 403
        client.send(b"HEAD / HTTP/1.1\r\n" + H + b"\r\n")
        head = await client.head()
        assert b"Content-Length: 2\r\n" in head
        client.send(GET)
        assert (await client.answer())[0] == 403
        assert t.untouched


async def test_an_error_in_the_gate_is_500_and_nothing_passes() -> None:
    gate = PassGate()

    def broken(facts: object) -> Forward:
        raise RuntimeError("broken")

    gate.decide = broken
    async with talk(gate) as t:
        client = await t.client()
        client.send(GET)
        status, answer, _ = await client.answer()
        assert (status, answer["x-slug"]) == (500, "internal")
        assert t.untouched


async def test_a_decision_may_take_its_time() -> None:
    gate = PassGate()

    async def slowly() -> Forward:
        await asyncio.sleep(0.05)
        return Forward(add=(("X-Decided", "yes"),))

    gate.decide = lambda facts: slowly()
    async with talk(gate) as t:
        client = await t.client()
        client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 4\r\n\r\nbo")
        client.send(b"dy" + GET)
        upstream = await t.upstream()
        assert b"X-Decided: yes" in await upstream.head()
        assert await upstream.get(4) == b"body"
        upstream.send(OK)
        await client.answer()
        assert b"X-Decided: yes" in await upstream.head()
        upstream.send(OK)
        await client.answer()


async def test_a_client_that_leaves_cancels_the_decision() -> None:
    gate = PassGate()
    cancelled = asyncio.Event()

    async def forever() -> Forward:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Forward()

    gate.decide = lambda facts: forever()
    async with talk(gate) as t:
        client = await t.client()
        client.send(GET)
        await asyncio.sleep(0.05)
        client.reset()
        await asyncio.wait_for(cancelled.wait(), 5)
