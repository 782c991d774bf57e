"""Whether this interpreter reads what all framing rests on as it is meant.

Every judgement about a head, a path or a form rests on the engine of regular expressions that
the interpreter brings, and engines have had faults: CPython before 3.11.5 took well-formed heads
for broken ones and some broken ones for well-formed (gh-106052). So a table of both is read
before anything is served; it takes a few milliseconds. Knows what each text means; changes and
keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from gateway.core.errors import Refusal
from gateway.core.http.forms import FormJudge
from gateway.core.http.path import parse_target
from gateway.proxy.http1.body import BadChunk, ChunkDecoder
from gateway.proxy.http1.request import RequestReader
from gateway.proxy.http1.response import AnswerReader, BadAnswer
from gateway.proxy.limits import Limits
from gateway.web import forms

Reading = object
Text = TypeVar("Text")
_REFUSED: Final = "refused"
_OFTEN: Final = 20
"""Times that a head is read: what comes often is read by patterns of its own."""

_LIMITS: Final = Limits()
_GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n"
_FORM: Final = "multipart/form-data; boundary=b"
_PART: Final = b'--b\r\nContent-Disposition: form-data; name=":action"\r\n\r\nsubmit\r\n'

# method, target, length of the body (None: chunked), persistent, what goes on of the fields.
REQUESTS: Final[dict[bytes, Reading]] = {
    _GET + b"\r\n": (b"GET", b"/", 0, True, b"\nHost: a\r"),
    b"GET /a%20b?c HTTP/1.0\r\nHost: [::1]:80\r\nX:\r\n\r\n": (
        *(b"GET", b"/a%20b?c", 0, False),
        b"\nHost: [::1]:80\r\nX:\r",
    ),
    b"POST /u/i/ HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 12\r\nAccept:\t*/*\r\n"
    b"User-Agent: \xe9 (x; y)\r\nConnection: close\r\n\r\n": (
        *(b"POST", b"/u/i/", 12, False),
        b"\nHost: a.example:80\r\nContent-Length: 12\r\nAccept:\t*/*\r\nUser-Agent: \xe9 (x; y)\r",
    ),
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: x\r\nA!b: c\r\n\r\n": (
        *(b"PUT", b"/", None, True),
        b"\nHost: a\r\nA!b: c\r",
    ),
    _GET + b"Connection: X-A, keep-alive\r\nX-A: 1\r\n\r\n": (
        *(b"GET", b"/", 0, True),
        b"\nHost: a\r",
    ),
    _GET: None,  # its end has not come
    _GET + b"A: b\nC: d": _REFUSED,
    _GET + b"A : b\r\n\r\n": _REFUSED,
    _GET + b" folded\r\n\r\n": _REFUSED,
    _GET + b": b\r\n\r\n": _REFUSED,
    _GET + b"A\r\n\r\n": _REFUSED,
    _GET + b"A: b\x00\r\n\r\n": _REFUSED,
    _GET + b"A: b\nC: d\r\n\r\n": _REFUSED,
    _GET + b"A: b\rC: d\r\n\r\n": _REFUSED,
    _GET + b"B: c\r\nA(: b\r\n\r\n": _REFUSED,
    _GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n": _REFUSED,
    _GET + b"Content-Length: 1\r\ncontent-length: 1\r\n\r\n": _REFUSED,
    _GET + b"Content-Length: 1 1\r\n\r\n": _REFUSED,
    b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n": _REFUSED,
    b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n": _REFUSED,
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n": _REFUSED,
    b"GET / HTTP/1.2\r\nHost: a\r\n\r\n": _REFUSED,
    b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n": _REFUSED,
}
# status, length, chunked, persistent, what goes on of the fields, size of the head.
_OK: Final = b"HTTP/1.1 200 OK\r\n"
ANSWERS: Final[dict[bytes, Reading]] = {
    _OK + b"Content-Length: 5\r\n\r\nhello": (
        *(200, 5, False, True),
        *(b"\nContent-Length: 5\r", 38),
    ),
    _OK + b"Server: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 16:00:00 GMT\r\n"
    b'Content-Type: text/plain\r\nContent-Length: 5\r\nConnection: keep-alive\r\nETag: "6b-5"\r\n'
    b"\r\nhello": (
        *(200, 5, False, True),
        b"\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 16:00:00 GMT\r\nContent-Type: text/plain"
        b'\r\nContent-Length: 5\r\nConnection: keep-alive\r\nETag: "6b-5"\r',
        161,
    ),
    b"HTTP/1.1 302 Found\r\nTransfer-Encoding: chunked\r\nLocation: /\r\nConnection: close\r\n"
    b"X-A: \xe9\r\n\r\n0\r\n\r\n": (302, None, True, False, b"\nLocation: /\r\nX-A: \xe9\r", 90),
    b"HTTP/1.0 404 \r\n\r\n": (404, None, False, False, b"", 17),
    b"HTTP/1.1 304\r\nETag: x\r\n\r\n": (304, None, False, True, b"\nETag: x\r", 25),
    _OK + b"Connection: close, X-A\r\nX-A: 1\r\nB: c\r\n\r\n": (
        *(200, None, False, False),
        *(b"\nB: c\r", 57),
    ),
    _OK + b"A: b\r\n": None,
    _OK + b"A: b\nC: d": _REFUSED,
    _OK + b"A : b\r\n\r\n": _REFUSED,
    _OK + b"A: b\r\n folded\r\n\r\n": _REFUSED,
    _OK + b"A: b\nC: d\r\n\r\n": _REFUSED,
    _OK + b"A: b\r\nC\r\n\r\n": _REFUSED,
    _OK + b"A: b\r\nC(: d\r\n\r\n": _REFUSED,
    _OK + b"A: \x7f\r\n\r\n": _REFUSED,
    _OK + b"Content-Length: 5, 5\r\n\r\n": _REFUSED,
    b"HTTP/1.1 20 OK\r\n\r\n": _REFUSED,
    b"HTTP/2.0 200 OK\r\n\r\n": _REFUSED,
}
# content, whether the body has ended, what follows it.
CHUNKS: Final[dict[bytes, Reading]] = {
    b"5\r\nhello\r\n0\r\n\r\nX": (b"hello", True, b"X"),
    b'a;b=c;d="e\\"f;"\r\n0123456789\r\n0;g\r\nA: b\r\n\r\n': (b"0123456789", True, b""),
    b"5;a": (b"", False, b""),
    b"5;a\x00": _REFUSED,
    b"5\r\nhello\r\n0\r\nA: b": (b"hello", False, b""),
    b"0\r\nA: b\rC": _REFUSED,
    b"5;a=\r\nhello\r\n": _REFUSED,
    b'5;a="b\r\nhello\r\n': _REFUSED,
    b'5;a="b"c\r\nhello\r\n': _REFUSED,
    b"5 \r\nhello\r\n": _REFUSED,
    b"5\nhello\r\n": _REFUSED,
    b"0\r\nContent-Length: 5\r\n\r\n": _REFUSED,
    b"0\r\nA : b\r\n\r\n": _REFUSED,
}
TARGETS: Final[dict[str, Reading]] = {
    "/": ("/", ""),
    "/a/b.c/?d=%2F": ("/a/b.c", "d=%2F"),
    "/%61/b%20c-1.0~x": ("/a/b c-1.0~x", ""),
    "/a%": _REFUSED,
    "/a%4": _REFUSED,
    "/a%4g": _REFUSED,
    "/a%41%": _REFUSED,
    "/a%2Fb": _REFUSED,
    "/a?b#c": _REFUSED,
    "/a//b": _REFUSED,
    "//a": _REFUSED,
    "/a/../b": _REFUSED,
    "/a/.": _REFUSED,
    "/a;b": _REFUSED,
    "/\xe9": _REFUSED,
}
FORMS: Final[dict[tuple[str, bytes], Reading]] = {
    (_FORM, _PART + b"--b--\r\n"): "submit",
    (_FORM, _PART.replace(b'"\r', b'"; filename="x"\r') + b"--b--\r\n"): _REFUSED,
    (_FORM, _PART.replace(b"\r\n\r\n", b"\n\n") + b"--b--\r\n"): _REFUSED,
    (_FORM, _PART + _PART + b"--b--\r\n"): _REFUSED,
    ("application/x-www-form-urlencoded", b"a=%41+b&%3Aaction=submit"): "submit",
    ("application/x-www-form-urlencoded", b"a=b&:action=submi%7"): _REFUSED,
    ("application/x-www-form-urlencoded", b"a=b;:action=submit"): _REFUSED,
}
OWN_FORMS: Final[dict[bytes, Reading]] = {
    b"code=123456&next=%2Fa+b": {"code": "123456", "next": "/a b"},
    b"code=1%": _REFUSED,
    b"code=%4": _REFUSED,
    b"code=1 2": _REFUSED,
}


def misread() -> Iterator[str]:
    """What this interpreter reads otherwise, a short description of each."""
    requests, answers = RequestReader(_LIMITS), AnswerReader(_LIMITS.head)
    yield from _compared("the head of a request", REQUESTS, lambda data: _request(requests, data))
    yield from _compared("the head of an answer", ANSWERS, lambda data: _answer(answers, data))
    yield from _compared("a chunked body", CHUNKS, _chunks)
    yield from _compared("a target", TARGETS, _target)
    yield from _compared("a form", FORMS, _form)
    yield from _compared("a form of our pages", OWN_FORMS, _own_form)


def _compared(
    what: str, table: dict[Text, Reading], read: Callable[[Text], Reading]
) -> Iterator[str]:
    for text, meant in table.items():
        for _ in range(_OFTEN):
            try:
                found = read(text)
            except (Refusal, BadAnswer, BadChunk):
                found = _REFUSED
            except Exception as error:  # whatever a wrong match leads to
                found = repr(error)
            if found != meant:
                yield f"{what}: {text!r} is {found!r} here, and should be {meant!r}"
                break


def _request(reader: RequestReader, data: bytes) -> Reading:
    head = reader.read(data)
    if head is None:
        reader.unfinished(data, 0)
        return None
    return (head.method, head.target, head.said.length, head.persistent, head.said.kept)


def _answer(reader: AnswerReader, data: bytes) -> Reading:
    head = reader.read(data)
    if head is None:
        return None
    return (head.status, head.length, head.chunked, head.persistent, head.kept, head.size)


def _chunks(data: bytes) -> Reading:
    decoder = ChunkDecoder()
    _, content = decoder.feed(data)
    return (b"".join(content), decoder.done, decoder.rest)


def _target(target: str) -> Reading:
    return tuple(parse_target(target))


def _form(form: tuple[str, bytes]) -> Reading:
    content_type, body = form
    judge = FormJudge(content_type, "", [":action"])
    judge.feed(body)
    judge.finish()
    return judge.fields.get(":action")


def _own_form(body: bytes) -> Reading:
    return forms.parse_form(forms.URLENCODED, body)
