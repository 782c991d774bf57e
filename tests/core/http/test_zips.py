"""Archives that an index unpacks: whatever goes on leaves no file outside of its folder.

The oracle is devpi's own code (`devpi_common.archive`), and the interpreter's `zipfile` and
`tarfile` below it, on everything that went on, the archive cut off at any byte included.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.errors import Refusal
from gateway.core.http import zips
from gateway.core.http.zips import ZipWatch

Archive: Any = import_module("devpi_common.archive").Archive  # devpi's functions have no types


def packed(*members: tuple[str, bytes], comment: bytes = b"", mode: int = 0) -> bytes:
    """An archive with these members, whatever their names."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            archive.writestr(info, content)
        archive.comment = comment
    return file.getvalue()


def went_on(body: bytes, piece: int = 0) -> tuple[bytes, str]:
    """What of an archive goes on, in pieces of that size, and why the rest does not."""
    watch, size, passed = ZipWatch(), piece or len(body) or 1, 0
    try:
        for start in range(0, len(body), size):
            watch.feed(body[start : start + size])
            passed = min(start + size, len(body))
        watch.finish()
    except Refusal as refusal:
        assert refusal.slug == "unsafe_archive"
        return body[:passed], refusal.detail["why"]
    return body, ""


def escapes(body: bytes) -> list[str]:
    """Files that devpi would write outside of the folder it unpacks into."""
    with TemporaryDirectory() as place:
        inside = Path(place, "a", "b", "c", "+doc")
        inside.mkdir(parents=True)
        try:
            with Archive(io.BytesIO(body)) as archive:
                archive.extract(inside)
        except Exception:
            pass  # devpi fails, with what it has written until then
        return [
            str(path.relative_to(place))
            for path in Path(place).rglob("*")
            if not path.is_relative_to(inside) and not inside.is_relative_to(path)
        ]


def unicode_path(name: bytes, of: bytes) -> bytes:
    """An archive with one member, called `of`, whose extra field calls it `name`."""
    body = bytearray(packed((of.decode(), b"x")))
    extra = struct.pack("<BL", 1, zipfile.crc32(of)) + name  # type: ignore[attr-defined]
    extra = struct.pack("<HH", 0x7075, len(extra)) + extra
    at = body.rfind(b"PK\x01\x02")
    struct.pack_into("<H", body, at + 30, len(extra))
    body[at + 46 + len(of) : at + 46 + len(of)] = extra
    end = body.rfind(b"PK\x05\x06")
    struct.pack_into("<L", body, end + 12, end - at)
    return bytes(body)


def disguised() -> bytes:
    """Local headers say nothing bad, the central directory does."""
    body = bytearray(packed(("aa/evil", b"x")))
    at = body.rfind(b"aa/evil")
    body[at : at + 7] = b"../evil"
    return bytes(body)


GOOD = {
    "documentation": packed(("index.html", b"<p>"), ("_static/a.css", b"")),
    "no members": packed(),
    "folders": packed(("a/", b""), ("a/b/", b""), ("a/b/c.html", b"x")),
    "a comment": packed(("index.html", b"x"), comment=b"made by hand"),
    "not ASCII": packed(("café/ü.html", b"x"), ("日本.html", b"")),
    "dots": packed(("..a/...b/c..html", b"x"), (".well-known/x", b"")),
    "an archive in it": packed(("down/x.zip", packed(("y", b"z")))),
    "archives in archives": packed(
        ("x.zip", packed(("y.zip", packed(("y", b"z"), comment=b"c")), ("a", b"")))
    ),
    "a mark by chance": packed(("x", b"PK\x05\x06" + b"\xff" * 18), ("y", b"PK\x01\x02")),
    "a second name": unicode_path("naïve.html".encode(), b"naive.html"),
    "many": packed(*((f"page{number}.html", b"") for number in range(300))),
}
BAD = {
    "dots": packed(("../evil", b"x")),
    "dots in the middle": packed(("a/../../evil", b"x")),
    "dots at the end": packed(("a/..", b"x")),
    "behind good ones": packed(("index.html", b"x"), ("../../../pkg-1.0.tar.gz", b"evil")),
    "from the root": packed(("/etc/passwd", b"x")),
    "backslashes": packed(("..\\evil", b"x")),
    "a drive": packed(("C:evil", b"x")),
    "NUL": packed(("a\x00/../b", b"x")),
    "a control character": packed(("a\nb", b"x")),
    "a symbolic link": packed(("link", b"/etc"), mode=0o120777),
    "only in the directory": disguised(),
    "only in a second name": unicode_path(b"../evil", b"good"),
    "in an archive in it": packed(("x.zip", packed(("../evil", b"")))),
    "an archive in front": packed(("a", b"")) + packed(("../evil", b"x")),
    "an archive behind": packed(("../evil", b"x")) + packed(("a", b"")),
    "in its comment": packed(("a", b""), comment=packed(("../evil", b"x"))),
    "ZIP64": packed(("a", b""))[:-22] + b"PK\x06\x07" + bytes(16) + packed(("a", b""))[-22:],
    "text": b"<html>",
    "nothing": b"",
    "cut off": packed(("index.html", b"x"))[:-1],
    "no directory": packed(("index.html", b"x"))[:40],
    "something in front": b"#!/bin/sh\n" + packed(("a", b"")),
}


