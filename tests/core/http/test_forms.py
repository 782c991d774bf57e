"""The form judge: reports what the upstream's own parser would see, or refuses."""

from __future__ import annotations

import io
import json
import re
import subprocess
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import aiohttp
import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pypiserver.bottle_wrapper.bottle import BaseRequest
from requests import Request
from requests_toolbelt import MultipartEncoder

from gateway.core.errors import Refusal, Slug
from gateway.core.http.forms import FilePart, FormJudge
from tests.support.form_readers import READERS

BOUNDARY = b"f2b0c7d5a8e94d0d8b2f1c3a4b5c6d7e"
TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"
URLENCODED = "application/x-www-form-urlencoded"


def judge(
    body: bytes, content_type: str = TYPE, *, piece: int = 0, encoding: str = ""
) -> FormJudge:
    """Feed a whole body, in pieces of that many bytes."""
    reader = FormJudge(content_type, encoding, [":action"])
    for start in range(0, len(body), piece or len(body) or 1):
        reader.feed(body[start : start + (piece or len(body))])
    reader.finish()
    return reader


def seen_by_bottle(body: bytes, content_type: str | None) -> str | None:
    """The `:action` that pypiserver would act on."""
    environ: dict[str, object] = {
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    if content_type is not None:
        environ["CONTENT_TYPE"] = content_type
    try:
        value = BaseRequest(environ).forms[":action"]
    except Exception:
        return None  # pypiserver answers 400 or 500: nothing is deleted
    return str(value)


def part(name: bytes, value: bytes, *, head: bytes = b"", boundary: bytes = BOUNDARY) -> bytes:
    return b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
        boundary, name, head, value,
    )  # fmt: skip


def file(value: bytes, name: bytes = b"pkg-1.0.tar.gz") -> bytes:
    head = b'; filename="%s"\r\nContent-Type: application/octet-stream' % name
    return part(b"content", value, head=head)


END = b"--" + BOUNDARY + b"--\r\n"
UPLOAD = part(b":action", b"file_upload")
REMOVE = part(b":action", b"remove_pkg")
NAME = part(b"name", b"pkg")

READ = {
    "upload": (NAME + UPLOAD + file(b"data") + END, "file_upload"),
    "deletion": (NAME + REMOVE + part(b"version", b"1.0") + END, "remove_pkg"),
    "action last": (file(b"data") + REMOVE + END, "remove_pkg"),
    "no line end at the end": (REMOVE + END[:-2], "remove_pkg"),
    "an empty file": (UPLOAD + file(b"") + END, "file_upload"),
    "a file of dashes": (UPLOAD + file(b"--\r\n--" * 50) + END, "file_upload"),
    "a file that ends like a boundary": (
        UPLOAD + file(b"\r\n--" + BOUNDARY[:-1]) + END,
        "file_upload",
    ),
    "typed field": (
        part(b":action", b"remove_pkg", head=b"\r\nContent-Type: text/plain; charset=utf-8") + END,
        "remove_pkg",
    ),
    "lower-case head": (
        b"--"
        + BOUNDARY
        + b'\r\ncontent-disposition: form-data; name=":action"\r\n\r\nverify\r\n'
        + END,
        "verify",
    ),
    "empty value": (part(b":action", b"") + END, ""),
    "utf-8 in a file's name": (UPLOAD + file(b"x", "é.tar.gz".encode()) + END, "file_upload"),
}


@pytest.mark.parametrize("piece", [0, 1, 2, 3, 5, 17])
@pytest.mark.parametrize(("body", "action"), READ.values(), ids=READ)
def test_plain_forms_are_read(body: bytes, action: str, piece: int) -> None:
    reader = judge(body, piece=piece)
    assert reader.fields == {":action": action}
    assert reader.complete
    assert seen_by_bottle(body, TYPE) == action


# Part heads that writers of forms send and that mean nothing; every reader finds the same behind.
def lines(*head: bytes, value: bytes = b"pkg") -> bytes:
    return (
        b"--"
        + BOUNDARY
        + b"\r\n"
        + b"".join(line + b"\r\n" for line in head)
        + (b"\r\n" + value + b"\r\n")
    )


