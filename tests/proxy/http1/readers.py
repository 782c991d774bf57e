"""The same bytes read by our grammar, by llhttp (aiohttp's parser) and by h11.

A reading is what a server or client would act on. Our own is made by the same functions and in
the same order as the forwarder uses them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import h11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser, HttpResponseParser

from gateway.core.errors import Refusal
from gateway.core.http.path import parse_target
from gateway.proxy.http1.body import BadChunk, Body, ChunkDecoder, SizedBody
from gateway.proxy.http1.request import RequestHead, RequestReader
from gateway.proxy.http1.response import AnswerHead, AnswerReader, BadAnswer
from gateway.proxy.http1.syntax import fields
from gateway.proxy.limits import Limits

LIMITS = Limits()
REQUESTS = RequestReader(LIMITS)
ANSWERS = AnswerReader(LIMITS.head)
"""These have seen much, as those of a forwarder that has run for long."""
AFTER = b"GET /after HTTP/1.1\r\nHost: after\r\n\r\n"
"""Sent after a message: where the message ends is where this is found."""


@dataclass(frozen=True)
class Reading:
    """One message. `start`: method and target, or the status; ended: all of the body came;
    rest: the bytes after it."""

    start: tuple[bytes, ...]
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    ended: bool
    rest: bytes = b""


class Refused(Exception):
    """The reader does not accept these bytes."""


def ours(
    pieces: Iterable[bytes], reader: RequestReader = REQUESTS
) -> tuple[Reading, RequestHead] | None:
    """None where the head is not complete. Raises Refused."""
    buffer = bytearray()
    head: RequestHead | None = None
    body: Body = SizedBody(0)
    content: list[bytes] = []
    rest = b""
    try:
        for piece in pieces:
            if head is None:
                seen = len(buffer)
                buffer += piece
                data = bytes(buffer)
                head = reader.read(data)
                if head is None:
                    reader.unfinished(data, seen)
                    continue
                parse_target(head.target.decode("latin-1"))
                reader.known[head.line] = head.kind
                length = head.said.length
                body = ChunkDecoder() if length is None else SizedBody(length)
                piece = data[head.size :]
            if body.done:
                rest += piece
            elif piece:
                content += body.feed(piece)[1]
                if body.done:
                    rest = body.rest
    except (Refusal, BadChunk) as exc:
        raise Refused(str(exc)) from exc
    if head is None:
        return None
    reading = Reading(
        (head.method, head.target), raw(head.block), b"".join(content), body.done, rest
    )
    return reading, head


def raw(block: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return lowered(
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in fields(block)
    )


def lowered(found: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Names and, as h11 does, codings in lower case."""
    same = ((bytes(name).lower(), bytes(value).strip(b" \t")) for name, value in found)
    return tuple(
        (name, value.lower() if name == b"transfer-encoding" else value) for name, value in same
    )


def llhttp(pieces: Iterable[bytes], loop: asyncio.AbstractEventLoop) -> list[Reading]:
    """Every request that aiohttp's server would read. Raises Refused."""
    parser = HttpRequestParser(
        BaseProtocol(loop), loop, 1 << 20, max_line_size=8192, max_field_size=65536,
        max_headers=200, auto_decompress=False,
    )  # fmt: skip
    found = []
    try:
        for piece in pieces:
            found += parser.feed_data(piece)[0]
    except Exception as exc:
        raise Refused(str(exc)) from exc
    return [
        Reading(
            (message.method.encode(), message.path.encode("latin-1", "surrogateescape")),
            lowered(message.raw_headers),
            payload.read_nowait(),
            payload.is_eof(),
        )
        for message, payload in found
    ]


