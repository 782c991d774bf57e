"""Reads named fields out of a form as it streams by, where it can be read in exactly one way.

Knows which fields matter and who may not be taken for them; knows no rules and does no I/O.
pypiserver deletes by a field of the same form that uploads, and the last of several wins. So
the accepted language is small: whatever two parsers could take apart differently (bottle's, the
one of `cgi`, and stricter ones) is refused. Bodies are never kept; only values looked at are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from gateway.core.http.form_dialects import VALUE_LIMIT, Multipart, Urlencoded
from gateway.core.http.form_heads import PartHead, unreadable
from gateway.core.phrases import _

# No parameter but the boundary: a charset would make two readings (bottle reads UTF-8). In small
# letters: bottle finds no field in a body of `Multipart/Form-Data`.
_MULTIPART: Final = re.compile(
    r'multipart/form-data[ \t]*;[ \t]*boundary=(?:([\w.+-]{1,70})|"([\w.+-]{1,70})")', re.ASCII
)
_URLENCODED: Final = re.compile(
    r"application/x-www-form-urlencoded(?:[ \t]*;[ \t]*charset=(?:utf-8|UTF-8))?", re.ASCII
)


NOTED_LIMIT: Final = 256


class FilePart(NamedTuple):
    """A part that is a file: the name of its field, and what it calls the file."""

    name: str
    filename: str


class FileObserver(Protocol):
    """Looks at the files of a form as they stream. Every method may raise Refusal."""

    def begins(self, part: FilePart) -> None:
        """The head of a file part is complete; nothing of it has gone on."""
        ...

    def content(self, data: bytes) -> int:
        """The next bytes of that file.

        Returns:
            How many bytes of the file, counted from the end of `data`, must not go on yet: what
            is still to be judged by bytes to come. 0 for none. May reach behind `data`.
        """
        ...

    def ends(self) -> None:
        """The file is complete; its kept back bytes go on afterwards."""
        ...


class _Reader(Protocol):
    @property
    def safe(self) -> int: ...

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
        observer: is shown the files.
        noted: fields whose values are only kept, whatever they are.

    fields: what was found so far. files: the file parts whose heads have come, in order.
    noted: the values of those fields as far as they have come, the first `NOTED_LIMIT` bytes of
    each; where one is there twice, both, with a line feed between.
    complete: the form has ended well.

    A caller that goes on with a body although a field is missing calls `release` first: such a
    field is refused from then on.

    Every method raises Refusal `unreadable_form` for a form that is not in the accepted
    language, that has one of `names` twice, as a file, in another spelling, or with a value
    of more than 64 bytes or outside of printable ASCII; and whatever the observer raises.
    """

    def __init__(
        self,
        content_type: str,
        content_encoding: str,
        names: Collection[str],
        observer: FileObserver | None = None,
        noted: Collection[str] = (),
    ) -> None:
        self.noted: Final[dict[str, bytes]] = {}
        self._noted: Final = frozenset(noted)
        self._noting = ""
        self.fields: Final[dict[str, str]] = {}
        self.files: Final[list[FilePart]] = []
        self.complete = False
        self._released = False
        self._names: Final = {_folded(name): name for name in names}
        self._observer: Final = observer
        self._observed: FileObserver | None = None  # while a file part is under way
        self._reader: _Reader
        if content_encoding.strip().lower() not in ("", "identity"):
            raise unreadable(_("it is compressed"))
        multipart = _MULTIPART.fullmatch(content_type.strip(" \t"))
        if multipart:
            self._reader = Multipart((multipart[1] or multipart[2]).encode(), self)
        elif _URLENCODED.fullmatch(content_type.strip(" \t")):
            self._reader = Urlencoded(self)
        else:
            raise unreadable(_("its Content-Type is not that of a plain form"))

    @property
    def decided(self) -> bool:
        """Whether every field looked for was found (a second one is still refused later)."""
        return len(self.fields) == len(self._names)

    @property
    def safe(self) -> int:
        """How many bytes from the body's beginning may go on.

        A server that gets so many and takes them for the whole body finds those of `fields` in
        them, whole, and no other field that is looked at. Once `finish` has returned: all.
        """
        return self._reader.safe

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the body."""
        self._reader.feed(data)

    def release(self) -> None:
        """The caller goes on with the fields that are there."""
        if self._reader.judging:
            raise unreadable(_("a field that decides comes too late"))
        self._released = True

    def finish(self) -> None:
        """The body has ended."""
        self._reader.finish()
        self.complete = True

    # -- what the readers ask -----------------------------------------------------------------

    def wanted(self, name: str) -> bool:
        """Whether a field is looked at; another spelling of such a name is refused."""
        meant = self._names.get(_folded(name))
        if meant is None:
            if _folded(name) == "_charset_":
                raise unreadable(_("a field names a charset"))
            return False
        if meant != name:
            raise unreadable(_("a field is almost called {name!r}", name=meant))
        if name in self.fields:
            raise unreadable(_("the field {name!r} is there twice", name=name))
        if self._released:
            raise unreadable(_("the field {name!r} comes too late", name=name))
        return True

    def found(self, name: str, value: bytes) -> None:
        if len(value) > VALUE_LIMIT:
            raise unreadable(_("the field {name!r} is too long", name=name))
        text = value.decode("latin-1")
        if not (text.isascii() and text.isprintable()):
            raise unreadable(_("the field {name!r} is not plain text", name=name))
        if name in self.fields:
            raise unreadable(_("the field {name!r} is there twice", name=name))
        self.fields[name] = text

    def begins(self, head: PartHead) -> bool:
        wanted = self.wanted(head.name)
        if head.may_become(self._names.values()):
            raise unreadable(_("a field is called almost like one that decides"))
        if wanted:
            if head.filename is not None:
                raise unreadable(_("the field {name!r} is a file", name=head.name))
            return True
        if head.filename is not None:
            part = FilePart(head.name, head.filename)
            self.files.append(part)
            self._observed = self._observer
            if self._observed is not None:
                self._observed.begins(part)
        elif head.name in self._noted:
            self._noting = head.name
            self.passed_over(head.name, b"")
        return False

    def passed_over(self, name: str, value: bytes) -> None:
        if name in self._noted:
            before = self.noted.get(name)
            kept = value[:NOTED_LIMIT]
            self.noted[name] = kept if before is None else before[:NOTED_LIMIT] + b"\n" + kept

    def content(self, data: bytes) -> int:
        if self._noting:
            kept = self.noted[self._noting]
            self.noted[self._noting] = kept + data[: max(0, 2 * NOTED_LIMIT - len(kept))]
        return 0 if self._observed is None else self._observed.content(data)

    def ends(self) -> None:
        self._noting = ""
        observed, self._observed = self._observed, None
        if observed is not None:
            observed.ends()


def _folded(name: str) -> str:
    """What a forgiving parser might take a name for: no blanks, quotes, escapes, case, width."""
    return _fold(name) if len(name) <= VALUE_LIMIT else _fold.__wrapped__(name)


@lru_cache(maxsize=1024)
def _fold(name: str) -> str:
    text = unquote_to_bytes(name).decode("utf-8", "replace")
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in text if char.isprintable() and char not in " '\"\\[]+*")