PLAIN = b'Content-Disposition: form-data; name="name"'
CONTENT = b'Content-Disposition: form-data; name="content"; filename="pkg-1.0.tar.gz"'
ACCEPTED = {
    "length of a field": lines(PLAIN, b"Content-Length: 3"),
    "length in front": lines(b"Content-Length: 3", PLAIN),
    "length of an empty field": lines(PLAIN, b"Content-Length: 0", value=b""),
    "length of the last file": lines(CONTENT, b"Content-Length: 4", value=b"\r\n\r\n"),
    "plain text": lines(PLAIN, b"Content-Type: text/plain"),
    "utf-8": lines(PLAIN, b"Content-Type: text/plain; charset=utf-8", value="é".encode()),
    "UTF-8 in quotes": lines(PLAIN, b'Content-Type: text/plain;charset="UTF-8"'),
    "latin-1 of ASCII": lines(
        PLAIN, b"Content-Type: text/plain; charset=ISO-8859-1", b"Content-Transfer-Encoding: 8bit"
    ),
    "us-ascii": lines(PLAIN, b"Content-Type: text/plain; charset=US-ASCII"),
    "binary": lines(CONTENT, b"Content-Type: a/b", b"Content-Transfer-Encoding: binary"),
    "unquoted name": lines(b"Content-Disposition: form-data; name=name"),
    "unquoted name, type first": lines(
        b"Content-Type: text/plain; charset=utf-8", b"Content-Disposition: form-data; name=name"
    ),
    "unquoted name of a file": lines(
        b'Content-Disposition: form-data; name=content; filename="pkg-1.0.tar.gz"'
    ),
}


@pytest.mark.parametrize("piece", [0, 1])
@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED)
def test_heads_that_mean_nothing_are_accepted(body: bytes, piece: int) -> None:
    body = UPLOAD + body + END
    assert judge(body, piece=piece).fields == {":action": "file_upload"}
    found = [reader(body, TYPE, len(body)) for reader in READERS.values()]
    assert all(sorted(map(str, each)) == sorted(map(str, found[0])) for each in found), found
    assert len(found[0]) == 2


# As `setup.py sdist upload` writes it.
DISTUTILS_BOUNDARY = b"--------------GHSKFJDLGDS7543FJKLFHRE75642756743254"
DISTUTILS = (
    b"".join(
        b"\r\n--" + DISTUTILS_BOUNDARY + b"\r\nContent-Disposition: form-data; " + head
        for head in (
            b'name=":action"\r\n\r\nfile_upload',
            b'name="protocol_version"\r\n\r\n1',
            b'name="name"\r\n\r\nhello',
            b'name="content"; filename="hello-1.0.tar.gz"\r\n\r\n\x1f\x8b\x08\r\n--',
            b'name="metadata_version"\r\n\r\n1.0',
            b'name="license"\r\n\r\n',
        )
    )
    + b"\r\n--"
    + DISTUTILS_BOUNDARY
    + b"--\r\n"
)


@pytest.mark.parametrize("piece", [0, 1, 2, 3])
def test_what_distutils_sends_is_read(piece: int) -> None:
    kind = f"multipart/form-data; boundary={DISTUTILS_BOUNDARY.decode()}"
    read = judge(DISTUTILS, kind, piece=piece)
    assert read.fields == {":action": "file_upload"}
    assert read.files == [FilePart("content", "hello-1.0.tar.gz")]
    found = [reader(DISTUTILS, kind, len(DISTUTILS)) for reader in READERS.values()]
    assert all(sorted(map(str, each)) == sorted(map(str, found[0])) for each in found), found
    assert len(found[0]) == 6


def disposition(text: bytes) -> bytes:
    return b"--" + BOUNDARY + b"\r\n" + text + b"\r\n\r\nremove_pkg\r\n" + END


