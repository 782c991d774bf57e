"""An HTML page of the upstream with something of ours before it.

The bytes are put behind the head as if the upstream had sent them, so whatever relays the answer
counts and frames them as its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.proxy.answers import AnswerHead

ASKS_FOR_LESS: Final = frozenset(
    {"accept-encoding", "if-match", "if-modified-since", "if-none-match", "if-range",
     "if-unmodified-since", "range"}
)  # fmt: skip
"""Fields of a request that may be answered with a part of a page, or a packed one."""

_LENGTH: Final = re.compile(rb"(\n(?i:content-length):)[^\r]*+")
_HTML: Final = "text/html"


def begin_with(start: bytes, answer: AnswerHead, data: bytes, *, bodiless: bool) -> bytes:
    """The answer with `start` before its body, if it is a whole HTML page; else as it came.

    Args:
        data: the head and what there is of the body.
        bodiless: none will come, whatever the head says (HEAD).
    """
    if answer.status != 200 or not _is_page(answer.fields):
        return data
    answer.whole = False
    if answer.length is not None:
        answer.length += len(start)
        answer.kept = _LENGTH.sub(rb"\g<1> %d" % answer.length, answer.kept)
    elif answer.chunked:
        start = b"%x\r\n%s\r\n" % (len(start), start)
    return data if bodiless else data[: answer.size] + start + data[answer.size :]


def _is_page(fields: Iterable[tuple[str, str]]) -> bool:
    named = dict(fields)
    kind = named.get("content-type", "").partition(";")[0].strip().lower()
    return kind == _HTML and "content-encoding" not in named
