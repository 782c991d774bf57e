"""The heads of requests, judged by one strict grammar (RFC 9112).

Knows bytes and framing; knows no connections and no rules. What is not plainly well-formed is
refused, because two readers could take it for two things: bare CR or LF, folded lines, a space
before the colon, Content-Length beside Transfer-Encoding, either of them twice, any coding but
`chunked`. The first line is judged here, the fields in `said.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from gateway.core.errors import Refusal
from gateway.proxy.blocks import BARE, TCHAR
from gateway.proxy.limits import Limits
from gateway.proxy.said import PLAIN, Said, read_fields, refuse

if TYPE_CHECKING:
    from gateway.proxy.wire import Route

_LINE: Final = re.compile(rb"(" + TCHAR + rb"{1,32}+) ([\x21-\x7e]++) HTTP/1\.([01])")
_NONE: Final[Mapping[bytes, RequestLine]] = MappingProxyType({})


class RequestLine:
    """A judged first line.

    text: method, target and version as they came. last: version 1.0, so no other request
    follows. route: where every request with this line goes, where that is known
    (`Forwarder.quick`).
    """

    __slots__ = ("last", "method", "route", "target", "text", "version")

    def __init__(self, match: re.Match[bytes]) -> None:
        self.text: bytes
        self.method: bytes
        self.target: bytes
        self.version: bytes
        self.text, self.method, self.target, self.version = match.group(0, 1, 2, 3)
        self.last = self.version == b"0"
        self.route: Route | None = None


class RequestHead:
    """A judged request head.

    said: what its fields say. size: bytes of the whole head. persistent: the client allows
    another request on this connection (never in HTTP/1.0).
    """

    __slots__ = ("line", "persistent", "said", "size")

    line: RequestLine
    said: Said
    size: int
    persistent: bool

    @staticmethod
    def of(line: RequestLine, said: Said, size: int) -> RequestHead:
        """Make one; a function costs less than __init__ here."""
        head = RequestHead()
        head.line = line
        head.said = said
        head.size = size
        head.persistent = not (said.closes or line.last)
        return head

    @property
    def method(self) -> bytes:
        return self.line.method

    @property
    def target(self) -> bytes:
        return self.line.target

    @property
    def version(self) -> bytes:
        return self.line.version

    @property
    def block(self) -> bytes:
        return self.said.block

    @property
    def expects(self) -> bool:
        """The client waits for 100 (RFC 9110 section 10.1.1: not in HTTP/1.0)."""
        return self.said.expects and self.version == b"1"

    def drop_expect(self) -> None:
        """The body is here already, so nothing is expected of the upstream any more."""
        self.said.drop_expect()


_made: Final = RequestHead.of


def read_request(
    data: bytes, limits: Limits, known: Mapping[bytes, RequestLine] = _NONE
) -> RequestHead | None:
    """Read one request head from the start of `data`.

    Args:
        known: lines that were judged here before.

    Returns:
        None while its end has not arrived.

    Raises:
        Refusal: `bad_request`, `head_too_large`, `expectation_failed`.
    """
    text, _, rest = data.partition(b"\r")
    line = known.get(text)
    if line is not None:
        said = PLAIN.get(rest)
        if said is not None and len(data) <= limits.head:  # judged before, and nothing behind
            return _made(line, said, len(data))
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    if end + 4 > limits.head:
        raise _too_large(limits.head)
    if line is None:
        line = _line(text, limits.line)
    said = PLAIN.get(rest) or read_fields(data[len(text) + 1 : end + 1], limits.fields)
    if line.version == b"1":
        if not said.has_host:
            raise refuse("Host is missing")
    elif said.length is None:
        raise refuse("an HTTP/1.0 request cannot be chunked")
    return _made(line, said, end + 4)


def _line(text: bytes, limit: int) -> RequestLine:
    if len(text) > limit:
        raise _too_large(limit)
    match = _LINE.fullmatch(text)
    if match is None:
        raise refuse("its first line does not follow the grammar")
    return RequestLine(match)


def unfinished(data: bytes | bytearray, seen: int, limits: Limits) -> None:
    """A head whose end has not come: refuse what can never become one.

    Args:
        seen: how many of the bytes were looked at before.

    Raises:
        Refusal: `bad_request`, `head_too_large`.
    """
    if BARE.search(data, max(0, seen - 1)) or data[:1] in (b"\r", b"\n"):
        raise refuse("a line does not end in CR LF")
    if len(data) >= limits.head:
        raise _too_large(limits.head)
    if len(data) > limits.line and data.find(b"\r", 0, limits.line + 1) < 0:
        raise _too_large(limits.line)


def _too_large(limit: int) -> Refusal:
    return Refusal("head_too_large", limit=str(limit))
