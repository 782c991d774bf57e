"""What a request is called: made here or taken from a trusted proxy, the same on every way."""

from __future__ import annotations

import re
import secrets
from ipaddress import ip_network

import pytest

from gateway.core.http.facts import Facts, Networks
from gateway.core.http.request_id import RequestIds
from gateway.proxy.ports import Answer, Forward, Plan
from tests.proxy.conversation import OK, Talk, post, talk
from tests.proxy.passgate import PassGate

MADE = re.compile(rb"[0-9a-f]{32}")
IDS = RequestIds(secrets.token_bytes)
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))
LINE = re.compile(rb"\r\n(?i:x[-_]request[-_]id): *([^\r]*)")


def get(*ids: bytes, version: bytes = b"1.1", name: bytes = b"X-Request-ID") -> bytes:
    lines = b"".join(b"%s: %s\r\n" % (name, one) for one in ids)
    return b"GET / HTTP/%s\r\nHost: index\r\n%s\r\n" % (version, lines)


async def sent(t: Talk, request: bytes) -> list[bytes]:
    """The ids that reach the upstream; nothing of them reaches the client."""
    client = await t.client()
    client.send(request)
    upstream = await t.upstream()
    head = await upstream.head()
    upstream.send(OK)
    assert not LINE.findall(await client.head())
    assert await client.get(2) == b"ok"
    return LINE.findall(head)


@pytest.mark.parametrize(
    "request_",
    [
        get(),
        get(b"mine"),
        get(b"a", b"b"),
        get(b"x" * 10_000),
        get(b"mine", version=b"1.0"),
        get(b"mine", name=b"X_Request_ID"),
        get(b"mine", name=b"x-request-id"),
        get().replace(b"\r\n\r\n", b"\r\nConnection: X-Request-ID\r\n\r\n"),
        post(0).replace(b"\r\n\r\n", b"\r\nX-Request-ID: mine\r\n\r\n"),
    ],
    ids=["none", "one", "two", "long", "old", "underscores", "small", "named hop by hop", "post"],
)
async def test_nobody_but_a_trusted_proxy_names_a_request(request_: bytes) -> None:
    async with talk(ids=IDS) as t:
        [id] = await sent(t, request_)
    assert MADE.fullmatch(id)


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        ([b"0f8fad5b-d9cb-469f-a165-70867728950e"], True),
        ([b"A.b_c-9"], True),
        ([b"x" * 128], True),
        ([b"x" * 129], False),
        ([b"x" * 10_000], False),
        ([b""], False),
        ([b"a b"], False),
        ([b'a"b'], False),
        ([b"a\tb"], False),
        ([b"\xe4"], False),
        ([b"same", b"same"], False),
        ([b"", b"one"], False),
    ],
    ids=lambda value: b",".join(value)[:12].decode("latin-1") if isinstance(value, list) else "",
)
async def test_a_trusted_proxy_names_a_request(ids: list[bytes], kept: bool) -> None:
    async with talk(ids=IDS, trusted=LOOPBACK) as t:
        [id] = await sent(t, get(*ids))
    assert (id == ids[0]) is kept
    assert kept or MADE.fullmatch(id)


async def test_each_request_has_its_own_whatever_comes_before_on_its_connection() -> None:
    async with talk(ids=IDS, trusted=LOOPBACK) as t:
        client = await t.client()
        client.send(get(b"one"), get(), get(), get(b"two"))
        upstream = await t.upstream()
        found = []
        for _ in range(4):
            found += LINE.findall(await upstream.head())
            upstream.send(OK)
            await client.get(len(OK))
    assert found[0] == b"one" and found[3] == b"two"
    assert len(set(found)) == 4 and all(map(MADE.fullmatch, found[1:3]))


@pytest.mark.parametrize("trusted", [(), LOOPBACK], ids=["anybody's", "a proxy's"])
async def test_a_trace_passes_as_it_came(trusted: Networks) -> None:
    fields = b"traceparent: 00-x\r\nTraceState: a=b\r\n"
    async with talk(ids=IDS, trusted=trusted) as t:
        client = await t.client()
        client.send(get().replace(b"Host: index\r\n", b"Host: index\r\n" + fields))
        upstream = await t.upstream()
        assert fields in await upstream.head()
        upstream.send(OK)
        assert await client.get(len(OK)) == OK


async def test_a_large_upload_that_is_spliced_has_one() -> None:
    body = b"x" * 600_000
    async with talk(ids=IDS) as t:
        client = await t.client()
        client.send(post(len(body)), body)
        upstream = await t.upstream()
        [id] = LINE.findall(await upstream.head())
        assert await upstream.get(len(body)) == body
        upstream.send(OK)
        assert await client.get(len(OK)) == OK
    assert MADE.fullmatch(id)


async def test_the_gate_knows_it_and_our_own_answers_say_it() -> None:
    gate = PassGate()
    told = []

    def decide(facts: Facts) -> Plan:
        told.append(facts.notes.id)
        return Forward() if facts.path == "/up" else Answer(403, (), b"no")

    gate.decide = decide
    async with talk(gate, ids=IDS) as t:
        client = await t.client()
        client.send(get())
        said = LINE.findall(await client.head())
        await client.get(2)
        client.send(get().replace(b" / ", b" /up "))
        upstream = await t.upstream()
        sent_up = LINE.findall(await upstream.head())
        upstream.send(OK)
        assert await client.get(len(OK)) == OK
    assert [*said, *sent_up] == [one.encode() for one in told]


@pytest.mark.parametrize(
    "request_",
    [b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"GET //x HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["unreadable", "ambiguous"],
)
async def test_what_is_not_understood_has_a_name_in_its_refusal(request_: bytes) -> None:
    async with talk(ids=IDS) as t:
        client = await t.client()
        client.send(request_)
        [id] = LINE.findall(await client.head())
    assert MADE.fullmatch(id)


async def test_a_refusal_in_place_of_the_upstreams_answer_has_what_went_up() -> None:
    async with talk(ids=IDS) as t:
        client = await t.client()
        client.send(post(0))
        upstream = await t.upstream()
        up = LINE.findall(await upstream.head())
        upstream.writer.close()
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 502")
        assert LINE.findall(head) == up


def test_ids_are_as_random_as_their_source() -> None:
    ids = {IDS.line() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(rb"\nX-Request-ID: [0-9a-f]{32}\r", one) for one in ids)
