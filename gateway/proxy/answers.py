"""The heads of an upstream's answers, judged as strictly as requests (RFC 9112).

An answer that two readers could take for two things is never passed on: the upstream is then
`upstream_broken`.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.core.facts import Field
from gateway.core.headers import HOP_BY_HOP
from gateway.proxy.blocks import BARE, FIELDS, LENGTH, TOKENS, Cut, fields, merged, names, spans

_ANSWER: Final = re.compile(
    rb"HTTP/1\.([01]) (([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?)\r" + FIELDS
)
_SPECIAL: Final = re.compile(
    rb"\n(" + names(HOP_BY_HOP | {"content-length", "set-cookie"}) + rb"):[ \t]*+([^\r]*+)\r"
)
_ESSENTIAL: Final = frozenset({b"content-length", b"content-type", b"set-cookie", b"location"})


class BadAnswer(Exception):
    """An upstream's answer that cannot be read in exactly one way."""


class AnswerHead:
    """A judged head of an upstream's answer.

    status_line: status and reason as they came. block: the fields. size: bytes of the head.
    length: the declared length, None when none is. chunked: the body is chunked.
    persistent: the upstream allows another request on this connection.
    cuts: spans of `block` that end here. cookies: Set-Cookie values in order.
    """

    __slots__ = (
        "block", "chunked", "cookies", "cuts", "length", "persistent", "size", "status",
        "status_line", "version",
    )  # fmt: skip

    def __init__(self, match: re.Match[bytes]) -> None:
        version, status_line, status, block = match.groups()
        self.version: bytes = version
        self.status_line: bytes = status_line
        self.status: int = int(status)
        self.block: bytes = block
        self.size: int = match.end()
        self.length: int | None = None
        self.chunked: bool = False
        self.persistent: bool = version == b"1"
        self.cuts: list[Cut] = []
        self.cookies: list[bytes] | None = None

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
    named: list[bytes] = []
    for match in _SPECIAL.finditer(head.block.lower()):
        name, value = match.groups()
        if name == b"content-length":
            _length(head, value.rstrip(b" \t"))
        elif name == b"set-cookie":
            # A cookie's value is case-sensitive: read it where it stands in the block.
            head.cookies = [*(head.cookies or ()), head.block[slice(*match.span(2))]]
        else:
            head.cuts.append(match.span())
            if name == b"transfer-encoding":
                _coding(head, value.rstrip(b" \t"))
            elif name == b"connection":
                named += TOKENS.findall(value)
    if head.chunked and head.length is not None:
        raise BadAnswer("it has both Content-Length and Transfer-Encoding")
    if named:
        _connection(head, set(named))


def _length(head: AnswerHead, value: bytes) -> None:
    if head.length is not None or not LENGTH.fullmatch(value):
        raise BadAnswer("Content-Length is not one number")
    head.length = int(value)


def _coding(head: AnswerHead, value: bytes) -> None:
    if head.chunked or value != b"chunked" or head.version == b"0":
        raise BadAnswer("Transfer-Encoding is not the single word 'chunked'")
    head.chunked = True


def _connection(head: AnswerHead, named: set[bytes]) -> None:
    if b"close" in named:
        head.persistent = False
    others = named - {b"close", b"keep-alive"} - _ESSENTIAL
    if others:
        head.cuts = merged(head.cuts, spans(head.block, others))
