"""The parsers of the servers that stand behind, as libraries: what each reads in the same bytes."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from typing import Any, Final

from cheroot.server import ChunkedRFile, HTTPRequest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from waitress.parser import HTTPRequestParser

from tests.oracle.reading import ADJUSTMENTS
from tests.proxy.http1.readers import Reading, Refused, llhttp
from tests.proxy.http1.readers import by_h11 as h11

WATCHED: Final = ("host", "authorization", "x-devpi-auth", "cookie", "content-type", "accept")
"""The fields that decide who asks and what for."""


@dataclass(frozen=True)
class Read:
    """One request as a server reads it. fields: those of WATCHED, whole: the body has ended."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool


def watched(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The watched fields, a list over several of them joined as every server does."""
    found: dict[str, list[str]] = {}
    for name, value in fields:
        lowered = name.lower().replace("_", "-")
        if lowered in WATCHED:
            found.setdefault(lowered, []).append(value.strip(" \t"))
    return tuple(sorted((name, ", ".join(values)) for name, values in found.items()))


def _decoded(fields: Iterable[tuple[Any, Any]]) -> list[tuple[str, str]]:
    return [(bytes(n).decode("latin-1"), bytes(v).decode("latin-1")) for n, v in fields]


def _read(found: Reading) -> Read:
    method, target = found.start
    fields = watched(_decoded(found.fields))
    return Read(method.decode(), target.decode("latin-1"), fields, found.body, found.ended)


def by_h11(data: bytes) -> list[Read]:
    found: list[Read] = []
    while data and (each := h11([data])) is not None:
        found.append(_read(each))
        data = each.rest if each.ended else b""
    return found


def by_waitress(data: bytes) -> list[Read]:
    found = []
    while data:
        parser = HTTPRequestParser(ADJUSTMENTS)
        while data and not parser.completed:
            taken = parser.received(data)
            data = data[taken:]
        if parser.error is not None:
            raise Refused(str(parser.error))
        if not parser.headers_finished:
            break
        method, target, _ = parser.first_line.decode("latin-1").split(" ")
        body = parser.get_body_stream().read() if parser.body_rcv is not None else b""
        fields = [(str(n), str(v)) for n, v in parser.headers.items()]
        found.append(Read(method, target, watched(fields), body, bool(parser.completed)))
    return found


def by_wsgiref(data: bytes) -> list[Read]:
    """http.server's, which takes one request of a connection; the body is the application's."""

    class Handler(BaseHTTPRequestHandler):
        raw_requestline: bytes

        def __init__(self) -> None:
            self.rfile = io.BytesIO(data)
            self.wfile = self.told = io.BytesIO()
            self.client_address = ("127.0.0.1", 1)

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = Handler()
    handler.raw_requestline = handler.rfile.readline(65537)
    if not handler.parse_request():
        raise Refused(handler.told.getvalue()[:80].decode("latin-1"))
    length = handler.headers.get("content-length")
    body = handler.rfile.read(int(length or 0))
    _, target, _ = handler.raw_requestline.decode("latin-1").split(" ")
    fields = [(n, str(v)) for n, v in handler.headers.items()]
    return [Read(handler.command, target, watched(fields), body, len(body) == int(length or 0))]


def by_gunicorn(data: bytes) -> list[Read]:
    found: list[Read] = []
    parser = RequestParser(Config(), iter([data]), ("127.0.0.1", 1))
    while True:
        try:
            request = next(parser)
        except StopIteration:
            return found
        except Exception as exc:
            if type(exc).__name__ == "NoMoreData":
                return found
            raise Refused(repr(exc)) from exc
        body, whole = b"", True
        try:
            while piece := request.body.read(1 << 16):
                body += piece
        except Exception:
            whole = False
        length = dict(request.headers).get("CONTENT-LENGTH")
        whole = whole and (length is None or len(body) == int(length))
        found.append(Read(request.method, request.uri, watched(request.headers), body, whole))
        if not whole:
            return found


def by_cheroot(data: bytes) -> list[Read]:
    found: list[Read] = []
    file = io.BytesIO(data)
    server = SimpleNamespace(
        ssl_adapter=None, max_request_header_size=0, max_request_body_size=0, protocol="HTTP/1.1"
    )
    answers = io.BytesIO()
    while data[file.tell() :] not in (b"", b"\r\n"):  # it leaves the end of chunks to the next
        request = HTTPRequest(server, SimpleNamespace(rfile=file, wfile=answers))
        try:
            request.parse_request()
        except Exception as exc:
            raise Refused(repr(exc)) from exc
        if not request.ready:
            if found and not found[-1].whole:
                return found
            raise Refused(request.status or answers.getvalue()[:80].decode("latin-1"))
        whole = True
        if request.chunked_read:
            try:
                chunks = ChunkedRFile(file, 0)
                body = chunks.read()
                whole = chunks.closed
            except Exception:
                body, whole = b"", False
        else:
            length = int(request.inheaders.get(b"Content-Length", 0))
            body = file.read(length)
            whole = len(body) == length
        fields = _decoded(request.inheaders.items())
        method, target = request.method.decode(), request.uri.decode("latin-1")
        found.append(Read(method, target, watched(fields), body, whole))
        if not whole:
            break
    return found


_LOOP = asyncio.new_event_loop()


def by_llhttp(data: bytes) -> list[Read]:
    return [_read(each) for each in llhttp([data], _LOOP)]


PARSERS: Final[dict[str, Callable[[bytes], list[Read]]]] = {
    "h11": by_h11,
    "waitress": by_waitress,
    "wsgiref": by_wsgiref,
    "gunicorn": by_gunicorn,
    "cheroot": by_cheroot,
    "llhttp": by_llhttp,
}
NO_CHUNKS: Final = frozenset({"wsgiref"})
"""Which leave a chunked body to the application: it finds none, and the connection closes."""
