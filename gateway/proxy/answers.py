"""The heads of an upstream's answers, judged as strictly as requests (RFC 9112).

An answer that two readers could take for two things is never passed on: the upstream is then
`upstream_broken`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gateway.core.facts import Field
from gateway.core.headers import HOP_BY_HOP
from gateway.proxy.blocks import (
    BARE,
    DIGITS,
    FIELDS,
    TOKENS,
    Cut,
    Layouts,
    fields,
    spans,
)

_ANSWER: Final = re.compile(
    rb"HTTP/1\.([01]) (([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?)\r" + FIELDS
)
# Options of a connection, and what Connection cannot take from an answer.
_NOT_CUT: Final = frozenset(
    {b"close", b"keep-alive", b"content-length", b"content-type", b"set-cookie", b"location"}
)


class BadAnswer(Exception):
    """An upstream's answer that cannot be read in exactly one way."""


class AnswerHead:
    """A judged head of an upstream's answer.

    status_line: status and reason as they came. block: the fields. size: bytes of the head.
    length: the declared length, None when none is. chunked: the body is chunked.
    persistent: the upstream allows another request on this connection.
    cuts: spans of `block` that end here. cookies: Set-Cookie values in order.
    """

    length: int | None = None
    chunked = False
    cookies: list[bytes] | None = None

    def __init__(self, match: re.Match[bytes]) -> None:
        self.version: bytes
        self.version, self.status_line, status, self.block = match.groups()
        self.status: int = int(status)
        self.size: int = match.end()
        self.persistent: bool = self.version == b"1"
        self.cuts: list[Cut] = []

    @property
    def fields(self) -> tuple[Field, ...]:
        """Every field, in order."""
        return fields(self.block)

    @property
    def bodiless(self) -> bool:
        """RFC 9112 section 6.3: never a body, whatever the fields say."""
        return self.status == 204 or self.status == 304 or self.status < 200


def read_answer(data: bytes, limit: int) -> AnswerHead | None:
    """Read one answer head from the start of `data`; None while its end has not arrived.

    Raises:
        BadAnswer: it is not plainly well-formed.
    """
    match = _ANSWER.match(data)
    if match is None:
        if (
            b"\r\n\r\n" in data
            or len(data) >= limit
            or b"HTTP/1."[: len(data)] != data[:7]
            or BARE.search(data)
        ):
            raise BadAnswer("the head does not follow the grammar")
        return None
    head = AnswerHead(match)
    if head.size > limit:
        raise BadAnswer("the head is too large")
    _judge(head)
    return head


def _judge(head: AnswerHead) -> None:
    block = head.block
    cuts = head.cuts
    for mark, cut, judge, many in _LAYOUTS.of(block):
        at = block.find(mark)
        while at >= 0:
            end = block.find(b"\r", at) + 1
            if cut:
                cuts.append((at, end))
            if judge is not None:
                judge(head, block[at + len(mark) : end - 1].strip(b" \t"))
            at = block.find(mark, end) if many else -1
    if len(cuts) > 1:
        cuts.sort()


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
    if value == b"keep-alive":
        return
    named = set(TOKENS.findall(value.lower()))
    if b"close" in named:
        head.persistent = False
    named -= _NOT_CUT
    if named:
        head.cuts += [place for place in spans(head.block, named) if place not in head.cuts]


_JUDGES: Final[dict[bytes, Callable[[AnswerHead, bytes], None]]] = {
    b"content-length": _length,
    b"transfer-encoding": _coding,
    b"set-cookie": _cookie,
    b"connection": _connection,
}
_LAYOUTS: Final = Layouts(HOP_BY_HOP.__contains__, _JUDGES, _check)
