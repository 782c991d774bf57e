"""The heads of an upstream's answers, judged as strictly as requests (RFC 9112).

An answer that two readers could take for two things is never passed on: the upstream is then
`upstream_broken`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from gateway.core.http.cookies import with_same_site
from gateway.core.http.facts import Field
from gateway.core.http.headers import HOP_BY_HOP
from gateway.proxy.http1.memo import Found, Layouts, Shapes, in_order
from gateway.proxy.http1.syntax import (
    BARE,
    DIGITS,
    FIELDS,
    TOKENS,
    VALUE,
    Cut,
    fields,
    kept,
    without,
)

_STATUS: Final = rb"HTTP/1\.([01]) (([1-9][0-9][0-9])(?: " + VALUE + rb")?\r)"
_USUAL: Final = rb"HTTP/1\.1 200(?: " + VALUE + rb")?\r"
_ANSWER: Final = re.compile(_STATUS + rb"(" + FIELDS + rb")\n\r\n")
_CONNECTION: Final = b"\nconnection:"
_SET_COOKIE: Final = re.compile(rb"(\n(?i:set-cookie):)([^\r]*+)")
# Options of a connection, and what Connection cannot take from an answer.
_NOT_CUT: Final = frozenset(
    {b"close", b"keep-alive", b"content-length", b"content-type", b"set-cookie", b"location"}
)


class BadAnswer(Exception):
    """An upstream's answer that cannot be read in exactly one way."""


class AnswerHead:
    """A judged head of an upstream's answer.

    status_line: status and reason as they came, and a CR. size: bytes of the head.
    bodiless: never a body, whatever the fields say (RFC 9112 section 6.3).
    length: the declared length, None when none is. chunked: the body is chunked.
    persistent: the upstream allows another request on this connection.
    kept: the fields that go on to the client, with a mere `Connection: keep-alive`, which is as
    true of the client's connection until `answer_head` says otherwise. whole: written anew, the
    head would be what came. cookies: Set-Cookie values in order.
    """

    __slots__ = (
        "_data", "bodiless", "chunked", "cookies", "kept", "length", "named", "persistent", "size",
        "status", "status_line", "version", "whole",
    )  # fmt: skip

    version: bytes
    status_line: bytes
    status: int
    bodiless: bool
    kept: bytes
    size: int
    persistent: bool
    length: int | None
    chunked: bool
    cookies: list[bytes] | None
    named: set[bytes] | None
    whole: bool
    _data: bytes

    @staticmethod
    def of(groups: Sequence[bytes], kept: bytes, data: bytes, size: int) -> AnswerHead:
        """Make one; a function costs less than __init__ here.

        Args:
            groups: version, status line and status first. data: what begins with this head.
        """
        head = AnswerHead()
        head.version = version = groups[0]
        head.status_line = groups[1]
        if groups[2] == b"200":
            head.status = 200
            head.bodiless = False
        else:
            head.status = number = int(groups[2])
            head.bodiless = number == 304 or number == 204 or number < 200
        head.kept = kept
        head.size = size
        head.persistent = version == b"1"
        head.length = None
        head.chunked = False
        head.cookies = None
        head.named = None
        head.whole = False
        head._data = data
        return head

    @property
    def block(self) -> bytes:
        """The fields."""
        return self._data[self._data.find(b"\r") + 1 : self.size - 3]

    @property
    def fields(self) -> tuple[Field, ...]:
        """Every field, in order."""
        return fields(self.block)

    def keep_cookies_here(self) -> None:
        """No cookie goes on without a SameSite."""
        self.whole = False
        self.kept = _SET_COOKIE.sub(_same_site, self.kept)


_made: Final = AnswerHead.of


def _same_site(found: re.Match[bytes]) -> bytes:
    return found[1] + with_same_site(found[2].decode("latin-1")).encode("latin-1")


