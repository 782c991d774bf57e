"""Heads written anew from what was judged: to the upstream, to the client, and our own.

Header hygiene for forwarded messages is applied here and nowhere else; the lists are in
`gateway.core.http.headers`.
"""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from gateway.core.http.cookies import without_own_cookies
from gateway.proxy.http1.request import RequestHead
from gateway.proxy.http1.response import AnswerHead
from gateway.proxy.http1.route import Rendered, Route
from gateway.proxy.http1.syntax import without
from gateway.proxy.ports import Answer

_PRIVATE: Final = b"\nCache-Control: private"
_CACHE: Final = re.compile(rb"(?i:\ncache-control):([^\r\n]*+)\r")
_SHARED: Final = re.compile(rb"(?i:public|private|s-maxage|proxy-revalidate)")
_COOKIE: Final = re.compile(rb"(?i:\ncookie):([^\r\n]*+)\r")


def request_head(
    head: RequestHead, route: Route, client: Rendered, authority: bytes, id: bytes = b""
) -> bytes:
    r"""The head that goes upstream.

    Args:
        authority: where an HTTP/1.0 client sent no Host. id: the line that says what the request
            is called ("\n…\r"), if it is.
    """
    said = head.said
    kind = head.kind
    if said.route is route and not client.names and not kind.last:
        return head.sent + said.tail + id + client.end
    if route.outranks:
        client = client.less(route.outranks)
    block = said.kept
    extra = b"" if said.length is not None else b"Transfer-Encoding: chunked\r\n"
    names = route.request.names
    if client.names:
        names = names | client.names
    if names:
        block = without(block, names)
    if said.own_cookie and b"cookie" not in names:
        block, cookies = _cut_own_cookies(block)
        extra += cookies
    if not said.has_host and b"host" not in names:
        extra += b"Host: %s\r\n" % authority
    lines = route.request.block + extra
    tail = b"\r%s\n%s" % (block, lines[:-1]) if lines else b"\r" + block
    if kind.last:
        return b"%s1.1%s%s%s" % (head.sent[:-3], tail, id, client.end)
    if said.shared and route.lasting and not client.names:
        said.route, said.tail = route, tail
    return head.sent + tail + id + client.end


def _cut_own_cookies(block: bytes) -> tuple[bytes, bytes]:
    """The block without its Cookie field, and the field with what is not the gateway's own."""
    found = _COOKIE.search(block)
    if found is None:
        return block, b""
    left = without_own_cookies(found[1].decode("latin-1")).encode("latin-1")
    line = b"Cookie: %s\r\n" % left if left else b""
    return block[: found.start()] + block[found.end() :], line


def handed_head(head: RequestHead) -> bytes:
    """The head for the pages: what frames their body and their answer, and nothing else.

    All else they know from `Facts`. So no second parser, with limits and opinions of its own,
    meets what a client has sent.
    """
    length = head.said.length
    framing = b"Content-Length: %d\r\n" % length if length else b""
    if length is None:
        framing = b"Transfer-Encoding: chunked\r\n"
    # Our own version whatever the client's is (RFC 9110 section 2.5): no page is chunked.
    line = b"%s / HTTP/1.1\r\nHost: index\r\n" % head.method
    return line + framing + b"Connection: close\r\n\r\n"


def answer_head(
    answer: AnswerHead,
    route: Route,
    chunked: bool,
    close: bool,
    body: bytes | memoryview = b"",
) -> bytes:
    """The head of the upstream's answer as the client gets it, and what there is of the body.

    Args:
        chunked: the body follows in chunks. close: the connection ends after it.
    """
    block = answer.kept
    ours = route.answer
    end = ours.end
    if ours.names and ours.meets(block):
        if route.private:
            end = end.replace(_PRIVATE, _PRIVATE + _as_long(block), 1)
        block = without(block, ours.names)
    if close:
        block = without(block, {b"connection"})
    if chunked or close:
        coding = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        last = b"Connection: close\r\n" if close else b""
        end = b"%s%s%s\r\n" % (end[:-2], coding, last)
    return b"".join((b"HTTP/1.1 ", answer.status_line, block, end, body))


def _as_long(block: bytes) -> bytes:
    """What else the upstream says to caches that may be the client's own."""
    said = b",".join(_CACHE.findall(block)).split(b",")
    kept = [part.strip() for part in said if not _SHARED.match(part.strip())]
    return b"".join(b", " + part for part in kept if part)


def own_answer(answer: Answer, *, close: bool, bodiless: bool, id: bytes = b"") -> bytes:
    """A whole answer of the gateway's own. id: as for `request_head`."""
    fields = Rendered(answer.fields)
    parts = [f"HTTP/1.1 {answer.status} {_reason(answer)}\r\n".encode(), fields.block]
    if id and b"x-request-id" not in fields.names:
        parts.append(b"%s\n" % id[1 : id.find(b"\r") + 1])
    if b"date" not in fields.names:
        parts.append(f"Date: {formatdate(time.time(), usegmt=True)}\r\n".encode())
    if answer.status != 204:
        parts.append(b"Content-Length: %d\r\n" % len(answer.body))
    parts.append(b"Connection: close\r\n\r\n" if close else b"\r\n")
    if not bodiless and answer.status not in (204, 304):
        parts.append(answer.body)
    return b"".join(parts)


def _reason(answer: Answer) -> str:
    """RFC 9112 section 4, in ASCII: what a stranger has written may stand in it."""
    if answer.reason:
        return "".join(char if " " <= char <= "~" else "?" for char in answer.reason)
    try:
        return HTTPStatus(answer.status).phrase
    except ValueError:
        return ""