B = BOUNDARY
REFUSED: dict[str, bytes] = {
    "two actions": UPLOAD + REMOVE + END,
    "two equal actions": UPLOAD + UPLOAD + END,
    "a second action after the file": UPLOAD + file(b"data") + REMOVE + END,
    "action as a file": part(b":action", b"remove_pkg", head=b'; filename=""') + END,
    "action with blanks": part(b" :action", b"remove_pkg") + END,
    "action with a blank behind": part(b":action ", b"remove_pkg") + END,
    "action in capitals": part(b":Action", b"remove_pkg") + END,
    "action percent-encoded": part(b"%3Aaction", b"remove_pkg") + END,
    "action in full width": part("：action".encode(), b"remove_pkg") + END,
    "action with a zero-width joiner": part(":act\u200dion".encode(), b"remove_pkg") + END,
    "action as a list": part(b":action[]", b"remove_pkg") + END,
    "action with a NUL": part(b":action\x00", b"remove_pkg") + END,
    "long value": part(b":action", b"x" * 65) + END,
    "value of two lines": part(b":action", b"remove_pkg\r\nx") + END,
    "value with a tab": part(b":action", b"remove_pkg\t") + END,
    "value that is not ASCII": part(b":action", "é".encode()) + END,
    "charset field": part(b"_charset_", b"utf-7") + UPLOAD + END,
    "preamble": b"x\r\n" + UPLOAD + END,
    "two empty lines in front": b"\r\n\r\n" + UPLOAD + END,
    "a bare LF in front": b"\n" + UPLOAD + END,
    "a CR in front": b"\r" + UPLOAD + END,
    "epilogue": UPLOAD + END + REMOVE + END,
    "empty lines behind": UPLOAD + END + b"\r\n",
    "cut": UPLOAD + file(b"data"),
    "cut in the end": UPLOAD + END[:-3],
    "empty": b"",
    "no form at all": b"remove_pkg",
    "bare LF lines": (UPLOAD + END).replace(b"\r\n", b"\n"),
    "LF behind a boundary": UPLOAD.replace(B + b"\r\n", B + b"\n") + END,
    "LF before a boundary": UPLOAD + file(b"x\n--" + B + b'\r\nContent-Disposition: form-data; '
                                          b'name=":action"\r\n\r\nremove_pkg') + END,
    "CR before a boundary": UPLOAD + file(b"x\r--" + B + b"\r\n") + END,
    "boundary inside a line": UPLOAD + file(b"x--" + B) + END,
    "boundary with more behind": UPLOAD + file(b"x\r\n--" + B + b"x") + END,
    "boundary with blanks behind": UPLOAD + file(b"x\r\n--" + B + b"  \r\n") + END,
    "boundary at the start of a value": b"--" + B + b'\r\nContent-Disposition: form-data; name="x"'
                                        b"\r\n\r\n--" + B + b"\r\n" + REMOVE + END,
    "folded head": disposition(b'Content-Disposition: form-data;\r\n name=":action"'),
    "two dispositions": disposition(
        b'Content-Disposition: form-data; name="x"\r\n'
        b'Content-Disposition: form-data; name=":action"'
    ),
    "two types": disposition(
        b'Content-Disposition: form-data; name="x"\r\nContent-Type: text/plain\r\n'
        b"content-type: text/plain"
    ),
    "two names": disposition(b'Content-Disposition: form-data; name="x"; name=":action"'),
    "name twice, last plain": disposition(
        b'Content-Disposition: form-data; name=":action"; name="x"'
    ),
    "bare name": disposition(b"Content-Disposition: form-data; name=:action"),
    "single quotes": disposition(b"Content-Disposition: form-data; name=':action'"),
    "RFC 2231 name": disposition(b"Content-Disposition: form-data; name*=utf-8''%3Aaction"),
    "RFC 2231 name, in parts": disposition(
        b'Content-Disposition: form-data; name*0=":act"; name*1="ion"'
    ),
    "RFC 2231 file name": disposition(
        b"Content-Disposition: form-data; name=\"x\"; filename*=utf-8''a"
    ),
    "escaped quote": disposition(b'Content-Disposition: form-data; name="x\\"; name=\\":action"'),
    "another disposition": disposition(b'Content-Disposition: attachment; name=":action"'),
    "no disposition": disposition(b"Content-Type: text/plain"),
    "empty head": b"--" + B + b"\r\n\r\nremove_pkg\r\n" + END,
    "blank before the colon": disposition(b'Content-Disposition : form-data; name=":action"'),
    "a header more": disposition(b'Content-Disposition: form-data; name="x"\r\nContent-Length: 3'),
    "a line that is no header": disposition(b'Content-Disposition: form-data; name="x"\r\nx'),
    "length that is wrong": disposition(PLAIN + b"\r\nContent-Length: 11"),
    "length that is no number": disposition(PLAIN + b"\r\nContent-Length: +10"),
    "length in full width": disposition(PLAIN + "\r\nContent-Length: １０".encode()),
    "length of a file that is not the last": lines(CONTENT, b"Content-Length: 3") + UPLOAD + END,
    "latin-1 that is not ASCII": UPLOAD + lines(
        PLAIN, b"Content-Type: text/plain; charset=iso-8859-1", value=b"\xe9"
    ) + END,
    "unquoted name that does not belong there": disposition(
        b"Content-Disposition: form-data; name=a/b"
    ),
    "unquoted file name": disposition(b'Content-Disposition: form-data; name="x"; filename=x'),
    "empty file name": disposition(b'Content-Disposition: form-data; name="x"; filename=""'),
    "escaped quote in a file name": disposition(
        b'Content-Disposition: form-data; name="x"; filename="a%22b"'
    ),
    "line of a blank ends the head": lines(PLAIN, b" "),
    "line of a tab ends the head": lines(PLAIN, b"\t"),
    "line of a vertical tab ends the head": lines(PLAIN, b"\x0b"),
    "line of a form feed ends the head": lines(PLAIN, b"\x0c"),
    "line of an information separator": lines(PLAIN, b"\x1c"),
    "LF in the head": disposition(b'Content-Disposition: form-data; name="x"\nx: y'),
    "vertical tab in the head": disposition(b'Content-Disposition: form-data; name="x\x0by"'),
    "line separator in the head": disposition(
        'Content-Disposition: form-data; name="x\u2028y"'.encode()
    ),
    "head that is no UTF-8": disposition(b'Content-Disposition: form-data; name="\xff"'),
    "long head": disposition(b'Content-Disposition: form-data; name="' + b"x" * 5000 + b'"'),
    "transfer encoding": disposition(
        b'Content-Disposition: form-data; name=":action"\r\nContent-Transfer-Encoding: base64'
    ),
    "nested multipart": disposition(
        b'Content-Disposition: form-data; name="x"; filename="y"\r\n'
        b"Content-Type: multipart/mixed; boundary=z"
    ),
    "nested form": disposition(
        b'Content-Disposition: form-data; name="x"; filename="y"\r\n'
        b"Content-Type: application/x-www-form-urlencoded"
    ),
    "nested message": disposition(
        b'Content-Disposition: form-data; name="x"; filename="y"\r\nContent-Type: message/rfc822'
    ),
    "charset of a file": disposition(
        b'Content-Disposition: form-data; name="content"; filename="+AHY-ictim-1.0.zip"\r\n'
        b"Content-Type: application/zip; charset=utf-7"
    ),
    "charset of a file's name": disposition(
        'Content-Disposition: form-data; name="content"; filename="päckage-1.0.zip"\r\n'.encode()
        + b"Content-Type: application/zip; charset=iso-8859-1"
    ),
    "charset of a value": disposition(
        b'Content-Disposition: form-data; name=":action"\r\n'
        b"Content-Type: text/plain; charset=utf-16"
    ),
    "many fields": part(b"x", b"y") * 1001 + END,
}  # fmt: skip


