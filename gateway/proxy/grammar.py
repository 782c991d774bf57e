"""The heads of requests, judged by one strict grammar (RFC 9112).

Knows bytes and framing; knows no connections and no rules. What is not plainly well-formed is
refused, because two readers could take it for two things: bare CR or LF, folded lines, a space
before the colon, Content-Length beside Transfer-Encoding, either of them twice, any coding but
`chunked`. One compiled expression judges all of a head; then the few fields that matter are
looked at, and the rest is carried as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gateway.core.errors import Refusal
from gateway.core.headers import OWN_COOKIE_PREFIXES, SINGLE, dropped
from gateway.proxy.blocks import (
    BARE,
    DIGITS,
    FIELDS,
    TCHAR,
    TOKENS,
    Cut,
    Layouts,
    merged,
    spans,
)

_REQUEST: Final = re.compile(
    rb"((" + TCHAR + rb"{1,32}+) ([\x21-\x7e]++) HTTP/1\.([01]))\r" + FIELDS
)
# uri-host of RFC 3986 section 3.2.2 without percent-escapes, with an optional port.
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9_.~!$&'()*+,;=-]++|\[[0-9A-Fa-f:.]++\])(?::[0-9]{1,5})?")
_HOSTS: Final[set[bytes]] = set()  # judged before: nearly always one and the same
# At a cookie of the gateway's own, within the value of a Cookie field.
OWN_COOKIE: Final = re.compile(
    rb"(?<![^;: \t])(?:" + b"|".join(re.escape(p.encode()) for p in OWN_COOKIE_PREFIXES) + rb")"
)


_SINGLE: Final = frozenset(name.encode() for name in SINGLE)
_OPTIONS: Final = frozenset({b"close", b"keep-alive"})


class RequestHead:
    """A judged request head.

    line: method, target and version as they came. block: the fields, each "\\n…\\r".
    size: bytes of the whole head. length: of the body; None when it is chunked.
    framed: a body was declared, be it empty.
    persistent: the client allows another request on this connection.
    cuts: spans of `block` that never go upstream. cookie: the span of the Cookie field.
    forwarded_for: X-Forwarded-For values, in order.
    """

    # Most requests have none of these, so they are set only where they are there.
    length: int | None = 0
    framed = False
    expects = False
    has_host = False
    own_cookie = False
    cookie: Cut | None = None
    forwarded_for: list[bytes] | None = None

    def __init__(self, match: re.Match[bytes]) -> None:
        self.line: bytes
        self.line, self.method, self.target, self.version, self.block = match.groups()
        self.size: int = match.end()
        self.persistent: bool = self.version == b"1"  # an HTTP/1.0 connection is never kept
        self.cuts: list[Cut] = []

    def drop_expect(self) -> None:
        """The body is here already, so nothing is expected of the upstream any more."""
        if self.expects:
            self.expects = False
            self.cuts = merged(self.cuts, spans(self.block, {b"expect"}))


def refuse(why: str) -> Refusal:
    return Refusal("bad_request", why=why)


def read_request(data: bytes, limit: int, line_limit: int, field_limit: int) -> RequestHead | None:
    """Read one request head from the start of `data`.

    Returns:
        None while its end has not arrived.

    Raises:
        Refusal: `bad_request`, `head_too_large`, `expectation_failed`.
    """
    match = _REQUEST.match(data)
    if match is None:
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return None
        raise _too_large(limit) if end > limit else refuse("its head does not follow the grammar")
    head = RequestHead(match)
    if head.size > limit:
        raise _too_large(limit)
    if len(head.line) > line_limit:
        raise _too_large(line_limit)
    if head.block.count(b"\n") > field_limit:
        raise refuse("it has too many header fields")
    _judge_request(head)
    return head


def unfinished(data: bytes | bytearray, seen: int, limit: int, line_limit: int) -> None:
    """A head whose end has not come: refuse what can never become one.

    Args:
        seen: how many of the bytes were looked at before.

    Raises:
        Refusal: `bad_request`, `head_too_large`.
    """
    if BARE.search(data, max(0, seen - 1)) or data[:1] in (b"\r", b"\n"):
        raise refuse("a line does not end in CR LF")
    if len(data) >= limit:
        raise _too_large(limit)
    if len(data) > line_limit and data.find(b"\r", 0, line_limit + 1) < 0:
        raise _too_large(line_limit)


def _too_large(limit: int) -> Refusal:
    return Refusal("head_too_large", limit=str(limit))


def _judge_request(head: RequestHead) -> None:
    block = head.block
    cuts = head.cuts
    for mark, cut, judge, many in _LAYOUTS.of(block):
        at = block.find(mark)
        while at >= 0:
            end = block.find(b"\r", at) + 1
            if cut:
                cuts.append((at, end))
            if judge is not None:
                judge(head, block[at + len(mark) : end - 1].strip(b" \t"), (at, end))
            at = block.find(mark, end) if many else -1
    if len(cuts) > 1:
        cuts.sort()
    if not head.has_host and head.version == b"1":
        raise refuse("Host is missing")


def _check(names: list[bytes]) -> None:
    """Refuse what the names alone make ambiguous."""
    if len(set(names)) < len(names):
        for name in _SINGLE:
            if names.count(name) > 1:
                raise refuse(f"{name.decode()} appears twice")
    if b"content-length" in names and b"transfer-encoding" in names:
        raise refuse("it has both Content-Length and Transfer-Encoding")
    if b"upgrade" in names or b"http2-settings" in names:
        raise refuse("it asks for another protocol")


def _connection(head: RequestHead, value: bytes, place: Cut) -> None:
    """RFC 9110 section 7.6.1: what Connection names goes no further."""
    if value == b"keep-alive":
        return
    named = set(TOKENS.findall(value.lower()))
    if b"close" in named:
        head.persistent = False
    named -= _OPTIONS
    if named & _SINGLE:
        raise refuse("Connection names a field that must not be dropped")
    if named:
        head.cuts += [place for place in spans(head.block, named) if place not in head.cuts]


def _host(head: RequestHead, value: bytes, place: Cut) -> None:
    if value not in _HOSTS:
        if not _HOST.fullmatch(value):
            raise refuse("Host is not a host")
        if len(_HOSTS) < 64:
            _HOSTS.add(value)
    head.has_host = True


def _length(head: RequestHead, value: bytes, place: Cut) -> None:
    if not value.isdigit() or len(value) > DIGITS:
        raise refuse("Content-Length is not a number")
    head.length = int(value)
    head.framed = True


def _coding(head: RequestHead, value: bytes, place: Cut) -> None:
    if value.lower() != b"chunked" or head.version == b"0":
        raise refuse("its Transfer-Encoding is not the single word 'chunked'")
    head.length = None
    head.framed = True


def _cookie(head: RequestHead, value: bytes, place: Cut) -> None:
    head.cookie = place
    if OWN_COOKIE.search(value):
        head.own_cookie = True


def _expect(head: RequestHead, value: bytes, place: Cut) -> None:
    if value.lower() != b"100-continue":
        raise Refusal("expectation_failed")
    head.expects = head.version == b"1"  # RFC 9110 section 10.1.1: ignored in HTTP/1.0


def _forwarded_for(head: RequestHead, value: bytes, place: Cut) -> None:
    head.forwarded_for = [*(head.forwarded_for or ()), value]


_JUDGES: Final[dict[bytes, Callable[[RequestHead, bytes, Cut], None]]] = {
    b"host": _host,
    b"content-length": _length,
    b"transfer-encoding": _coding,
    b"cookie": _cookie,
    b"expect": _expect,
    b"connection": _connection,
    b"x-forwarded-for": _forwarded_for,
}
_LAYOUTS: Final = Layouts(dropped, _JUDGES, _check)
