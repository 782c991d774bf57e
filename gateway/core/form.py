"""Reads named fields out of a form as it streams by, where it can be read in exactly one way.

Knows RFC 7578 (multipart) and the WHATWG urlencoded format; knows no rules and does no I/O.
pypiserver deletes by a field of the same form that uploads, and the last of several wins. So
the accepted language is small: whatever two parsers could take apart differently (bottle's, the
one of `cgi`, and stricter ones) is refused. Bodies are never kept; only values looked at are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

from gateway.core.errors import Refusal

VALUE_LIMIT: Final = 64
URLENCODED_LIMIT: Final = 64 * 2**10
HEAD_LIMIT: Final = 4 * 2**10
PART_LIMIT: Final = 1000

# No parameter but the boundary: a charset would make two readings (bottle reads UTF-8).
_MULTIPART: Final = re.compile(
    r'multipart/form-data[ \t]*;[ \t]*boundary=(?:([\w.+-]{1,70})|"([\w.+-]{1,70})")',
    re.IGNORECASE | re.ASCII,
)
_URLENCODED: Final = re.compile(
    r"application/x-www-form-urlencoded(?:[ \t]*;[ \t]*charset=utf-8)?", re.IGNORECASE
)
_ESCAPED: Final = re.compile(r"(?:[\x21-\x24\x26-\x3a\x3c-\x7e]|%[0-9A-Fa-f]{2})*+")
# The disposition as browsers, requests, curl and twine write it: both quoted, no escapes, no
# RFC 2231 forms, in this order.
_DISPOSITION: Final = re.compile(r'form-data; ?name="([^"\\]*)"(?:; ?filename="([^"\\]*)")?')
_PLAIN_TYPE: Final = re.compile(r"text/plain(?:; ?charset=(?:utf-8|us-ascii))?", re.IGNORECASE)
_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?charset=[\w-]+)?", re.ASCII)
# Types that `cgi.FieldStorage` goes on parsing inside a part.
_NESTING: Final = ("multipart/", "message/", "application/x-www-form-urlencoded")
_TRANSFER: Final = frozenset({"binary", "8bit", "7bit"})


class _Reader(Protocol):
    @property
    def judging(self) -> bool:
        """Whether bytes of a looked-at value are in what was fed so far, but not its end."""
        ...

    def feed(self, data: bytes) -> None: ...

    def finish(self) -> None: ...


class FormJudge:
    """Looks for fields of a form.

    Args:
        content_type: the request's Content-Type, as sent ("" for none).
        content_encoding: its Content-Encoding, "" for none.
        names: the fields to look at.

    fields: what was found so far. complete: the form has ended well.

    A caller that may send bytes on before `decided` calls `release` first. A server that acts
    on a truncated body (bottle under wsgiref does) must never get the value of a field that
    is still to be judged, so from then on a looked-at field is refused where its head ends.

    Every method raises Refusal `unreadable_form` for a form that is not in the accepted
    language, that has one of `names` twice, as a file, in another spelling, or with a value
    of more than 64 bytes or outside of printable ASCII.
    """

    def __init__(self, content_type: str, content_encoding: str, names: Collection[str]) -> None:
        self.fields: Final[dict[str, str]] = {}
        self.complete = False
        self._released = False
        self._names: Final = {_folded(name): name for name in names}
        self._reader: _Reader
        if content_encoding.strip().lower() not in ("", "identity"):
            raise unreadable("it is compressed")
        multipart = _MULTIPART.fullmatch(content_type.strip())
        if multipart:
            self._reader = _Multipart((multipart[1] or multipart[2]).encode(), self)
        elif _URLENCODED.fullmatch(content_type.strip()):
            self._reader = _Urlencoded(self)
        else:
            raise unreadable("its Content-Type is not that of a plain form")

    @property
    def decided(self) -> bool:
        """Whether every field looked for was found (a second one is still refused later)."""
        return len(self.fields) == len(self._names)

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the body."""
        self._reader.feed(data)

    def release(self) -> None:
        """What was fed so far goes on its way although a field is missing."""
        if self._reader.judging:
            raise unreadable("a field that decides comes too late")
        self._released = True

    def finish(self) -> None:
        """The body has ended."""
        self._reader.finish()
        self.complete = True

    def wanted(self, name: str) -> bool:
        """Whether a field is looked at; another spelling of such a name is refused."""
        meant = self._names.get(_folded(name))
        if meant is None:
            if _folded(name) == "_charset_":
                raise unreadable("a field names a charset")
            return False
        if meant != name:
            raise unreadable(f"a field is almost called {meant!r}")
        if name in self.fields:
            raise unreadable(f"the field {name!r} is there twice")
        if self._released:
            raise unreadable(f"the field {name!r} comes too late")
        return True

    def found(self, name: str, value: bytes) -> None:
        if len(value) > VALUE_LIMIT:
            raise unreadable(f"the field {name!r} is too long")
        text = value.decode("latin-1")
        if not (text.isascii() and text.isprintable()):
            raise unreadable(f"the field {name!r} is not plain text")
        if name in self.fields:
            raise unreadable(f"the field {name!r} is there twice")
        self.fields[name] = text


def unreadable(why: str) -> Refusal:
    return Refusal("unreadable_form", why=why)


def _folded(name: str) -> str:
    """What a forgiving parser might take a name for: no blanks, quotes, escapes, case, width."""
    text = unquote_to_bytes(name).decode("utf-8", "replace")
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in text if char.isprintable() and char not in " '\"\\[]+*")


class _Urlencoded:
    """application/x-www-form-urlencoded, kept whole: it is small or refused."""

    def __init__(self, judge: FormJudge) -> None:
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


class _Multipart:
    """multipart/form-data in a strict dialect: CRLF only, nothing before or after, and the
    delimiter's text nowhere but in delimiters (`cgi` takes it after a bare LF, too)."""

    def __init__(self, boundary: bytes, judge: FormJudge) -> None:
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