@pytest.mark.parametrize("piece", [0, 1, 7])
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_could_be_read_differently_is_refused(body: bytes, piece: int) -> None:
    with pytest.raises(Refusal) as caught:
        judge(body, piece=piece)
    assert caught.value.slug == "unreadable_form"
    assert caught.value.detail["why"]


TYPES = {
    "none": "",
    "json": "application/json",
    "text": "text/plain",
    "other multipart": "multipart/mixed; boundary=x",
    "related multipart": "multipart/related; boundary=x",
    "no boundary": "multipart/form-data",
    "empty boundary": "multipart/form-data; boundary=",
    "two boundaries": "multipart/form-data; boundary=x; boundary=y",
    "a charset": "multipart/form-data; boundary=x; charset=utf-8",
    "a charset in front": "multipart/form-data; charset=utf-7; boundary=x",
    "RFC 2231 boundary": "multipart/form-data; boundary*=utf-8''x",
    "blanks in the boundary": 'multipart/form-data; boundary="x y"',
    "odd boundary": "multipart/form-data; boundary=x,y",
    "one quote": 'multipart/form-data; boundary="x',
    "long boundary": "multipart/form-data; boundary=" + "x" * 71,
    "comma": "multipart/form-data, text/plain; boundary=x",
    "another charset": f"{URLENCODED}; charset=utf-7",
    "a boundary for urlencoded": f"{URLENCODED}; boundary=x",
    "capitals, which bottle finds nothing in": "Multipart/Form-Data; boundary=x",
    "long s": "application/x-www-form-urlencoded; char\u017fet=utf-8",
}


