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
from gateway.proxy.blocks import BARE, TCHAR, without
from gateway.proxy.said import Said, read_fields, refuse

_LINE: Final = re.compile(rb"(" + TCHAR + rb"{1,32}+) ([\x21-\x7e]++) HTTP/1\.([01])")


class RequestHead:
    """A judged request head.

    line: method, target and version as they came. block: the fields, each "\\n…\\r".
    size: bytes of the whole head. persistent: the client allows another request on this
    connection. The others: see `Said`.
    """

    __slots__ = (
        "block", "expects", "forwarded_for", "has_host", "kept", "length", "line", "method",
        "own_cookie", "persistent", "size", "target", "version",
    )  # fmt: skip

    def __init__(self, line: re.Match[bytes], block: bytes, said: Said) -> None:
        self.method: bytes
        self.target: bytes
        self.version: bytes
        self.line: bytes = line[0]
        self.method, self.target, self.version = line.groups()
        self.block = block
        self.size = len(self.line) + len(block) + 4
        self.kept = said.kept
        self.length = said.length
        self.own_cookie = said.own_cookie
        self.has_host = said.has_host
        self.expects = said.expects
        self.forwarded_for = said.forwarded_for
        self.persistent = not said.closes
        if self.version == b"0":
            self._of_old(said)

    def _of_old(self, said: Said) -> None:
        """HTTP/1.0: no chunks, no expectations (RFC 9110 section 10.1.1), never kept open."""
        if said.length is None:
            raise refuse("its Transfer-Encoding is not the single word 'chunked'")
        self.expects = False
        self.persistent = False

    def drop_expect(self) -> None:
        """The body is here already, so nothing is expected of the upstream any more."""
        self.expects = False
        self.kept = without(self.kept, {b"expect"})


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
    if not said.has_host and line[3] == b"1":
        raise refuse("Host is missing")
    return RequestHead(line, block, said)


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
