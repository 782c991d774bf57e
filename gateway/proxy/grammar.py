"""The heads of requests, judged by one strict grammar (RFC 9112).

Knows bytes and framing; knows no connections and no rules. What is not plainly well-formed is
refused, because two readers could take it for two things: bare CR or LF, folded lines, a space
before the colon, Content-Length beside Transfer-Encoding, either of them twice, any coding but
`chunked`. A head is read in two passes of a compiled expression: one judges all of it, one
finds the few fields that matter; the rest is carried as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gateway.core.errors import Refusal
from gateway.core.headers import (
    HOP_BY_HOP,
    IDENTITY_AND_ROUTE,
    IDENTITY_AND_ROUTE_PREFIXES,
    OWN_COOKIE_PREFIXES,
    SINGLE,
)
from gateway.proxy.blocks import BARE, FIELDS, LENGTH, TCHAR, TOKENS, Cut, merged, names, spans

_REQUEST: Final = re.compile(
    rb"((" + TCHAR + rb"{1,32}+) ([\x21-\x7e]++) HTTP/1\.([01]))\r" + FIELDS
)
# uri-host of RFC 3986 section 3.2.2 without percent-escapes, with an optional port.
_HOST: Final = re.compile(rb"(?:[a-z0-9_.~!$&'()*+,;=-]++|\[[0-9a-f:.]++\])(?::[0-9]{1,5})?")
# At a cookie of the gateway's own, within the value of a Cookie field.
OWN_COOKIE: Final = re.compile(
    rb"(?<![^;: \t])(?:" + b"|".join(re.escape(p.encode()) for p in OWN_COOKIE_PREFIXES) + rb")"
)


# Fields of a lower-cased block that need a look, by name; the second group holds what is
# dropped for its name's form alone (a prefix, an underscore).
_SPECIAL: Final = re.compile(
    rb"\n(?:("
    + names(HOP_BY_HOP | IDENTITY_AND_ROUTE | SINGLE | {"x-forwarded-for"})
    + rb")|((?:"
    + names(IDENTITY_AND_ROUTE_PREFIXES)
    + rb")[^:]*+|[^:_]*+_[^:]*+)):[ \t]*+([^\r]*+)\r"
)
_DROPPED: Final = frozenset(name.encode() for name in HOP_BY_HOP | IDENTITY_AND_ROUTE)
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

    __slots__ = (
        "block", "cookie", "cuts", "expects", "forwarded_for", "framed", "has_host", "length",
        "line", "method", "own_cookie", "persistent", "size", "target", "version",
    )  # fmt: skip

    def __init__(self, match: re.Match[bytes]) -> None:
        line, method, target, version, block = match.groups()
        self.line: bytes = line
        self.method: bytes = method
        self.target: bytes = target
        self.version: bytes = version
        self.block: bytes = block
        self.size: int = match.end()
        self.length: int | None = 0
        self.persistent: bool = version == b"1"  # an HTTP/1.0 connection is never kept
        self.framed: bool = False
        self.expects: bool = False
        self.has_host: bool = False
        self.own_cookie: bool = False
        self.cookie: Cut | None = None
        self.cuts: list[Cut] = []
        self.forwarded_for: list[bytes] | None = None

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
    seen: set[bytes] = set()
    named: list[bytes] = []
    cuts = head.cuts
    for match in _SPECIAL.finditer(head.block.lower()):
        name, _, value = match.groups()
        if name is None:
            cuts.append(match.span())
            continue
        if name in _SINGLE:
            if name in seen:
                raise refuse(f"{name.decode()} appears twice")
            seen.add(name)
        if name in _DROPPED:
            cuts.append(match.span())
        if name == b"connection":
            named += TOKENS.findall(value)
        elif name in _JUDGES:
            _JUDGES[name](head, value.rstrip(b" \t"), match)
    if b"host" not in seen and head.version == b"1":
        raise refuse("Host is missing")
    if named:
        _connection(head, named)


def _connection(head: RequestHead, named: list[bytes]) -> None:
    """RFC 9110 section 7.6.1: what Connection names goes no further."""
    if b"close" in named:
        head.persistent = False
    others = set(named) - _OPTIONS
    if others & _SINGLE:
        raise refuse("Connection names a field that must not be dropped")
    if others:
        head.cuts = merged(head.cuts, spans(head.block, others))


def _host(head: RequestHead, value: bytes, match: re.Match[bytes]) -> None:
    if not _HOST.fullmatch(value):
        raise refuse("Host is not a host")
    head.has_host = True


def _length(head: RequestHead, value: bytes, match: re.Match[bytes]) -> None:
    if head.length is None:
        raise refuse("it has both Content-Length and Transfer-Encoding")
    if not LENGTH.fullmatch(value):
        raise refuse("Content-Length is not a number")
    head.length = int(value)
    head.framed = True


def _coding(head: RequestHead, value: bytes, match: re.Match[bytes]) -> None:
    if head.framed:
        raise refuse("it has both Content-Length and Transfer-Encoding")
    if value != b"chunked" or head.version == b"0":
        raise refuse("its Transfer-Encoding is not the single word 'chunked'")
    head.length = None
    head.framed = True


def _cookie(head: RequestHead, value: bytes, match: re.Match[bytes]) -> None:
    # Names of cookies are case-sensitive, so the value is read where it stands in the block.
    head.cookie = match.span()
    if OWN_COOKIE.search(head.block, *match.span(3)):
        head.own_cookie = True


def _expect(head: RequestHead, value: bytes, match: re.Match[bytes]) -> None:
    if value != b"100-continue":
        raise Refusal("expectation_failed")
    head.expects = head.version == b"1"  # RFC 9110 section 10.1.1: ignored in HTTP/1.0


def _upgrade(head: RequestHead, value: bytes, match: re.Match[bytes]) -> None:
    raise refuse("it asks for another protocol")


def _forwarded_for(head: RequestHead, value: bytes, match: re.Match[bytes]) -> None:
    head.forwarded_for = [*(head.forwarded_for or ()), value]
    head.cuts.append(match.span())


_JUDGES: Final[dict[bytes, Callable[[RequestHead, bytes, re.Match[bytes]], None]]] = {
    b"host": _host,
    b"content-length": _length,
    b"transfer-encoding": _coding,
    b"cookie": _cookie,
    b"expect": _expect,
    b"upgrade": _upgrade,
    b"http2-settings": _upgrade,
    b"x-forwarded-for": _forwarded_for,
}