def by_h11(pieces: Iterable[bytes]) -> Reading | None:
    """The first request h11's server side would read. Raises Refused."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    request: h11.Request | None = None
    body = b""
    ended = False
    try:
        for piece in pieces:
            connection.receive_data(piece)
            while not ended:
                event = connection.next_event()
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    ended = True
                else:
                    break
    except h11.RemoteProtocolError as exc:
        raise Refused(str(exc)) from exc
    if request is None:
        return None
    return Reading(
        (bytes(request.method), bytes(request.target)),
        lowered(request.headers),
        body,
        ended,
        connection.trailing_data[0],
    )


# -- answers ----------------------------------------------------------------------------------


def our_answer(
    pieces: Iterable[bytes], method: str, reader: AnswerReader = ANSWERS
) -> Reading | None:
    """The final answer as the forwarder reads it, up to the end of the input. Raises Refused."""
    buffer = b""
    head: AnswerHead | None = None
    body: Body | None = None
    content: list[bytes] = []
    rest = b""
    try:
        for piece in pieces:
            if head is None:
                buffer += piece
                usual = reader.sized(buffer)
                head = reader.read(buffer)
                if usual is not None:
                    assert head is not None
                    assert usual == (head.size, head.length), buffer
                    assert (head.status, head.persistent, head.chunked) == (200, True, False)
                    assert (head.cookies, head.named) == (None, None), buffer
                    assert head.kept == head.block, buffer
                while head is not None and head.status < 200:
                    if head.status == 101:
                        raise Refused("101")
                    buffer = buffer[head.size :]
                    head = reader.read(buffer) if buffer else None
                if head is None:
                    continue
                piece = buffer[head.size :]
                if head.bodiless or method == "HEAD":
                    body = SizedBody(0)
                elif head.chunked:
                    body = ChunkDecoder()
                elif head.length is not None:
                    body = SizedBody(head.length)
            if body is None:
                content.append(piece)
            elif body.done:
                rest += piece
            elif piece:
                content += body.feed(piece)[1]
                if body.done:
                    rest = body.rest
    except (BadAnswer, BadChunk) as exc:
        raise Refused(str(exc)) from exc
    if head is None:
        return None
    ended = body is None or body.done
    return Reading((b"%d" % head.status,), raw(head.block), b"".join(content), ended, rest)


def llhttp_answer(
    pieces: Sequence[bytes], method: str, loop: asyncio.AbstractEventLoop
) -> Reading | None:
    """The final answer as aiohttp's client would read it. Raises Refused."""
    parser = HttpResponseParser(
        BaseProtocol(loop), loop, 1 << 20, max_line_size=8192, max_field_size=65536,
        max_headers=200, auto_decompress=False, read_until_eof=True,
        response_with_body=method != "HEAD",
    )  # fmt: skip
    found = []
    try:
        for piece in pieces:
            found += parser.feed_data(piece)[0]
        final = [item for item in found if item[0].code >= 200]
        if final and not final[0][1].is_eof():
            parser.feed_eof()
    except Exception as exc:
        if not (final := [item for item in found if item[0].code >= 200]):
            raise Refused(str(exc)) from exc
    if not final:
        return None
    message, payload = final[0]
    return Reading(
        (b"%d" % message.code,),
        lowered(message.raw_headers),
        payload.read_nowait(),
        payload.is_eof() and payload.exception() is None,
    )


def h11_answer(pieces: Iterable[bytes], method: str) -> Reading | None:
    """The final answer as h11's client side would read it. Raises Refused."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    answer: h11.Response | None = None
    body = b""
    ended = False
    try:
        for piece in [*pieces, b""]:
            connection.receive_data(piece)
            while not ended:
                event = connection.next_event()
                if isinstance(event, h11.Response):
                    answer = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    ended = True
                elif isinstance(event, h11.InformationalResponse):
                    continue
                else:
                    break
    except h11.RemoteProtocolError as exc:
        if answer is None:
            raise Refused(str(exc)) from exc
    if answer is None:
        return None
    return Reading((b"%d" % answer.status_code,), lowered(answer.headers), body, ended)