@pytest.mark.parametrize("content_type", TYPES.values(), ids=TYPES)
def test_types_that_are_no_plain_form_are_refused(content_type: str) -> None:
    with pytest.raises(Refusal):
        judge(b":action=file_upload", content_type)


def test_a_quoted_boundary_is_the_same() -> None:
    quoted = f'multipart/form-data;boundary="{BOUNDARY.decode()}"'
    assert judge(UPLOAD + END, quoted).fields == {":action": "file_upload"}


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_compressed_forms_are_refused(encoding: str) -> None:
    with pytest.raises(Refusal):
        judge(UPLOAD + END, encoding=encoding)


# -- urlencoded --------------------------------------------------------------------------------

PAIRS = {
    "plain": (b":action=remove_pkg&name=pkg&version=1.0", "remove_pkg"),
    "encoded": (b"name=pkg&%3Aaction=remove%5Fpkg", "remove_pkg"),
    "empty pairs": (b"&&:action=verify&", "verify"),
    "plus": (b"name=a+b&:action=verify", "verify"),
}


@pytest.mark.parametrize("piece", [0, 1])
@pytest.mark.parametrize(("body", "action"), PAIRS.values(), ids=PAIRS)
def test_urlencoded_forms_are_read(body: bytes, action: str, piece: int) -> None:
    assert judge(body, URLENCODED, piece=piece).fields == {":action": action}
    assert judge(body, f"{URLENCODED}; charset=UTF-8").fields == {":action": action}
    assert seen_by_bottle(body, URLENCODED) == action


BAD_PAIRS = {
    "twice": b":action=verify&:action=remove_pkg",
    "twice, once encoded": b":action=verify&%3aaction=remove_pkg",
    "semicolon": b"x=1;:action=remove_pkg",
    "blank": b"x=1 &:action=remove_pkg",
    "line end": b":action=remove_pkg\r\n",
    "bad escape": b"x=%zz&:action=remove_pkg",
    "raw byte": b"x=\xe9&:action=remove_pkg",
    "name that is no UTF-8": b"%ff=1&:action=remove_pkg",
    "blank in the name": b"+:action=remove_pkg",
    "capitals": b":ACTION=remove_pkg",
    "encoded twice": b"%253Aaction=remove_pkg",
    "full width": b"%EF%BC%9Aaction=remove_pkg",
    "charset": b"_charset_=utf-7&:action=verify",
    "NUL in the value": b":action=remove_pkg%00",
    "long": b"x=" + b"y" * 2**16 + b"&:action=remove_pkg",
}


