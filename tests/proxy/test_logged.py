"""Each request is told to the access log once, with what came of it, whichever way it took."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gateway.core.counters import Counters
from gateway.core.http.facts import Facts
from gateway.core.http.request_id import RequestIds
from gateway.proxy.client import ClientConnection
from gateway.proxy.ports import Access, Answer, Forward, Plan
from tests.proxy.conversation import CHUNKED, GET, OK, QUICK, Talk, post, talk
from tests.proxy.passgate import PassGate

UNREADABLE = b"GET /secret HTTP/1.1\nHost: x\n\n\r\n\r\n"
IDS = RequestIds(secrets.token_bytes)


@dataclass
class Log:
    told: list[Access] = field(default_factory=list)

    def __call__(self, one: Access) -> None:
        self.told.append(one)

    async def lines(self, count: int = 1) -> list[Access]:
        """What was told, once there is so much: the end of an answer is seen by the client before
        by us."""
        async with asyncio.timeout(30):
            while len(self.told) < count:
                await asyncio.sleep(0.01)
        assert len(self.told) == count, self.told
        return self.told


def short(one: Access) -> tuple[bytes, int, int, int, str, str]:
    return one.line, one.status, one.came, one.gone, one.slug, one.ended


@pytest.fixture(params=[False, True], ids=["", "counted"])
def counters(request: pytest.FixtureRequest) -> Counters | None:
    return Counters() if request.param else None


async def test_requests_on_a_connection_and_ahead_of_each_other(counters: Counters | None) -> None:
    log = Log()
    other = GET.replace(b" / ", b" /other ")
    async with talk(access=log, ids=IDS, counters=counters) as t:
        client = await t.client()
        client.send(GET, other, GET)
        upstream = await t.upstream()
        for _ in range(3):
            await upstream.head()
            upstream.send(OK)
            assert await client.get(len(OK)) == OK
        told = await log.lines(3)
    first = GET.split(b"\r\n")[0]
    assert [one.line for one in told] == [first, other.split(b"\r\n")[0], first]
    assert [(one.status, one.gone, one.ended) for one in told] == [(200, 2, "")] * 3
    assert [one.came for one in told] == [len(GET), len(other), len(GET)]
    assert len({one.id for one in told}) == 3
    assert all(one.upstream is not None and one.upstream <= one.seconds for one in told)


@pytest.mark.parametrize("size", [3000, 3_000_000], ids=["small", "spliced"])
async def test_bodies_are_counted_both_ways(size: int, counters: Counters | None) -> None:
    log = Log()
    body = b"x" * size
    answer = b"HTTP/1.1 201 Made\r\nContent-Length: %d\r\n\r\n" % size
    async with talk(access=log, ids=IDS, counters=counters) as t:
        client = await t.client()
        client.send(post(size), body)
        upstream = await t.upstream()
        await upstream.head()
        assert await upstream.get(size) == body
        upstream.send(answer, body)
        await client.head()
        assert await client.get(size) == body
        [one] = await log.lines()
    assert short(one) == (b"POST / HTTP/1.1", 201, len(post(size)) + size, size, "", "")


async def test_chunks_are_counted_as_they_pass() -> None:
    log = Log()
    chunks = b"5\r\nhello\r\n0\r\n\r\n"
    async with talk(access=log, ids=IDS) as t:
        client = await t.client()
        client.send(CHUNKED, chunks)
        upstream = await t.upstream()
        await upstream.until(b"0\r\n\r\n")
        upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks)
        await client.until(b"0\r\n\r\n")
        [one] = await log.lines()
    assert (one.status, one.came, one.gone) == (200, len(CHUNKED + chunks), len(chunks))


def answering(status: int) -> Callable[[Facts], Plan]:
    return lambda facts: Answer(status, (), b"no")


async def test_answers_of_our_own() -> None:
    log, gate = Log(), PassGate()
    gate.decide = answering(403)
    async with talk(gate, access=log, ids=IDS) as t:
        client = await t.client()
        client.send(GET)
        assert (await client.answer())[0] == 403
        [one] = await log.lines()
    assert (one.status, one.gone, one.upstream) == (403, 2, None)


async def test_what_cannot_be_read_is_told_without_a_line() -> None:
    log = Log()
    async with talk(access=log, ids=IDS) as t:
        client = await t.client()
        client.send(UNREADABLE)
        assert (await client.answer())[0] == 400
        [one] = await log.lines()
    assert (one.line, one.block, one.status, one.slug) == (b"", b"", 400, "bad_request")
    assert one.came == len(UNREADABLE)
    assert len(one.id) == 32


async def left(t: Talk, log: Log, *answer: bytes) -> Access:
    client = await t.client()
    client.send(GET)
    upstream = await t.upstream()
    await upstream.head()
    upstream.send(*answer)
    if answer:
        await client.get(len(answer[0]))
    client.reset()
    [one] = await log.lines()
    return one


async def test_a_client_that_leaves_before_its_answer() -> None:
    log = Log()
    async with talk(access=log, ids=IDS) as t:
        one = await left(t, log)
    assert (one.status, one.gone, one.ended, one.upstream) == (499, 0, "client left", None)


@pytest.mark.parametrize("length", [100, 5_000_000], ids=["small", "spliced"])
async def test_a_client_that_leaves_within_its_answer(length: int) -> None:
    log = Log()
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhello" % length
    async with talk(access=log, ids=IDS) as t:
        one = await left(t, log, begun)
    assert (one.status, one.gone, one.ended) == (200, 5, "client left")


async def test_an_answer_that_breaks_off_upstream() -> None:
    log = Log()
    async with talk(access=log, ids=IDS) as t:
        client = await t.client()
        client.send(GET)
        upstream = await t.upstream()
        await upstream.head()
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        await client.until(b"hello")
        upstream.writer.close()
        [one] = await log.lines()
    assert (one.status, one.gone, one.ended) == (200, 5, "cut off")


async def test_a_refusal_in_place_of_an_answer() -> None:
    log = Log()
    async with talk(access=log, ids=IDS, limits=QUICK) as t:
        client = await t.client()
        client.send(GET)
        upstream = await t.upstream()
        await upstream.head()
        assert (await client.answer())[0] == 504
        [one] = await log.lines()
    assert (one.status, one.slug, one.ended) == (504, "upstream_timeout", "")


async def test_what_nobody_asked_is_not_told() -> None:
    log = Log()
    async with talk(access=log, ids=IDS) as t:
        client = await t.client()
        client.send(b"GET / HT")
        other = await t.client()
        await t.exchange(GET, OK)
        client.reset()
        other.reset()
        [one] = await log.lines()
    assert one.status == 200 and len(log.told) == 1


async def test_the_rule_of_what_goes_on_is_told(counters: Counters | None) -> None:
    log, gate = Log(), PassGate()
    gate.decide = lambda facts: Forward(rule="downloads")
    async with talk(gate, access=log, ids=IDS, counters=counters) as t:
        await t.exchange(GET, OK)
        [one] = await log.lines()
    assert one.rule == "downloads"


async def test_without_a_log_nothing_of_it_runs() -> None:
    async with talk(ids=IDS) as t:
        await t.exchange(GET, OK)
        assert {type(one) for one in t.forwarder.clients} == {ClientConnection}