class AnswerReader:
    """Reads the heads of answers, and remembers which fields come together.

    shapes: patterns for lists of names that came often.

    Args:
        limit: bytes of a head at most.
    """

    __slots__ = ("_layouts", "_limit", "shapes")

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._layouts: Final = Layouts(HOP_BY_HOP.__contains__, _JUDGES, _check)
        self.shapes: Final[Shapes[_Judge]] = Shapes(_STATUS, 3, rb"\n\r\n", usual=_USUAL)

    def read(self, data: bytes) -> AnswerHead | None:
        """Read one answer head from the start of `data`; None while its end has not arrived.

        Raises:
            BadAnswer: it is not plainly well-formed.
        """
        shapes = self.shapes
        for shape in shapes.recent:
            match = shape.match(data)
            if match is not None:
                shapes.fitted(shape)
                groups = match.groups()
                head = _made(groups, shape.passing(groups), data, match.end())
                head.whole = shape.whole and head.persistent
                for group, look in shape.judged:
                    look(head, groups[group].strip(b" \t"))
                if head.bodiless or head.named or head.size > self._limit:
                    return _finished(head, self._limit)
                return head
        match = _ANSWER.match(data)
        if match is None:
            if (
                b"\r\n\r\n" in data
                or len(data) >= self._limit
                or b"HTTP/1."[: len(data)] != data[:7]
                or BARE.search(data)
            ):
                raise BadAnswer("the head does not follow the grammar")
            return None
        return self._judged(match, data)

    def _judged(self, match: re.Match[bytes], data: bytes) -> AnswerHead:
        """The head that the grammar has found."""
        groups = match.groups()
        block = groups[3]
        head = _made(groups, b"", data, match.end())
        layout = self._layouts.of(block)
        cuts: list[Cut] = []
        found: list[Found[_Judge]] = []
        for mark, cut, judge, many in layout.matters:
            at = block.find(mark)
            while at >= 0:
                end = block.find(b"\r", at) + 1
                value = block[at + len(mark) : end - 1].strip(b" \t")
                if cut and not (value.lower() == b"keep-alive" and mark.lower() == _CONNECTION):
                    cuts.append((at, end))
                if judge is not None:
                    found.append((at, judge, value))
                at = block.find(mark, end) if many else -1
        for _, judge, value in in_order(layout, found):
            judge(head, value)
        head.kept = kept(block, cuts)
        self.shapes.notice(layout)
        return _finished(head, self._limit)

    def sized(self, data: bytes) -> tuple[int, int] | None:
        """Whether an answer is as nearly all are: 200, another one may follow, and its head would
        be written anew as it came.

        Returns:
            The size of its head, and that of its body; None for one that `read` looks at.
        """
        match = self.shapes.sized(data)
        if match is None:
            return None
        size = match.end()
        return (size, int(match[1])) if size <= self._limit else None


def _finished(head: AnswerHead, limit: int) -> AnswerHead:
    if head.size > limit:
        raise BadAnswer("the head is too large")
    if head.bodiless and head.status < 200 and not head.persistent:
        # HTTP/1.0 has no 1xx (RFC 9110 section 15.2), and what closes is not followed by more.
        raise BadAnswer("an answer before the answer ends the connection")
    if head.named:
        head.kept = without(head.kept, head.named)
    return head


# -- what the values mean ---------------------------------------------------------------------


def _check(names: list[bytes]) -> None:
    """Refuse what the names alone make ambiguous."""
    if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
        raise BadAnswer("it declares more than one length")


def _length(head: AnswerHead, value: bytes) -> None:
    if not value.isdigit() or len(value) > DIGITS:
        raise BadAnswer("Content-Length is not one number")
    head.length = int(value)


def _coding(head: AnswerHead, value: bytes) -> None:
    if value.lower() != b"chunked" or head.version == b"0":
        raise BadAnswer("Transfer-Encoding is not the single word 'chunked'")
    head.chunked = True


def _cookie(head: AnswerHead, value: bytes) -> None:
    head.cookies = [*(head.cookies or ()), value]


def _connection(head: AnswerHead, value: bytes) -> None:
    if value.lower() == b"keep-alive":
        return
    named = set(TOKENS.findall(value.lower()))
    if b"close" in named:
        head.persistent = False
    head.named = (named - _NOT_CUT) | (head.named or set())


_Judge: TypeAlias = Callable[[AnswerHead, bytes], None]
_JUDGES: Final[dict[bytes, _Judge]] = {
    b"content-length": _length,
    b"transfer-encoding": _coding,
    b"set-cookie": _cookie,
    b"connection": _connection,
}
