"""The two forms of form, each in a dialect so strict that every parser reads it alike.

Knows RFC 7578 and the WHATWG urlencoded format; which fields matter, the judge knows. Each tells
up to which byte a body is `safe`: a server that gets no more than that and takes it for the
whole body (pypiserver does on several servers) finds no field in it that was not judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

from gateway.core.http.form_heads import HeadLines, PartHead, unreadable
from gateway.core.phrases import _

VALUE_LIMIT: Final = 64
URLENCODED_LIMIT: Final = 64 * 2**10
PART_LIMIT: Final = 1000

_RAW: Final = r"[\x21-\x24\x26-\x3a\x3c-\x7e]*+"
_ESCAPED: Final = re.compile(rf"{_RAW}(?:%[0-9A-Fa-f]{{2}}{_RAW})*")


class Judge(Protocol):
    """Who is asked about names and told values; all may raise Refusal."""

    def wanted(self, name: str) -> bool: ...

    def found(self, name: str, value: bytes) -> None: ...

    def passed_over(self, name: str, value: bytes) -> None:
        """A field that is not looked at."""
        ...

    def begins(self, head: PartHead) -> bool:
        """The head of a part is complete: whether its value is looked at."""
        ...

    def content(self, data: bytes) -> int:
        """Content of the part that has begun: how many bytes of it to keep back, counted from
        the end of what has come."""
        ...

    def ends(self) -> None:
        """The content of the part is complete."""
        ...


class Urlencoded:
    """application/x-www-form-urlencoded, kept whole: it is small or refused."""

    safe: Final = 0
    judging: Final = True

    def __init__(self, judge: Judge) -> None:
        self._judge: Final = judge
        self._body: Final = bytearray()

    def feed(self, data: bytes) -> None:
        if len(self._body) + len(data) > URLENCODED_LIMIT:
            raise unreadable(_("it is too long"))
        self._body.extend(data)

    def finish(self) -> None:
        text = self._body.decode("latin-1")
        # Among others without ";", which bottle takes for "&", and without controls.
        if not _ESCAPED.fullmatch(text):
            raise unreadable(_("it has characters or escapes that do not belong there"))
        for pair in text.split("&"):
            raw, _mark, raw_value = pair.partition("=")
            name = _unescaped(raw)
            try:
                read = name.decode()
            except UnicodeDecodeError:
                raise unreadable(_("a name is not UTF-8")) from None
            if self._judge.wanted(read):
                self._judge.found(read, _unescaped(raw_value))
            else:
                self._judge.passed_over(read, _unescaped(raw_value))


def _unescaped(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


class Multipart:
    """multipart/form-data in a strict dialect: CRLF only, nothing after its end and at most one
    empty line before its beginning (distutils writes it), and the delimiter's text nowhere but
    in delimiters (`cgi` takes it after a bare LF, too).

    safe: offset in the body. A head goes on when it is judged whole, a looked-at value when it
        has ended, all other content but for what may be the beginning of a delimiter.
    """

    def __init__(self, boundary: bytes, judge: Judge) -> None:
        self.safe = 0
        self._judge: Final = judge
        self._marker: Final = b"--" + boundary
        self._buffer = b""
        self._used = 0  # offset in the body of what is in the buffer
        self._parts = 0
        self._step: Callable[[bytes], int] = self._start
        self._lines = HeadLines()
        self._part: PartHead | None = None
        self._looked_at = False
        self._value = bytearray()
        self._size = 0  # of the part's content so far
        self._last = False  # no part may follow

    @property
    def judging(self) -> bool:
        """Whether some of a looked-at value has come, but not its end."""
        return self._looked_at

    def feed(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        while data:
            step = self._step
            used = step(data)
            if used:
                self._used += used
                data = data[used:]
            elif self._step == step:
                break
        self._buffer = data

    def finish(self) -> None:
        if self._step not in (self._end, self._over) or self._buffer:
            raise unreadable(_("it ends too early"))

    def _start(self, data: bytes) -> int:
        if self._used == 0 and data[:1] == b"\r":
            if not b"\r\n".startswith(data[:2]):
                raise unreadable(_("it does not begin with its boundary"))
            return 2 if len(data) > 1 else 0
        size = len(self._marker)
        if not data.startswith(self._marker[: len(data)]):
            raise unreadable(_("it does not begin with its boundary"))
        if len(data) < size:
            return 0
        self._step = self._delimited
        return size

    def _delimited(self, data: bytes) -> int:
        """What follows a boundary: the next part or the end."""
        if len(data) < 2:
            if data not in (b"\r", b"-"):
                raise unreadable(_("something follows a boundary"))
            return 0
        if data.startswith(b"\r\n"):
            self._parts += 1
            if self._parts > PART_LIMIT:
                raise unreadable(_("it has too many fields"))
            if self._last:
                raise unreadable(_("a field follows a file that says its length"))
            self._lines = HeadLines()
            self._step = self._head
        elif data.startswith(b"--"):
            self._step = self._end
        else:
            raise unreadable(_("something follows a boundary"))
        return 2

    def _head(self, data: bytes) -> int:
        """One line. It ends in CR LF: `cgi` takes a bare LF, and would take what follows an
        early end of the head for the value."""
        end = data.find(b"\n")
        line = data if end < 0 else data[:end]
        bare = line.find(b"\r")
        if (0 <= bare < len(line) - 1) or (end >= 0 and bare < 0):
            raise unreadable(_("the head of a field is malformed"))
        if end < 0:
            self._lines.room(len(line))
            return 0
        if line == b"\r":
            self._begin(self._used + end + 1)
        else:
            self._lines.add(line[:-1])
        return end + 1

    def _begin(self, offset: int) -> None:
        """The head is complete, and the content begins at this offset."""
        self._part = part = self._lines.end()
        self._looked_at = self._judge.begins(part)
        self._value.clear()
        self._size = 0
        # A file that says its length is read by it at devpi, which then finds no further part.
        self._last = part.length is not None and part.filename is not None
        if not self._looked_at:
            self.safe = offset
        self._step = self._body

    def _body(self, data: bytes) -> int:
        """Content up to the next delimiter, whose text may stand nowhere else."""
        marker = self._marker
        at = data.find(marker)
        if at < 0:
            # Keep what may be the start of a delimiter: mostly nothing, so mostly no copy.
            last = data.find(b"-", max(0, len(data) - len(marker) + 1))
            while last >= 0 and not marker.startswith(data[last:]):
                last = data.find(b"-", last + 1)
            used = len(data) if last < 0 else last
            # The line end before a delimiter is no content; it waits for what follows it.
            if data.endswith(b"\r\n", 0, used):
                used -= 2
            elif data.endswith(b"\r", 0, used):
                used -= 1
            if used:
                self._take(data[:used])
            return used
        if at < 2 or data[at - 2 : at] != b"\r\n":
            raise unreadable(_("its boundary is not on a line of its own"))
        self._take(data[: at - 2])
        self._complete(self._used + at - 2)
        self._step = self._delimited
        return at + len(marker)

    def _take(self, data: bytes) -> None:
        part = self._part
        assert part is not None
        self._size += len(data)
        if part.length is not None and self._size > part.length:
            raise unreadable(_("a field is longer than it says"))
        if part.ascii_only and not data.isascii():
            raise unreadable(_("a field has characters that do not belong to its charset"))
        if self._looked_at:
            self._value += data
            if len(self._value) > VALUE_LIMIT:
                raise unreadable(_("the field {name!r} is too long", name=part.name))
        else:
            kept = self._judge.content(data)
            self.safe = max(self.safe, self._used + len(data) - kept)

    def _complete(self, offset: int) -> None:
        """The content has ended at this offset."""
        part = self._part
        assert part is not None
        if part.length is not None and self._size != part.length:
            raise unreadable(_("a field is shorter than it says"))
        if self._looked_at:
            self._judge.found(part.name, bytes(self._value))
            self._looked_at = False
        else:
            self._judge.ends()
        self.safe = offset
        self._part = None

    def _end(self, data: bytes) -> int:
        if data == b"\r":
            return 0
        self._step = self._over
        return len(b"\r\n") if data.startswith(b"\r\n") else self._over(data)

    def _over(self, data: bytes) -> int:
        raise unreadable(_("something follows its end"))
