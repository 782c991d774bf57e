"""The heads of requests, judged by one strict grammar (RFC 9112).

Knows bytes and framing; knows no connections and no rules. What is not plainly well-formed is
refused, because two readers could take it for two things: bare CR or LF, folded lines, a space
before the colon, Content-Length beside Transfer-Encoding, either of them twice, any coding but
`chunked`. The first line is judged here, the fields in `said.py`.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.core.errors import Refusal
from gateway.proxy.blocks import BARE, TCHAR
from gateway.proxy.said import Said, read_fields, refuse

_LINE: Final = re.compile(rb"(" + TCHAR + rb"{1,32}+) ([\x21-\x7e]++) HTTP/1\.([01])")


class RequestHead:
    """A judged request head.

    line: method, target and version as they came. block: the fields, each "\\n…\\r"; said: what
    they say. size: bytes of the whole head. persistent: the client allows another request on
    this connection (never in HTTP/1.0).
    """

    __slots__ = ("block", "line", "method", "persistent", "said", "size", "target", "version")

    def __init__(self, line: re.Match[bytes], block: bytes, said: Said) -> None:
        self.line: bytes
        self.method: bytes
        self.target: bytes
        self.version: bytes
        self.line, self.method, self.target, self.version = line.group(0, 1, 2, 3)
        self.block = block
        self.said = said
        self.size = len(self.line) + len(block) + 4
        self.persistent = self.version == b"1" and not said.closes

    @property
    def expects(self) -> bool:
        """The client waits for 100 (RFC 9110 section 10.1.1: not in HTTP/1.0)."""
        return self.said.expects and self.version == b"1"

    def drop_expect(self) -> None:
        """The body is here already, so nothing is expected of the upstream any more."""
        self.said.drop_expect()


def read_request(data: bytes, limit: int, line_limit: int, field_limit: int) -> RequestHead | None:
    """Read one request head from the start of `data`.

    Returns:
        None while its end has not arrived.

    Raises:
        Refusal: `bad_request`, `head_too_large`, `expectation_failed`.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    if end + 4 > limit:
        raise _too_large(limit)
    first = data.find(b"\r")
    if first > line_limit:
        raise _too_large(line_limit)
    line = _LINE.fullmatch(data, 0, first)
    if line is None:
        raise refuse("its first line does not follow the grammar")
    block = data[first + 1 : end + 1]
    said = read_fields(block, field_limit)
    head = RequestHead(line, block, said)
    if head.version == b"1":
        if not said.has_host:
            raise refuse("Host is missing")
    elif said.length is None:
        raise refuse("an HTTP/1.0 request cannot be chunked")
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
