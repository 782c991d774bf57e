"""Requests are counted once and timed, whichever way they take; without counters nothing is."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.counters import BOUNDS, Counters
from gateway.core.errors import Slug
from gateway.core.http.facts import Facts
from gateway.proxy.client import ClientConnection
from gateway.proxy.ports import Answer, Forward, Plan
from tests.proxy.conversation import CHUNKED, GET, OK, QUICK, WAIT, Talk, post, talk
from tests.proxy.passgate import PassGate


def requests(counters: Counters) -> dict[tuple[str, ...], int]:
    return {labels: int(n) for labels, [n] in counters.taken().get("requests", {}).items()}


def timed(counters: Counters, what: str) -> int:
    [numbers] = counters.taken()[what].values()
    return int(sum(numbers[: len(BOUNDS) + 1]))


async def exchanged(t: Talk, *requests: bytes) -> None:
    client = await t.client()
    upstream = None
    for request in requests:
        client.send(request)
        fresh = upstream is None or not request.startswith(b"GET")
        upstream = await t.upstream() if fresh or upstream is None else upstream
        await upstream.head()
        upstream.send(OK)
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize(
    "asked",
    [[GET], [GET, GET, GET], [post(0)]],
    ids=["one", "again on a connection", "not repeatable"],
)
async def test_what_goes_on_is_counted_and_timed(asked: list[bytes]) -> None:
    counters = Counters()
    async with talk(counters=counters) as t:
        await exchanged(t, *asked)
    assert requests(counters) == {("(unread)", "forwarded"): len(asked)}
    assert timed(counters, "upstream") == timed(counters, "gateway") == len(asked)


@pytest.mark.parametrize("body", [b"x" * 10, b"x" * 600_000], ids=["small", "spliced"])
async def test_an_upload_is_timed_from_its_end(body: bytes) -> None:
    counters = Counters()
    async with talk(counters=counters) as t:
        client, upstream = await t.asked(post(len(body)))
        await asyncio.sleep(0.3)  # as slow as a client may be
        client.send(body)
        await upstream.get(len(body))
        upstream.send(OK)
        await client.answer()
    assert requests(counters) == {("(unread)", "forwarded"): 1}
    [[*_, seconds]] = counters.taken()["upstream"].values()
    assert seconds < WAIT
    assert timed(counters, "upstream") == 1


async def test_a_rule_is_named_and_so_is_the_slug() -> None:
    gate, counters = PassGate(), Counters()
    way = Forward(rule="downloads")

    def decide(facts: Facts) -> Plan:
        if facts.path == "/no":
            facts.notes.rule, facts.notes.slug = "closed", Slug.DENIED
            return Answer(403, (), b"")
        return way

    gate.decide = decide
    async with talk(gate, counters=counters) as t:
        client, upstream = await t.exchange(GET, OK)
        client.send(GET.replace(b" / ", b" /no "))
        assert (await client.answer())[0] == 403
        client.send(GET)
        await upstream.head()
        upstream.finish()
        again = await t.upstream()  # a GET is sent again, and is one request
        await again.head()
        again.send(OK)
        assert (await client.answer())[0] == 200
    assert requests(counters) == {("downloads", "forwarded"): 2, ("closed", "refused"): 1}
    assert counters.taken()["refusals"] == {("denied",): [1]}


async def test_what_the_upstream_does_not_answer_has_failed() -> None:
    gate, counters = PassGate(), Counters()
    gate.decide = lambda facts: Forward(rule="downloads")
    async with talk(gate, counters=counters, limits=QUICK) as t:
        client, _ = await t.asked(GET)
        assert (await client.answer())[0] == 504
    assert requests(counters) == {("downloads", "failed"): 1}
    assert counters.taken()["refusals"] == {("upstream_timeout",): [1]}


async def test_what_cannot_be_read_is_counted() -> None:
    counters = Counters()
    async with talk(counters=counters) as t:
        client = await t.client()
        client.send(b"GET / HTTP/1.1\nHost: x\n\n\r\n\r\n")
        assert (await client.answer())[0] == 400
        other = await t.client()
        other.send(CHUNKED, b"no size\r\n")
        assert (await other.answer())[0] == 400
    assert requests(counters) == {("(unread)", "refused"): 2}
    assert counters.taken()["refusals"] == {("bad_request",): [2]}


async def test_without_counters_nothing_of_it_runs() -> None:
    async with talk() as t:
        await t.exchange(GET, OK)
        [client] = t.forwarder.clients
        assert type(client) is ClientConnection
        assert not ClientConnection.instead
