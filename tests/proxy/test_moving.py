"""Connections go on with another forwarder (a reload): none is dropped, and what comes next is
judged by the new gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.proxy.forwarder import Forwarder
from gateway.proxy.limits import Limits
from tests.proxy.conversation import GET, OK, H, Talk, talk
from tests.proxy.passgate import NoPages, PassGate
from tests.proxy.ways import endpoint

NEW = b"X-Which: new\r\n"
ANSWERED = (200, {"content-length": "2"}, b"ok")


@asynccontextmanager
async def successor(t: Talk) -> AsyncIterator[Forwarder]:
    gate = PassGate()
    gate.own_fields = (("X-Which", "new"),)
    made = Forwarder(gate, endpoint(t.way.back, t.back), NoPages(), limits=Limits(drain=1.0))
    try:
        yield made
    finally:
        await made.stop()


async def test_one_that_waits_goes_on_at_once() -> None:
    async with talk() as t, successor(t) as new:
        client, _ = await t.exchange(GET, OK)
        t.forwarder.retire(new)
        await asyncio.wait_for(t.forwarder.empty(), 20)
        assert len(new.clients) == 1
        client.send(GET)
        upstream = await t.upstream()
        assert NEW in await upstream.head()
        upstream.send(OK)
        assert await client.answer() == ANSWERED


async def test_one_that_is_busy_gets_its_answer_first() -> None:
    async with talk() as t, successor(t) as new:
        client, upstream = await t.asked(GET)
        t.forwarder.retire(new)
        assert len(t.forwarder.clients) == 1
        upstream.send(OK)
        assert await client.answer() == ANSWERED  # and nothing of an end
        client.send(GET)
        upstream = await t.upstream()
        assert NEW in await upstream.head()
        upstream.send(OK)
        assert await client.answer() == ANSWERED
        await asyncio.wait_for(t.forwarder.empty(), 20)


async def test_what_was_sent_ahead_is_judged_anew() -> None:
    async with talk() as t, successor(t) as new:
        client, upstream = await t.asked(GET)
        client.send(GET)
        await asyncio.sleep(0.02)
        t.forwarder.retire(new)
        upstream.send(OK)
        assert await client.answer() == ANSWERED
        upstream = await t.upstream()
        assert NEW in await upstream.head()
        upstream.send(OK)
        assert await client.answer() == ANSWERED


async def test_half_a_head_is_judged_anew() -> None:
    async with talk() as t, successor(t) as new:
        client = await t.client()
        client.send(GET[:20])
        await asyncio.sleep(0.02)
        t.forwarder.retire(new)
        client.send(GET[20:])
        upstream = await t.upstream()
        assert NEW in await upstream.head()
        upstream.send(OK)
        assert await client.answer() == ANSWERED


async def test_one_that_was_busy_during_two_goes_to_the_last() -> None:
    async with talk() as t, successor(t) as between, successor(t) as last:
        client, upstream = await t.asked(GET)
        t.forwarder.retire(between)
        between.retire(last)
        upstream.send(OK)
        assert await client.answer() == ANSWERED
        assert (len(between.clients), len(last.clients)) == (0, 1)


async def test_a_long_answer_outlives_the_time_for_a_stop() -> None:
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + bytes(400_000)
    async with talk(limits=Limits(drain=0.05)) as t, successor(t) as new:
        client, upstream = await t.asked(GET)
        upstream.send(big[:1000])
        t.forwarder.retire(new)
        await asyncio.sleep(0.2)
        upstream.send(big[1000:])
        assert await client.get(len(big)) == big


@pytest.mark.parametrize("said", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
async def test_a_stop_after_it_ends_those_that_are_left(said: bytes) -> None:
    async with talk(limits=Limits(drain=60.0)) as t, successor(t) as new:
        client, upstream = await t.asked(b"GET / HTTP/1.1\r\n" + H + said + b"\r\n")
        t.forwarder.retire(new)
        stopping = asyncio.create_task(t.forwarder.stop())
        await asyncio.sleep(0.02)
        upstream.send(OK)
        status, fields, _ = await client.answer()
        assert (status, fields.get("connection")) == (200, "close")
        assert await client.gone()
        await asyncio.wait_for(stopping, 20)