@pytest.mark.parametrize("body", BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_urlencoded_forms_that_could_be_read_differently_are_refused(body: bytes) -> None:
    with pytest.raises(Refusal):
        judge(body, URLENCODED)


# -- against bottle ----------------------------------------------------------------------------

PIECES = [
    *REFUSED.values(), *(body for body, _ in READ.values()), UPLOAD, REMOVE, NAME, END,
    b"\r\n", b"\n", b"\r", b"--", B, b"--" + B, b'name=":action"', b"remove_pkg", b'"', b";", b" ",
    b"Content-Disposition: form-data; ", b"Content-Type: multipart/mixed; boundary=" + B,
    b"Content-Length: 4", b'filename="x"', b"_charset_", b"\t", b"\x0b", b"\x85", b"\xe2\x80\xa8",
    b":action=remove_pkg", b"&", b"%3A",
]  # fmt: skip


class Edit(NamedTuple):
    at: int
    cut: int
    insert: bytes


EDITS = st.lists(
    st.builds(
        Edit,
        st.integers(0, 600),
        st.sampled_from([0, 0, 0, 1, 2, 4, 40]),
        st.sampled_from(PIECES) | st.binary(max_size=3),
    ),
    max_size=4,
)
FORM_TYPES = st.sampled_from(
    [TYPE] * 6
    + [URLENCODED, *TYPES.values(), TYPE + "; boundary=x", TYPE.replace("form-data", "mixed")]
)
BODIES = st.one_of(
    st.lists(
        st.sampled_from(
            [UPLOAD, REMOVE, NAME, file(b"data"), file(REMOVE), part(b":action", b"x")]
        ),
        max_size=5,
    ).map(lambda parts: b"".join(parts) + END),
    st.sampled_from([*REFUSED.values(), *(body for body, _ in READ.values())]),
    st.sampled_from([*BAD_PAIRS.values(), *(body for body, _ in PAIRS.values())]),
)


@settings(max_examples=1500, deadline=None)
@given(BODIES, EDITS, FORM_TYPES, st.integers(0, 40))
@example(REFUSED["LF before a boundary"], [], TYPE, 0)
@example(REFUSED["boundary with blanks behind"], [], TYPE, 3)
def test_what_bottle_sees_is_reported_or_refused(
    body: bytes, edits: list[Edit], content_type: str, piece: int
) -> None:
    """Whenever pypiserver would see an action, the judge reports just that one or refuses."""
    for edit in edits:
        body = body[: edit.at] + edit.insert + body[edit.at + edit.cut :]
    try:
        found = judge(body, content_type, piece=piece).fields.get(":action")
    except Refusal:
        return
    assert seen_by_bottle(body, content_type or None) == found


@settings(max_examples=300, deadline=None)
@given(BODIES, EDITS, st.data())
def test_bytes_sent_on_before_a_decision_never_hold_an_action(
    body: bytes, edits: list[Edit], data: st.DataObject
) -> None:
    """What was released, and then cut off, is no deletion for a server that reads truncated
    bodies (bottle under wsgiref does)."""
    for edit in edits:
        body = body[: edit.at] + edit.insert + body[edit.at + edit.cut :]
    release = data.draw(st.integers(0, len(body)))
    piece = data.draw(st.integers(1, 60))
    reader = FormJudge(TYPE, "", [":action"])
    sent = b""
    try:
        reader.feed(body[:release])
        if not reader.decided:
            reader.release()
        sent = body[:release]
        for start in range(release, len(body), piece):
            reader.feed(body[start : start + piece])
            sent += body[start : start + piece]
        reader.finish()
    except Refusal:
        pass
    if ":action" not in reader.fields:
        assert seen_by_bottle(sent, TYPE) in (None, "")


@pytest.mark.parametrize("end", [b"\n\n", b"\n\r\n", b"\r\r", b"\r\n\n"])
def test_a_head_that_ends_oddly_is_refused_before_its_value_is_sent_on(end: bytes) -> None:
    """A body that was released goes on its way as it comes, and may be cut off at any byte."""
    marker = b"--" + TYPE.rpartition("=")[2].encode()
    head = b'\r\nContent-Disposition: form-data; name=":action"'
    body = marker + head + end + b"remove_pkg\r\n" + marker + b"--\r\n"
    reader = FormJudge(TYPE, "", [":action"])
    reader.release()
    sent = 0
    with pytest.raises(Refusal):
        for sent, byte in enumerate(body):  # noqa: B007
            reader.feed(bytes([byte]))
    assert b"r" not in body[len(marker + head) : sent].replace(b"\r", b"")


# -- how far a body may go ------------------------------------------------------------------


def test_a_head_waits_until_it_is_judged_whole() -> None:
    reader = FormJudge(TYPE, "", [":action"])
    body = UPLOAD + NAME + file(b"data")
    at_head = len(UPLOAD) - 2  # the value's end; the line end belongs to the delimiter
    seen = set()
    for at in range(len(body)):
        reader.feed(body[at : at + 1])
        seen.add(reader.safe)
        assert reader.safe <= at + 1
    ends = {0, at_head, body.index(b"\r\n\r\npkg") + 4, body.index(b"pkg\r\n") + 3}
    assert ends < seen
    heads = [body.index(b"--" + B, at) for at in (1, len(UPLOAD + NAME))]
    for start in heads:
        end = body.index(b"\r\n\r\n", start) + 4
        assert not seen & set(range(start - 1, end))


def test_content_goes_on_but_for_the_beginning_of_a_delimiter() -> None:
    reader = FormJudge(TYPE, "", [":action"])
    start = UPLOAD + file(b"")[:-2]
    reader.feed(start)
    assert reader.safe == len(start)
    for data, waiting in (
        (b"data", 0), (b"\r", 1), (b"\n", 2), (b"--" + B[:5], 9), (b"?", 0), (b"\r\n", 2),
    ):  # fmt: skip
        reader.feed(data)
        start += data
        assert reader.safe == len(start) - waiting


class Observer:
    """Keeps the last four bytes of a file back, and refuses a file that has BAD in it."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.seen = b""

    def begins(self, part: FilePart) -> None:
        self.told.append(part)

    def content(self, data: bytes) -> int:
        self.seen += data
        if b"BAD" in self.seen:
            raise Refusal(Slug.UNREADABLE_FORM, why="it is bad")
        return min(4, len(self.seen))

    def ends(self) -> None:
        self.told.append(self.seen)


@pytest.mark.parametrize("piece", [1, 2, 50])
def test_an_observer_sees_the_file_before_it_goes_on(piece: int) -> None:
    observer = Observer()
    reader = FormJudge(TYPE, "", [":action"], observer)
    head = UPLOAD + file(b"")[:-2]
    body = head + b"0123456789"
    for at in range(0, len(body), piece):
        reader.feed(body[at : at + piece])
        assert reader.safe <= max(len(head), at + piece - 4)
    assert reader.safe == len(body) - 4
    with pytest.raises(Refusal):
        for byte in b"xxBAD":
            reader.feed(bytes([byte]))
            assert not body[: reader.safe].endswith(b"BAD")


def test_an_observer_is_told_of_the_end_and_of_files_only() -> None:
    observer = Observer()
    reader = FormJudge(TYPE, "", [":action"], observer)
    reader.feed(UPLOAD + NAME + file(b"data\r\n") + END)
    reader.finish()
    assert observer.told == [FilePart("content", "pkg-1.0.tar.gz"), b"data\r\n"]


def test_an_unquoted_name_that_may_be_cut_to_one_that_decides_is_refused() -> None:
    for name, refused in ((b"names", True), (b"nam", False), (b"Namex", True)):
        reader = FormJudge(TYPE, "", ["name"])
        body = lines(b"Content-Disposition: form-data; name=" + name)
        if refused:
            with pytest.raises(Refusal):
                reader.feed(body)
        else:
            reader.feed(body)


# -- real clients ------------------------------------------------------------------------------


def test_what_requests_sends_is_read() -> None:
    prepared = Request(
        "POST",
        "http://x/",
        data={"name": "pkg", ":action": "file_upload", "description": "long\r\n" * 1000},
        files={"content": ("pkg-1.0.tar.gz", b"\x00\r\n--" * 1000)},
    ).prepare()
    body = prepared.body
    assert isinstance(body, bytes)
    assert judge(body, str(prepared.headers["Content-Type"])).fields == {":action": "file_upload"}


def test_what_twine_sends_is_read() -> None:
    """twine hands its fields to the encoder of requests-toolbelt."""
    encoder = MultipartEncoder(
        [
            ("name", "pkg"),
            ("description", "é " * 70_000),
            ("classifiers", "a"),
            ("classifiers", "b"),
            (":action", "file_upload"),
            ("protocol_version", "1"),
            ("content", ("pkg-1.0-py3-none-any.whl", io.BytesIO(b"PK" * 5000), "application/zip")),
        ]
    )
    assert (
        judge(encoder.read(), encoder.content_type, piece=4096).fields[":action"] == "file_upload"
    )


def test_what_httpx_sends_is_read() -> None:
    built = httpx.Request(
        "POST",
        "http://x/",
        data={"name": "pkg", ":action": "file_upload", "description": "é\r\n" * 1000},
        files={"content": ("pkg-1.0.tar.gz", b"\x00\r\n--" * 1000)},
    )
    read = judge(built.read(), built.headers["content-type"], piece=1000)
    assert read.fields == {":action": "file_upload"}
    assert read.files == [FilePart("content", "pkg-1.0.tar.gz")]


async def test_what_aiohttp_sends_is_read(recorder: Recording) -> None:
    form = aiohttp.FormData({":action": "file_upload", "name": "pkg"})
    form.add_field("description", "é" * 1000, content_type="text/plain; charset=utf-8")
    form.add_field("content", b"\x00\r\n--" * 1000, filename="pkg-1.0.tar.gz")
    async with aiohttp.ClientSession() as session, session.post(recorder.url, data=form) as told:
        assert told.status == 200
    (type_, body), *_ = recorder.bodies
    read = judge(body, type_, piece=1000)
    assert read.fields == {":action": "file_upload"}
    assert read.files == [FilePart("content", "pkg-1.0.tar.gz")]


class _Recorder(BaseHTTPRequestHandler):
    bodies: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.headers["Content-Type"], body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Recording(NamedTuple):
    url: str
    bodies: list[tuple[str, bytes]]


@pytest.fixture
def recorder() -> Iterator[Recording]:
    """A server on a free port that keeps what it is sent."""
    bodies: list[tuple[str, bytes]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (_Recorder,), {"bodies": bodies}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield Recording(f"http://127.0.0.1:{server.server_address[1]}/", bodies)
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_curl_sends_is_read(recorder: Recording, tmp_path: Path) -> None:
    wheel = tmp_path / "pkg-1.0.tar.gz"
    wheel.write_bytes(bytes(range(256)) * 40)
    curl = ["curl", "-sS", "-H", "Expect:", recorder.url]
    forms = [
        ["-F", ":action=file_upload", "-F", f"content=@{wheel}"],
        ["-F", f"content=@{wheel}", "-F", ":action=remove_pkg", "-F", "name=pkg"],
        ["-d", ":action=remove_pkg&name=pkg&version=1.0"],
        ["--data-urlencode", ":action=remove_pkg", "--data-urlencode", "name=a b"],
    ]
    for form in forms:
        subprocess.run([*curl, *form], check=True, timeout=20)
    actions = [judge(body, type_).fields[":action"] for type_, body in recorder.bodies]
    assert actions == ["file_upload", "remove_pkg", "remove_pkg", "remove_pkg"]
    for type_, body in recorder.bodies:
        assert seen_by_bottle(body, type_) == judge(body, type_).fields[":action"]


def test_what_uv_sends_is_read(recorder: Recording, tmp_path: Path) -> None:
    name = "pkg-1.0-py3-none-any.whl"
    _wheel(tmp_path / name)
    subprocess.run(
        [
            "uv",
            "publish",
            "--publish-url",
            recorder.url,
            "-u",
            "a",
            "-p",
            "b",
            str(tmp_path / name),
        ],
        check=True,
        timeout=60,
        capture_output=True,
        env={"PATH": _path(), "HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache")},
    )
    (type_, body), *_ = recorder.bodies
    assert judge(body, type_, piece=1000).fields == {":action": "file_upload"}


def _path() -> str:
    import os
    import sys

    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def _wheel(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("pkg.py", "")
        info = "pkg-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


# -- size ----------------------------------------------------------------------------


def test_a_large_upload_passes_and_is_not_kept() -> None:
    """256 MiB of file: no more than a few pieces in memory."""
    piece = (b"\x00\r\n-- " + bytes(range(256))) * 500
    reader = FormJudge(TYPE, "", [":action"])
    reader.feed(UPLOAD + file(b"")[: -len(b"\r\n")])
    tracemalloc.start()
    for _ in range(2**28 // len(piece)):
        reader.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reader.feed(b"\r\n" + END)
    reader.finish()
    assert reader.fields == {":action": "file_upload"}
    assert peak < 2 * 2**20


def test_refusals_say_nothing_of_the_value() -> None:
    with pytest.raises(Refusal) as caught:
        judge(part(b":action", b"secret\xff") + END)
    assert "secret" not in json.dumps(caught.value.detail)
    assert not re.search("secret", caught.value.text)
