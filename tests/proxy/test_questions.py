"""The gateway's own questions: asked once on a connection that lives, again on one that ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from gateway.core.errors import Refusal, Slug
from gateway.core.upstream import Call, UpstreamResponse
from gateway.gate.kept_calls import KeptCalls
from gateway.proxy import questions
from gateway.proxy.forwarder import Forwarder
from gateway.proxy.limits import Limits
from gateway.proxy.ports import PageServer
from gateway.proxy.questions import Questions
from gateway.proxy.upstream_pool import UpstreamAddress
from tests.proxy.passgate import PassGate

FIELDS = (("Content-Type", "text/plain"), ("X-One", "its"))
CALL = ("POST", "/ask?x=%20", FIELDS, b"body")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Index:
    """Answers requests with what it is given, in order; None closes the connection instead, and
    nothing is nothing.

    asked: the requests. connections: how many there were.
    """

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.asked.append(head + await reader.readexactly(int(length or 0)))
                answer = self.answers.pop(0)
                if answer is None:
                    return
                if not answer:  # nothing ever comes
                    continue
                writer.write(answer)
                await writer.drain()
                if b"length" not in answer.lower() and b"chunked" not in answer.lower():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def asking(index: Index, *, answer: float = 20.0, port: int = 0) -> AsyncIterator[Questions]:
    server = await asyncio.start_server(index.serve, "127.0.0.1", 0)
    port = port or server.sockets[0].getsockname()[1]
    address = UpstreamAddress.parse(f"http://127.0.0.1:{port}")
    pages = cast("PageServer", None)
    forwarder = Forwarder(PassGate(), address, pages, limits=Limits(answer=answer))
    asked = Questions()
    asked.go_through(forwarder.shared)
    try:
        yield asked
    finally:
        await forwarder.stop()
        server.close()


async def test_what_is_sent() -> None:
    index = Index(OK, OK)
    async with asking(index) as asked:
        calls = KeptCalls(asked)
        own = (("x-one", "ours"), ("X-Two", "ours"))
        answer = await calls.ask(Call("POST", "/ask?x=%20", FIELDS, b"body"), own)
        assert answer == UpstreamResponse(200, (("content-length", "2"),), b"ok")
        await asked.ask("GET", "/", (("Host", "other"),))
    first, _, fields = index.asked[0].partition(b"\r\n")
    assert first == b"POST /ask?x=%20 HTTP/1.1"
    assert fields.startswith(b"Host: 127.0.0.1:")
    assert fields.endswith(
        b"Content-Type: text/plain\r\nX-One: its\r\nX-Two: ours\r\nContent-Length: 4\r\n\r\nbody"
    )
    assert index.asked[1] == b"GET / HTTP/1.1\r\nHost: other\r\n\r\n"


async def test_one_connection_carries_all() -> None:
    index = Index(OK, OK, OK)
    async with asking(index) as asked:
        for _ in range(3):
            await asked.ask(*CALL)
    assert (index.connections, len(index.asked)) == (1, 3)


BODIES = {
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"ok",
    ),
    "until the end": (b"HTTP/1.1 403 No\r\nX-A: b\r\n\r\nok", b"ok"),
    "none": (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", b""),
    "after an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
}


@pytest.mark.parametrize(("answer", "body"), BODIES.values(), ids=BODIES)
async def test_every_framing(answer: bytes, body: bytes) -> None:
    async with asking(Index(answer, OK)) as asked:
        assert (await asked.ask(*CALL)).body == body
        assert (await asked.ask(*CALL)).body == b"ok"


AGAIN = {
    "it ends": None,
    "it says so with a 408": b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("end", AGAIN.values(), ids=AGAIN)
async def test_asked_again_where_an_idle_connection_had_ended(end: bytes | None) -> None:
    index = Index(OK, end, OK)
    async with asking(index) as asked:
        await asked.ask(*CALL)
        assert (await asked.ask(*CALL)).status == 200
    assert (index.connections, len(index.asked)) == (2, 3)


async def test_a_new_connection_that_ends_is_not_tried_again() -> None:
    index = Index(None, OK)
    async with asking(index) as asked:
        with pytest.raises(Refusal) as caught:
            await asked.ask(*CALL)
    assert caught.value.slug == Slug.UPSTREAM_BROKEN
    assert len(index.asked) == 1


BROKEN = {
    "no HTTP": b"hello\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "another protocol": b"HTTP/1.1 101 Up\r\nContent-Length: 0\r\n\r\n",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    "a body too long": b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_what_cannot_be_read_is_no_answer(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "_LONGEST", 1000)
    async with asking(Index(answer)) as asked:
        with pytest.raises(Refusal) as caught:
            await asked.ask(*CALL)
    assert caught.value.slug == Slug.UPSTREAM_BROKEN


async def test_a_body_cut_short_is_no_answer() -> None:
    index = Index()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-1])
        writer.close()

    index.serve = cut  # type: ignore[method-assign]
    async with asking(index) as asked:
        with pytest.raises(Refusal) as caught:
            await asked.ask(*CALL)
    assert caught.value.slug == Slug.UPSTREAM_BROKEN


async def test_more_than_the_answer_ends_the_connection() -> None:
    index = Index(OK + OK, OK)
    async with asking(index) as asked:
        await asked.ask(*CALL)
        await asked.ask(*CALL)
    assert index.connections == 2


async def test_no_answer_in_time() -> None:
    async with asking(Index(b""), answer=0.05) as asked:
        with pytest.raises(Refusal) as caught:
            await asked.ask(*CALL)
    assert caught.value.slug == Slug.UPSTREAM_TIMEOUT


async def test_nobody_listens() -> None:
    async with asking(Index(), port=1) as asked:
        with pytest.raises(Refusal) as caught:
            await asked.ask(*CALL)
    assert caught.value.slug == Slug.UPSTREAM_UNREACHABLE


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "http://other/", "/ü", ""])
async def test_what_cannot_be_sent_is_not(target: str) -> None:
    index = Index(OK)
    async with asking(index) as asked:
        with pytest.raises(Refusal):
            await asked.ask("GET", target)
        with pytest.raises(Refusal):
            await asked.ask("GET", "/", (("X-A", "b\r\nX-C: d"),))
    assert not index.asked


async def test_who_gives_up_leaves_no_connection_behind() -> None:
    index = Index(b"")
    async with asking(index) as asked:
        task = asyncio.create_task(asked.ask(*CALL))
        while not index.asked:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asked._shared is not None
        assert not asked._shared.asking.idle
