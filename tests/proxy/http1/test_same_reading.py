"""Whatever our grammar accepts, llhttp and h11 read as the same message, however it arrives.

The other direction is not asked for: ours refuses much that others accept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.proxy.http1.request import RequestReader
from gateway.proxy.http1.response import AnswerReader
from tests.fuzz.parsers import PARSERS, Read
from tests.fuzz.share import Share
from tests.proxy.http1.heads import (
    ANSWERS,
    CHUNKS,
    CLIENTS,
    REQUESTS,
    SERVERS,
    byte_by_byte,
    pieces,
)
from tests.proxy.http1.readers import (
    AFTER,
    LIMITS,
    Reading,
    Refused,
    by_h11,
    h11_answer,
    llhttp,
    llhttp_answer,
    our_answer,
    ours,
)
from tests.proxy.http1.test_request import REFUSED

CUTS = st.lists(st.integers(0, 5000), max_size=4)
# EXAMPLES=20000 for a long look after a change of the grammar.
EXAMPLES = int(os.environ.get("EXAMPLES", "300"))
MANY = settings(max_examples=EXAMPLES, deadline=None)
# Methods that llhttp has no name for are read by it under another one.
_LLHTTP_METHODS = {
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"M-SEARCH",
}  # fmt: skip


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def same_body(mine: Reading, theirs: Reading) -> bool:
    """A body that ours takes for whole is the same to them. Of one that is cut off, one may
    have taken a little more than the other."""
    if mine.ended:
        return theirs.ended and theirs.body == mine.body
    shorter, longer = sorted((mine.body, theirs.body), key=len)
    return longer.startswith(shorter)


def same_request(data: bytes, cuts: list[int], loop: asyncio.AbstractEventLoop) -> bool:
    """Whether ours accepts it; the others must agree if it does."""
    try:
        read = ours([data])
    except Refused:
        read = None
        accepted = False
    else:
        accepted = read is not None
    for split in (byte_by_byte(data), pieces(data, cuts)):
        if accepted:
            again = ours(split)
            assert again is not None and again[0] == read[0], "it matters how it arrives"  # type: ignore[index]
        else:
            with contextlib.suppress(Refused):
                assert ours(split) is None, "it matters how it arrives"
    if read is None:
        return False
    mine, head = read
    closes = not head.persistent
    known = data
    if mine.start[0] not in _LLHTTP_METHODS:
        known = b"POST" + data[len(mine.start[0]) :]
    if closes and mine.ended:  # llhttp refuses to look at what follows
        known = known[: len(known) - len(mine.rest)]
    for split in ([known], byte_by_byte(known), pieces(known, cuts)):
        try:
            theirs = llhttp(split, loop)
        except Refused:
            if not mine.ended:
                continue  # ours waits for more before it decides; nothing is accepted yet
            # What follows an accepted message may be anything; the message itself may not.
            theirs = llhttp([known[: len(known) - len(mine.rest)]], loop)
        first = theirs[0]
        assert first.start[1] == mine.start[1]
        if mine.start[0] in _LLHTTP_METHODS:
            assert first.start[0] == mine.start[0]
        assert first.fields == mine.fields
        assert same_body(mine, first)
        if mine.ended and not closes and mine.rest.startswith(AFTER):
            assert theirs[1].start == (b"GET", b"/after")
    for split in ([data], byte_by_byte(data), pieces(data, cuts)):
        try:
            other = by_h11(split)
        except Refused:
            assert not mine.ended
            continue
        assert other is not None
        assert (other.start, other.fields) == (mine.start, mine.fields)
        assert same_body(mine, other)
        if mine.ended:
            assert other.rest == mine.rest or len(split) > 1
    return True


@pytest.mark.parametrize("data", CLIENTS.values(), ids=CLIENTS.keys())
def test_what_real_clients_send_is_accepted(data: bytes, loop: asyncio.AbstractEventLoop) -> None:
    assert same_request(data, [], loop)
    assert same_request(data + AFTER, [len(data)], loop)
    read = ours([data])
    assert read is not None and read[0].ended and read[0].rest == b""


# What every server reads alike is refused for what it asks.
ALIKE = {
    "empty host", "host with a path", "host with a user", "two hosts in one", "websocket",
    "websocket among others", "websocket in a second field", "connection names host",
    "connection names the length", "connection names a credential", "asterisk", "dot segments",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_would_not_be_misread(name: str, loop: asyncio.AbstractEventLoop) -> None:
    """Servers differ on it: some refuse it, or they read different requests. Should ours accept
    one of them some day, it has to mean the same to the others."""
    data = REFUSED[name]
    accepted = same_request(data, [], loop) or same_request(data + AFTER, [len(data)], loop)
    assert not accepted
    read = {server: _read_by(parse, data) for server, parse in PARSERS.items()}
    assert (len(set(read.values())) == 1 and "refused" not in read.values()) == (name in ALIKE), (
        read
    )


def _read_by(parse: Callable[[bytes], list[Read]], data: bytes) -> str:
    try:
        return str(parse(data))
    except (Refused, ValueError, OverflowError):  # some say it as they convert a number
        return "refused"


def test_requests_mean_the_same(loop: asyncio.AbstractEventLoop) -> None:
    accepted = Share(0.5)

    @MANY
    @given(REQUESTS, CUTS, st.booleans())
    @example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", [], True)
    def each(data: bytes, cuts: list[int], more: bool) -> None:
        accepted.count(same_request(data + AFTER if more else data, cuts, loop))

    each()
    assert accepted.suffices(), str(accepted)


@MANY
@given(CHUNKS, CUTS)
def test_chunks_mean_the_same(
    loop: asyncio.AbstractEventLoop, body: bytes, cuts: list[int]
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    same_request(head + body + AFTER, cuts, loop)


def same_answer(data: bytes, cuts: list[int], method: str, loop: asyncio.AbstractEventLoop) -> bool:
    try:
        mine = our_answer([data], method)
    except Refused:
        mine = None
    for split in (byte_by_byte(data), pieces(data, cuts)):
        try:
            assert our_answer(split, method) == mine, "it matters how it arrives"
        except Refused:
            assert mine is None or not mine.ended
    if mine is None:
        return False
    message = data[: len(data) - len(mine.rest)]
    for split in ([message], byte_by_byte(message), pieces(message, cuts)):
        for read in (partial(llhttp_answer, loop=loop), h11_answer):
            try:
                theirs = read(split, method)
            except Refused:
                assert not mine.ended  # ours waits for more before it decides
                continue
            assert theirs is not None
            assert (theirs.start, theirs.fields) == (mine.start, mine.fields)
            assert same_body(mine, theirs)
    return True


@pytest.mark.parametrize("data", SERVERS.values(), ids=SERVERS.keys())
def test_what_real_servers_send_is_accepted(data: bytes, loop: asyncio.AbstractEventLoop) -> None:
    assert same_answer(data, [], "GET", loop)


def test_answers_mean_the_same(loop: asyncio.AbstractEventLoop) -> None:
    accepted = Share(0.5)

    @MANY
    @given(ANSWERS, CUTS, st.sampled_from(["GET", "HEAD"]))
    def each(data: bytes, cuts: list[int], method: str) -> None:
        accepted.count(same_answer(data, cuts, method, loop))

    each()
    assert accepted.suffices(), str(accepted)


@settings(MANY, max_examples=EXAMPLES // 5)  # each is up to five heads, and read 19 times
@given(st.lists(REQUESTS, min_size=1, max_size=5), st.lists(ANSWERS, min_size=1, max_size=5))
def test_what_came_often_is_read_like_what_came_first(
    requests: list[bytes], answers: list[bytes]
) -> None:
    """Fields that come often are remembered, or read by an expression of their own."""
    requests = [*requests, *CLIENTS.values()]
    answers = [*answers, *SERVERS.values()]
    reader, answer_reader = RequestReader(LIMITS), AnswerReader(LIMITS.head)
    first = [outcome(ours, data, reader) for data in requests]
    first_answers = [outcome(our_answer, data, "GET", answer_reader) for data in answers]
    for _ in range(18):
        assert [outcome(ours, data, reader) for data in requests] == first
        again = [outcome(our_answer, data, "GET", answer_reader) for data in answers]
        assert again == first_answers
        requests.reverse()
        first.reverse()


def outcome(read: Callable[..., object], data: bytes, *more: object) -> object:
    try:
        found = read([data], *more)
    except Refused as refused:
        return str(refused)
    if not isinstance(found, tuple):
        return found
    reading, head = found
    said = {name: getattr(head.said, name) for name in type(head.said).__slots__}
    del said["shared"]  # whether it is remembered
    return reading, head.persistent, head.version, said