def tarred() -> bytes:
    """A tar archive that begins as a ZIP archive does."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("PK\x03\x04/../../evil"))
    return file.getvalue()


BAD["a tar archive"] = tarred()
BAD["both"] = tarred() + packed(("a", b""))


@pytest.mark.parametrize("piece", [0, 1, 7], ids=["whole", "bytes", "pieces"])
@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_archives_that_stay_in_their_folder_go_on(body: bytes, piece: int) -> None:
    assert went_on(body, piece) == (body, "")
    assert escapes(body) == []


@pytest.mark.parametrize("piece", [0, 1, 7], ids=["whole", "bytes", "pieces"])
@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_all_others_are_refused_before_they_are_complete(body: bytes, piece: int) -> None:
    passed, why = went_on(body, piece)
    assert why
    assert escapes(passed) == []


def test_the_oracle_sees_files_that_leave_their_folder() -> None:
    assert escapes(BAD["dots"]) == ["a/b/c/evil"]
    assert escapes(BAD["only in the directory"]) == ["a/b/c/evil"]  # made, before zipfile refuses
    assert escapes(BAD["an archive in front"]) == ["a/b/c/evil"]


SEGMENT = st.sampled_from(["..", ".", "a", "evil", "", "ü", "x.zip", "\\..", "PK"])
NAME = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join).filter(bool)
BYTES = st.sampled_from([b"", b"x", b"PK\x05\x06", b"PK\x01\x02", b"PK\x06\x07", bytes(22)])
SMALL = st.lists(st.tuples(NAME, BYTES), max_size=3).map(lambda members: packed(*members))
NESTED = st.tuples(st.lists(st.tuples(NAME, SMALL | BYTES), max_size=3), SMALL | BYTES).map(
    lambda made: packed(*made[0], comment=made[1])
)
MANGLE: dict[str, Callable[[bytes, bytes, int], bytes]] = {
    "nothing": lambda one, _two, _at: one,
    "joined": lambda one, two, at: one + two,
    "cut": lambda one, two, at: one[: at % (len(one) + 1)],
    "inserted": lambda one, two, at: one[: at % (len(one) + 1)] + two + one[at % (len(one) + 1) :],
    "a byte changed": lambda one, two, at: _changed(one, at),
    "its end changed": lambda one, two, at: _changed(one, len(one) - 1 - at % 22),
}


def _changed(body: bytes, at: int) -> bytes:
    at %= len(body)
    return body[:at] + bytes([(body[at] + 1) % 256]) + body[at + 1 :]


BODIES = st.builds(
    lambda how, one, two, at: MANGLE[how](one, two, at),
    st.sampled_from(sorted(MANGLE)),
    NESTED,
    SMALL,
    st.integers(0, 2000),
)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=150, deadline=None)
@given(BODIES, st.sampled_from([0, 1, 3, 50]), st.integers(0, 400))
@example(BAD["an archive behind"], 1, 0)
def test_whatever_went_on_leaves_nothing_outside(body: bytes, piece: int, back: int) -> None:
    passed, _ = went_on(body, piece)
    assert escapes(passed) == []
    assert escapes(passed[: max(0, len(passed) - back)]) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=150, deadline=None)
@given(BODIES, st.sampled_from([1, 5]))
@example(packed(("..", b"PK\x05\x06")), 1)
def test_pieces_make_no_difference(body: bytes, piece: int) -> None:
    assert went_on(body)[1] == went_on(body, piece)[1]


def cuts(body: bytes) -> Iterator[bytes]:
    return (body[:end] for end in range(len(body) + 1))


@pytest.mark.parametrize("name", ["behind good ones", "in an archive in it", "in its comment"])
def test_no_beginning_that_went_on_is_a_bad_archive(name: str) -> None:
    for cut in cuts(went_on(BAD[name], 1)[0]):
        if zipfile.is_zipfile(io.BytesIO(cut)) or tarfile.is_tarfile(io.BytesIO(cut)):
            assert escapes(cut) == []


def test_a_large_archive_is_not_kept() -> None:
    watch = ZipWatch()
    watch.feed(packed(("a", b""))[:30])
    block = bytes(1024 * 1024)
    tracemalloc.start()
    for _ in range(64):
        watch.feed(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


def test_a_directory_is_kept_only_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "DIRECTORY_LIMIT", 4000)
    assert went_on(packed(*((f"{number:04}", b"") for number in range(60))), 100)[1] == ""
    why = went_on(packed(*((f"{number:04}", b"") for number in range(200))), 100)[1]
    assert why == "its table of contents is too large"


@pytest.mark.parametrize("mark", [b"PK\x05\x06", b"PK\x01\x02", b"PK\x05\x06" + bytes(18)])
def test_no_archive_keeps_the_process_busy(mark: bytes) -> None:
    """Every end record over the same large directory would be read again and again."""
    code = (
        "import sys, time; from gateway.core.errors import Refusal\n"
        "from gateway.core.http.zips import ZipWatch\n"
        "entry = b'PK\\1\\2' + bytes(24) + b'\\1\\0' + bytes(16) + b'a'\n"
        "directory = entry * 100_000\n"
        "end = b'PK\\5\\6' + bytes(8) + len(directory).to_bytes(4, 'little') + bytes(6)\n"
        f"body = b'PK\\3\\4' + directory + end * 3000 + {mark!r} * 100_000\n"
        "watch, began = ZipWatch(), time.process_time()\n"
        "try:\n"
        "    for at in range(0, len(body), 65536): watch.feed(body[at:at + 65536])\n"
        "except Refusal: pass\n"
        "sys.exit(time.process_time() - began > 20)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
