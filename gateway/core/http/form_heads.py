"""The head of one part of a multipart form, judged line by line as the lines are completed.

Knows RFC 7578 and what writers of forms send; accepted is what every reader takes alike (the
`cgi` of pypiserver and devpi, werkzeug, python-multipart): see docs/clients.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import _

HEAD_LIMIT: Final = 4 * 2**10

# As browsers, requests, curl and twine write it: no escapes, no RFC 2231 forms, in this order.
# An unquoted name (.NET's) is a plain word; a file name is always quoted, and never empty (a file
# to some, a value to others, and an error to devpi).
_DISPOSITION: Final = re.compile(
    r'form-data; ?name=(?:"([^"\\]*)"|([A-Za-z0-9_.-]+))(?:; ?filename="([^"\\]+)")?'
)
_PLAIN_TYPE: Final = re.compile(
    r'text/plain(?:; ?charset=(?:([\w-]+)|"([\w-]+)"))?', re.IGNORECASE | re.ASCII
)
_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?charset=([\w-]+))?", re.ASCII)
# Types that `cgi.FieldStorage` goes on parsing inside a part.
_NESTING: Final = ("multipart/", "message/", "application/x-www-form-urlencoded")
_TRANSFER: Final = frozenset({"binary", "8bit", "7bit"})
_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
# devpi decodes a field by the charset of its part, pypiserver never: both read alike what is
# ASCII in one of these, and anything in UTF-8.
_ASCII_SUPERSETS: Final = frozenset(
    {"us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252", "cp1252", "iso-8859-15"}
)
_KNOWN: Final = frozenset(
    {"content-disposition", "content-type", "content-transfer-encoding", "content-length"}
)


def unreadable(why: str) -> Refusal:
    return Refusal(Slug.UNREADABLE_FORM, why=why)


class PartHead(NamedTuple):
    """What the head of a part says.

    name: of the field. filename: None for a part that is no file.
    length: of the content in bytes, None where it does not say.
    ascii_only: the content means the same to all readers only where it is ASCII.
    bare: the name stands without quotes.
    """

    name: str
    filename: str | None
    length: int | None
    ascii_only: bool
    bare: bool

    def may_become(self, names: Collection[str]) -> bool:
        """Whether a server that gets the head cut off could take the name for one of these."""
        return self.bare and any(
            self.name != name and self.name.casefold().startswith(name.casefold()) for name in names
        )


class HeadLines:
    """Collects the lines of one head. Every method raises Refusal `unreadable_form`."""

    def __init__(self) -> None:
        self._fields: Final[dict[str, str]] = {}
        self._size = 0

    def room(self, size: int) -> None:
        """So many bytes of a line are there, and its end is not."""
        if self._size + size > HEAD_LIMIT:
            raise unreadable(_("the head of a field is too long"))

    def add(self, raw: bytes) -> None:
        """A completed line, without its CR LF."""
        self.room(len(raw) + 2)
        self._size += len(raw) + 2
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise unreadable(_("the head of a field is not UTF-8")) from None
        name, colon, value = line.partition(":")
        name = name.lower()
        # `cgi` ends a head at any line of white space, and unfolds one that begins with it.
        if not colon or not line.isprintable() or name in self._fields:
            raise unreadable(_("the head of a field is malformed"))
        if name not in _KNOWN:
            raise unreadable(_("the head of a field says too much"))
        self._fields[name] = value.removeprefix(" ")

    def end(self) -> PartHead:
        """The empty line has come."""
        head = self._fields
        found = _DISPOSITION.fullmatch(head.get("content-disposition", ""))
        if not found:
            raise unreadable(_("a field does not plainly say its name"))
        quoted, bare, filename = found.groups()
        name = bare or quoted or ""
        if "%22" in name + (filename or ""):  # a quote to some
            raise unreadable(_("a field does not plainly say its name"))
        if head.get("content-transfer-encoding", "binary").lower() not in _TRANSFER:
            raise unreadable(_("the head of a field says too much"))
        length = head.get("content-length")
        if length is not None and not _LENGTH.fullmatch(length):
            raise unreadable(_("the length of a field cannot be read"))
        charset = _charset(head.get("content-type", ""), is_file=filename is not None)
        if charset and not (name + (filename or "")).isascii():  # devpi decodes them by it, too
            raise unreadable(_("a field does not plainly say its name"))
        return PartHead(
            name,
            filename,
            None if length is None else int(length),
            ascii_only=bool(charset) and not filename,
            bare=bare is not None,
        )


def _charset(content_type: str, *, is_file: bool) -> str:
    """The charset, where what has this type means the same to all only as long as it is ASCII;
    "" where it means the same to all in any case."""
    if not content_type:
        return ""
    if content_type.lower().startswith(_NESTING):
        raise unreadable(_("a field holds a form itself"))
    found = (_MEDIA_TYPE if is_file else _PLAIN_TYPE).fullmatch(content_type)
    charset = (next(filter(None, found.groups()), "utf-8")).lower() if found else "none"
    if charset == "utf-8":
        return ""
    if charset not in _ASCII_SUPERSETS:
        raise unreadable(_("a field has a type that does not belong in a form"))
    return charset
