"""An HTML page of the upstream with something of ours before it.

The bytes are put behind the head as if the upstream had sent them, so whatever relays the answer
counts and frames them as its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.proxy.http1.response import AnswerHead

_LENGTH: Final = re.compile(rb"(\n(?i:content-length):)[^\r]*+")
_HTML: Final = "text/html"

# Whether a page is laid out by the rules of today hangs on its doctype (HTML standard, section
# 13.2.6.4.1): the page's own stays the first, and a page without one gets none.
_DOCTYPE: Final = b"<!doctype html>"
_BEFORE: Final = rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*+>\s*+)?"
_HAS_DOCTYPE: Final = re.compile(_BEFORE + rb"<!doctype[^>]*+>", re.IGNORECASE)
_HAS_NONE: Final = re.compile(_BEFORE + rb"<(?:html|head|title|meta|body)[\s>]", re.IGNORECASE)
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def begin_with(start: bytes, answer: AnswerHead, data: bytes, *, bodiless: bool) -> bytes:
    """The answer with `start` before its body, if it is a whole HTML page; else as it came.

    Args:
        start: begins with a doctype of its own, for a page whose beginning has not come yet.
        data: the head and what there is of the body.
        bodiless: none will come, whatever the head says (HEAD).
    """
    if answer.status != 200 or not _is_page(answer.fields):
        return data
    body = data[answer.size :]
    if body.startswith(_UTF16):  # ours is in another encoding
        return data
    answer.whole = False
    at = 0
    if answer.length is not None:
        at, start = _fitted(start, body)
        answer.length += len(start)
        answer.kept = _LENGTH.sub(rb"\g<1> %d" % answer.length, answer.kept)
    elif answer.chunked:
        start = b"%x\r\n%s\r\n" % (len(start), start)
    return data if bodiless else data[: answer.size] + body[:at] + start + body[at:]


def _fitted(start: bytes, body: bytes) -> tuple[int, bytes]:
    """Where `start` goes in a body that begins so, and as what. Its length stays: HEAD tells it."""
    found = _HAS_DOCTYPE.match(body)
    if found is None and _HAS_NONE.match(body) is None:
        return 0, start
    return (found.end() if found else 0), start.replace(_DOCTYPE, b" " * len(_DOCTYPE), 1)


def _is_page(fields: Iterable[tuple[str, str]]) -> bool:
    named = dict(fields)
    kind = named.get("content-type", "").partition(";")[0].strip().lower()
    return kind == _HTML and "content-encoding" not in named
