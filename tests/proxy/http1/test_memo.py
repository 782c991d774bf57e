"""What is remembered of requests: never a credential, whoever sends or adds it.

But for one connection, where those that its last request showed may go on unseen (`Gate.alike`).
"""

from __future__ import annotations

import pytest

from gateway.core.http.cookies import OWN_NAMES
from gateway.proxy.http1.request import RequestHead, RequestReader
from gateway.proxy.http1.request_fields import FieldReader
from gateway.proxy.http1.route import Rendered, RequestKind, Route
from gateway.proxy.limits import Limits
from gateway.proxy.ports import Forward
from gateway.proxy.rewrite import request_head
from tests.proxy.conversation import Peer, Talk, talk
from tests.proxy.passgate import PassGate

PLAIN = b"GET /root/pypi/ HTTP/1.1\r\nHost: packages.example.org\r\nAccept: */*\r\n\r\n"
CLIENT = Rendered((("X-Forwarded-For", "192.0.2.7"),)).beyond_hygiene()
INJECTED = Route(Forward(add=(("X-Devpi-Auth", "c2VjcmV0"),)))
RULE = Route(Forward(), lasting=True)


def sent(fields: FieldReader, route: Route) -> bytes:
    line, _, rest = PLAIN.partition(b"\r")
    said = fields.plain.get(rest) or fields.read(rest[: -len(b"\n\r\n")])
    head = RequestHead.of(line, RequestKind(b"GET", b"1"), said, len(PLAIN))
    return request_head(head, route, CLIENT, b"localhost")


@pytest.mark.parametrize("field", [b"Authorization: Basic c2VjcmV0", b"Cookie: auth_tkt=c2VjcmV0"])
def test_blocks_with_credentials_are_not_remembered(field: bytes) -> None:
    fields = FieldReader(128)
    for _ in range(40):
        fields.read(b"\nHost: packages.example.org\r\n%s\r" % field)
    assert not fields.plain
    assert fields.shapes.recent
    assert b"c2VjcmV0" not in b"".join(shape.pattern.pattern for shape in fields.shapes.recent)


def test_a_credential_that_is_added_is_not_remembered() -> None:
    fields = FieldReader(128)
    for route in (INJECTED, RULE, INJECTED):
        added = b"X-Devpi-Auth: c2VjcmV0\r\n" in sent(fields, route)
        assert added is (route is INJECTED)
        assert b"c2VjcmV0" not in b"".join(known.tail for known in fields.plain.values())
    assert [known.route for known in fields.plain.values()] == [RULE]


def test_what_is_remembered_is_sent_like_what_is_new() -> None:
    fields = FieldReader(128)
    assert sent(fields, RULE) == sent(fields, RULE) == sent(fields, RULE)


def test_a_remembered_line_does_not_excuse_its_fields() -> None:
    reader = RequestReader(Limits())
    head = reader.read(PLAIN)
    assert head is not None
    reader.known[head.line] = head.kind
    again = reader.read(PLAIN + b"GET /next")
    assert again is not None and (again.line, again.kind, again.size) == (
        head.line,
        head.kind,
        len(PLAIN),
    )
    with pytest.raises(Exception, match="bad_request"):
        reader.read(head.line + b"\r\nHost: x\r\nHost: y\r\n\r\n")
    small = RequestReader(Limits(head=40))
    small.known[head.line] = head.kind
    with pytest.raises(Exception, match="head_too_large"):
        small.read(PLAIN)


def test_every_own_cookie_has_the_mark_that_is_looked_for() -> None:
    reader = RequestReader(Limits())
    for name in OWN_NAMES:
        block = b"GET / HTTP/1.1\r\nHost: x\r\nCookie: a=b; " + name.encode() + b"=c\r\n\r\n"
        head = reader.read(block)
        assert head is not None and head.said.own_cookie, name


# -- a credential that comes again on its connection ---------------------------------------------

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SECRET = b"Host: index\r\nAuthorization: Basic c2VjcmV0"


