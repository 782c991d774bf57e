"""The two forms of form, each in a dialect so strict that every parser reads it alike.

Knows RFC 7578 and the WHATWG urlencoded format; which fields matter, the judge knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

from gateway.core.errors import Refusal

VALUE_LIMIT: Final = 64
URLENCODED_LIMIT: Final = 64 * 2**10
HEAD_LIMIT: Final = 4 * 2**10
PART_LIMIT: Final = 1000

_RAW: Final = r"[\x21-\x24\x26-\x3a\x3c-\x7e]*+"
_ESCAPED: Final = re.compile(rf"{_RAW}(?:%[0-9A-Fa-f]{{2}}{_RAW})*")
# The disposition as browsers, requests, curl and twine write it: both quoted, no escapes, no
# RFC 2231 forms, in this order.
_BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r[^\n]")
_DISPOSITION: Final = re.compile(r'form-data; ?name="([^"\\]*)"(?:; ?filename="([^"\\]*)")?')
_PLAIN_TYPE: Final = re.compile(
    r"text/plain(?:; ?charset=(?:utf-8|us-ascii))?", re.IGNORECASE | re.ASCII
)
_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?charset=[\w-]+)?", re.ASCII)
# Types that `cgi.FieldStorage` goes on parsing inside a part.
_NESTING: Final = ("multipart/", "message/", "application/x-www-form-urlencoded")
_TRANSFER: Final = frozenset({"binary", "8bit", "7bit"})


class Judge(Protocol):
    """Who is asked about names and told values; both may raise Refusal."""

    def wanted(self, name: str) -> bool: ...

    def found(self, name: str, value: bytes) -> None: ...


def unreadable(why: str) -> Refusal:
    return Refusal("unreadable_form", why=why)


class Urlencoded:
    """application/x-www-form-urlencoded, kept whole: it is small or refused."""

    def __init__(self, judge: Judge) -> None:
        self._judge: Final = judge
        self._body: Final = bytearray()

    @property
    def judging(self) -> bool:
        return True

    def feed(self, data: bytes) -> None:
        if len(self._body) + len(data) > URLENCODED_LIMIT:
            raise unreadable("it is too long")
        self._body.extend(data)

    def finish(self) -> None:
        text = self._body.decode("latin-1")
        # Among others without ";", which bottle takes for "&", and without controls.
        if not _ESCAPED.fullmatch(text):
            raise unreadable("it has characters or escapes that do not belong there")
        for pair in text.split("&"):
            raw, _, raw_value = pair.partition("=")
            name = _unescaped(raw)
            try:
                read = name.decode()
            except UnicodeDecodeError:
                raise unreadable("a name is not UTF-8") from None
            if self._judge.wanted(read):
                self._judge.found(read, _unescaped(raw_value))


def _unescaped(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


class Multipart:
    """multipart/form-data in a strict dialect: CRLF only, nothing before or after, and the
    delimiter's text nowhere but in delimiters (`cgi` takes it after a bare LF, too)."""

    def __init__(self, boundary: bytes, judge: Judge) -> None:
        self._judge: Final = judge
        self._marker: Final = b"--" + boundary
        self._buffer = b""
        self._parts = 0
        self._step: Callable[[bytes], int] = self._start
        self._name: str | None = None
        self._value = bytearray()
        self._before = b""

    @property
    def judging(self) -> bool:
        return self._name is not None

    def feed(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        while data:
            step = self._step
            used = step(data)
            if used:
                data = data[used:]
            elif self._step == step:
                break
        self._buffer = data

    def finish(self) -> None:
        if self._step not in (self._end, self._over) or self._buffer:
            raise unreadable("it ends too early")

    def _start(self, data: bytes) -> int:
        size = len(self._marker)
        if not data.startswith(self._marker[: len(data)]):
            raise unreadable("it does not begin with its boundary")
        if len(data) < size:
            return 0
        self._step = self._delimited
        return size

    def _delimited(self, data: bytes) -> int:
        """What follows a boundary: the next part or the end."""
        if len(data) < 2:
            return 0
        if data.startswith(b"\r\n"):
            self._parts += 1
            if self._parts > PART_LIMIT:
                raise unreadable("it has too many fields")
            self._step = self._head
        elif data.startswith(b"--"):
            self._step = self._end
        else:
            raise unreadable("something follows a boundary")
        return 2

    def _head(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n", 0, HEAD_LIMIT)
        if end < 0:
            if len(data) >= HEAD_LIMIT:
                raise unreadable("the head of a field is too long")
            # What is waited for goes on its way already where a body was released: `bottle` ends
            # a head after a bare LF, too, and would take the rest for the value.
            if _BARE_LINE_END.search(data):
                raise unreadable("the head of a field is malformed")
            return 0
        self._name = self._read_head(data[:end])
        self._value.clear()
        self._before = b""
        self._step = self._body
        return end + 4

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
            self._take(data[:used] if self._name is not None else b"")
            self._before = (self._before + data[max(0, used - 2) : used])[-2:]
            return used
        if (self._before + data[max(0, at - 2) : at])[-2:] != b"\r\n":
            raise unreadable("its boundary is not on a line of its own")
        if self._name is not None:
            self._take(data[:at])
            self._judge.found(self._name, bytes(self._value[:-2]))
            self._name = None
        self._step = self._delimited
        return at + len(marker)

    def _take(self, data: bytes) -> None:
        self._value += data
        if len(self._value) > VALUE_LIMIT + 2:
            raise unreadable(f"the field {self._name!r} is too long")

    def _end(self, data: bytes) -> int:
        if data == b"\r":
            return 0
        self._step = self._over
        return len(b"\r\n") if data.startswith(b"\r\n") else self._over(data)

    def _over(self, data: bytes) -> int:
        raise unreadable("something follows its end")

    def _read_head(self, raw: bytes) -> str | None:
        """The name of a part whose value is looked at, else None."""
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise unreadable("the head of a field is not UTF-8") from None
        head: dict[str, str] = {}
        for line in text.split("\r\n"):
            name, colon, value = line.partition(":")
            if not colon or not line.isprintable() or name.lower() in head:
                raise unreadable("the head of a field is malformed")
            head[name.lower()] = value.removeprefix(" ")
        disposition = _DISPOSITION.fullmatch(head.pop("content-disposition", ""))
        content_type = head.pop("content-type", "")
        if head.pop("content-transfer-encoding", "binary").lower() not in _TRANSFER or head:
            raise unreadable("the head of a field says too much")
        if not disposition:
            raise unreadable("a field does not plainly say its name")
        name, filename = disposition[1], disposition[2]
        allowed = _PLAIN_TYPE if filename is None else _MEDIA_TYPE
        if content_type and not allowed.fullmatch(content_type):
            raise unreadable("a field has a type that does not belong in a form")
        if content_type.lower().startswith(_NESTING):
            raise unreadable("a field holds a form itself")
        if not self._judge.wanted(name):
            return None
        if filename is not None:
            raise unreadable(f"the field {name!r} is a file")
        return name
