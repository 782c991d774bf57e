"""Bodies as they arrive, one interface for both framings. No I/O.

Chunked transfer coding (RFC 9112 section 7.1), decoded strictly and written anew.

No I/O: bytes in, pieces out. Sizes are one to sixteen hex digits; lines end in CR LF; chunk
extensions and trailers are checked and dropped, and there may be only so much of them.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from gateway.core.phrases import _
from gateway.proxy.http1.syntax import BARE, TCHAR, VALUE

BODY_ENDS: Final = _("its body ends too early")


class Body(Protocol):
    """Finds the end of a body. `ChunkDecoder` is the other one."""

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> tuple[list[bytes], list[bytes]]:
        """What to send on, and the bare content of it; raises `chunked.BadChunk`."""
        ...


class EndlessBody:
    """A body that ends with its connection, put into chunks."""

    __slots__ = ()
    END: Final = b"0\r\n\r\n"
    done = False
    rest = b""

    def feed(self, data: bytes) -> tuple[list[bytes], list[bytes]]:
        return [b"%x\r\n" % len(data), data, b"\r\n"], [data]


class SizedBody:
    """A body of declared length. `left`: bytes still to come."""

    __slots__ = ("done", "left", "rest")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> tuple[list[bytes], list[bytes]]:
        left = self.left
        if len(data) >= left:
            self.rest = data[left:]
            data = data[:left]
            self.done = True
        self.left = left - len(data)
        return [data], [data]


# One size line, its extensions apart (RFC 9112 section 7.1.1, without the optional bad
# whitespace that senders must not write).
_QDTEXT: Final = rb"[\t\x20\x21\x23-\x5b\x5d-\x7e]*+"
_QUOTED: Final = rb'"' + _QDTEXT + rb"(?:\\[\t\x20-\x7e]" + _QDTEXT + rb')*"'
_EXTENSIONS: Final = rb"(?:;" + TCHAR + rb"++(?:=(?:" + TCHAR + rb"++|" + _QUOTED + rb"))?)+"
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:\r\n|(" + _EXTENSIONS + rb")\r\n)")
# A trailer is dropped, but one that would declare a length again is nobody's mistake
# (RFC 9110 section 6.5.1).
_TRAILER: Final = re.compile(
    rb"(?!(?i:content-length|transfer-encoding):)" + TCHAR + rb"++:" + VALUE + rb"\r\n"
)
_PARTIAL_SIZE: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:(?:;" + VALUE + rb")?\r?)?)?")
_LINE_LIMIT: Final = 4096
# Bytes of extensions beyond those of content (RFC 9112 section 7.1.1: a recipient limits them).
# Somebody who signs each chunk of an upload stays far below; nothing but extensions is a flood
# (CVE-2023-39326).
_EXTENSION_LIMIT: Final = 16384
_TRAILER_LIMIT: Final = 16384
_LARGEST: Final = (1 << 62) - 1


def chunk(content: bytes, *, last: bool) -> bytes:
    """Content as one chunk (nothing for none), and the end of the body behind the last."""
    framed = b"%x\r\n%s\r\n" % (len(content), content) if content else b""
    return framed + b"0\r\n\r\n" if last else framed


class BadChunk(Exception):
    """Chunk framing that does not follow the grammar."""


class ChunkDecoder:
    """Takes a chunked body apart as it arrives.

    Attributes:
        done: the body has ended.
        rest: once done, what came after its end.
    """

    __slots__ = ("_extra", "_held", "_left", "_state", "_trailer", "done", "rest")

    def __init__(self) -> None:
        self._extra = 0
        self._held = b""
        self._left = 0
        self._trailer = 0
        self._state = _size
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> tuple[list[bytes], list[bytes]]:
        """Take the next bytes.

        Returns:
            What to send on with chunk framing written anew, and the bare content.

        Raises:
            BadChunk: the framing is refused; nothing of `data` may be used.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        framed: list[bytes] = []
        content: list[bytes] = []
        at = 0
        end = len(data)
        while at < end and not self.done:
            moved = self._state(self, data, at, framed, content)
            if moved == at:
                break
            at = moved
        if self.done:
            self.rest = data[at:]
        else:
            self._held = data[at:]
        return framed, content


def _size(
    self: ChunkDecoder, data: bytes, at: int, framed: list[bytes], content: list[bytes]
) -> int:
    match = _SIZE.match(data, at)
    if match is None:
        if (
            len(data) - at > _LINE_LIMIT
            or data.find(b"\n", at) >= 0
            or not _PARTIAL_SIZE.fullmatch(data, at)
        ):
            raise BadChunk("the size of a chunk cannot be read")
        return at
    digits, extension = match.groups()
    size = int(digits, 16)
    if extension:
        self._extra = max(0, self._extra - size) + len(extension)
        if self._extra > _EXTENSION_LIMIT:
            raise BadChunk("it has too many chunk extensions")
    if size > _LARGEST or match.end() - at > _LINE_LIMIT:
        raise BadChunk("a chunk is too large")
    self._left = size
    if size:
        framed.append(b"%x\r\n" % size)
        self._state = _data
    else:
        self._state = _trailer
    return match.end()


def _data(
    self: ChunkDecoder, data: bytes, at: int, framed: list[bytes], content: list[bytes]
) -> int:
    piece = data[at : at + self._left]
    self._left -= len(piece)
    framed.append(piece)
    content.append(piece)
    if not self._left:
        self._state = _data_end
    return at + len(piece)


def _data_end(
    self: ChunkDecoder, data: bytes, at: int, framed: list[bytes], content: list[bytes]
) -> int:
    end = data[at : at + 2]
    if end != b"\r\n"[: len(end)]:
        raise BadChunk("a chunk does not end in CR LF")
    if len(end) < 2:
        return at
    framed.append(end)
    self._state = _size
    return at + 2


def _trailer(
    self: ChunkDecoder, data: bytes, at: int, framed: list[bytes], content: list[bytes]
) -> int:
    if data.startswith(b"\r\n", at):
        framed.append(b"0\r\n\r\n")
        self.done = True
        return at + 2
    end = data.find(b"\n", at) + 1
    if self._trailer + (end or len(data)) - at > _TRAILER_LIMIT:
        raise BadChunk("the trailers are too large")
    if not end:
        if BARE.search(data, at):
            raise BadChunk("a trailer has a bare CR")
        return at
    if not _TRAILER.fullmatch(data, at, end):
        raise BadChunk("a trailer does not follow the grammar")
    self._trailer += end - at
    return end