def request(
    fields: bytes = SECRET, *, target: bytes = b"/a/b/", method: bytes = b"GET", body: bytes = b""
) -> bytes:
    framed = b"\r\nContent-Length: %d" % len(body) if body else b""
    return b"%s %s HTTP/1.1\r\n%s%s\r\n\r\n%s" % (method, target, fields, framed, body)


async def seen(talking: Talk, client: Peer, upstream: Peer, sent: bytes) -> bool:
    """Whether the gate has seen a request that went on."""
    before = len(talking.gate.asked)
    client.send(sent)
    assert (await upstream.head()).startswith(sent.split(b"\r\n")[0])
    upstream.send(ANSWER)
    await client.answer()
    return len(talking.gate.asked) > before


async def test_a_credential_goes_on_unseen_where_the_gate_says_so() -> None:
    gate = PassGate()
    asked = []

    def holds() -> bool:
        asked.append(True)
        return len(asked) != 3

    gate.same = holds
    async with talk(gate) as talking:
        client, upstream = await talking.exchange(request(), ANSWER)
        assert await seen(talking, client, upstream, request(target=b"/second/"))
        assert not asked
        assert not await seen(talking, client, upstream, request(target=b"/third/"))
        assert not await seen(talking, client, upstream, request(method=b"HEAD"))
        assert await seen(talking, client, upstream, request(target=b"/does/not/hold/"))
        assert not await seen(talking, client, upstream, request(target=b"/holds/"))
        assert len(asked) == 4


@pytest.mark.parametrize(
    "other",
    [
        request(SECRET + b"X"),
        request(SECRET + b"\r\nAccept: */*"),
        request(b"Host: other\r\nAuthorization: Basic c2VjcmV0"),
        request(SECRET + b"\r\nCookie: ig-session=x"),
        request(SECRET + b"\r\nSec-Fetch-Dest: script"),
        request(SECRET + b"\r\nX-Forwarded-For: 192.0.2.1"),
    ],
)
async def test_with_other_fields_the_gate_sees_it(other: bytes) -> None:
    gate = PassGate()
    gate.same = lambda: True
    async with talk(gate) as talking:
        client, upstream = await talking.exchange(request(), ANSWER)
        await seen(talking, client, upstream, request())
        assert not await seen(talking, client, upstream, request())
        assert await seen(talking, client, upstream, other)


@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"get"])
async def test_only_what_reads_goes_on_unseen(method: bytes) -> None:
    gate = PassGate()
    gate.same = lambda: True
    async with talk(gate) as talking:
        client, upstream = await talking.exchange(request(), ANSWER)
        await seen(talking, client, upstream, request())
        before = len(gate.asked)
        client.send(request(method=method))
        other = await talking.upstream()  # what may not be sent twice
        await other.head()
        other.send(ANSWER)
        await client.answer()
        assert len(gate.asked) == before + 1


async def test_a_body_is_always_seen() -> None:
    gate = PassGate()
    gate.same = lambda: True
    framed = SECRET + b"\r\nContent-Length: 1"
    async with talk(gate) as talking:
        client, upstream = await talking.asked(request(framed), b"x")
        await upstream.get(1)
        upstream.send(ANSWER)
        await client.answer()
        for number in range(2, 5):
            client.send(request(framed), b"x")
            other = await talking.upstream()
            await other.head()
            await other.get(1)
            other.send(ANSWER)
            await client.answer()
            assert len(gate.asked) == number


async def test_no_other_connection_has_it() -> None:
    gate = PassGate()
    gate.same = lambda: True
    async with talk(gate) as talking:
        client, upstream = await talking.exchange(request(), ANSWER)
        await seen(talking, client, upstream, request())
        assert not await seen(talking, client, upstream, request())
        assert await seen(talking, await talking.client(), upstream, request())


async def test_a_plan_of_its_own_is_made_each_time() -> None:
    """One that says more than `quick`: an injected field, say."""
    gate = PassGate()
    gate.same = lambda: True
    gate.plan = lambda facts: (gate.asked.append(facts), Forward(add=(("X-A", "b"),)))[1]  # type: ignore[method-assign,func-returns-value]
    async with talk(gate) as talking:
        client, upstream = await talking.exchange(request(), ANSWER)
        for _ in range(3):
            assert await seen(talking, client, upstream, request())
