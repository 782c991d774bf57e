"""A line of the access log holds no secret and no line end from outside, and gets to its file."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app.access_log import AccessLog, as_json, combined
from gateway.proxy.ports import Access

NOON = 1767268800.5
COMBINED = re.compile(
    r'(\S+) - (\S+) \[[^\]]+\] "((?:[^"\\]|\\x[0-9A-F]{2})*)" (\d+) (\d+) '
    r'"((?:[^"\\]|\\x[0-9A-F]{2})*)" "((?:[^"\\]|\\x[0-9A-F]{2})*)" (\S+)'
)


def one(**changes: Any) -> Access:
    usual = Access(
        id="0f8fad5bd9cb469fa16570867728950e",
        client="192.0.2.7",
        user="",
        line=b"GET /simple/a/ HTTP/1.1",
        block=b"\nHost: index\r\nUser-Agent: pip/24.0\r\nReferer: https://x/y\r",
        status=200,
        came=120,
        gone=512,
        seconds=0.0123456789,
        upstream=0.01,
        slug="",
        rule="downloads",
        ended="",
    )
    return usual._replace(**changes)


def test_a_combined_line() -> None:
    assert combined(one(user="ada"), NOON) == (
        '192.0.2.7 - ada [01/Jan/2026:12:00:00 +0000] "GET /simple/a/ HTTP/1.1" 200 512 '
        '"https://x/y" "pip/24.0" 0f8fad5bd9cb469fa16570867728950e'
    )
    unread = one(client="", line=b"", block=b"", status=400)
    assert combined(unread, NOON).startswith('- - - [01/Jan/2026:12:00:00 +0000] "-" 400 512 "-"')


def test_a_line_of_json() -> None:
    assert json.loads(as_json(one(slug="denied", ended="cut off", user="ada"), NOON)) == {
        "time": "2026-01-01T12:00:00.500Z",
        "log": "access",
        "request": "0f8fad5bd9cb469fa16570867728950e",
        "client": "192.0.2.7",
        "user": "ada",
        "method": "GET",
        "path": "/simple/a/",
        "protocol": "HTTP/1.1",
        "status": 200,
        "slug": "denied",
        "rule": "downloads",
        "seconds": 0.012346,
        "upstream_seconds": 0.01,
        "bytes_in": 120,
        "bytes_out": 512,
        "user_agent": "pip/24.0",
        "referer": "https://x/y",
        "ended": "cut off",
    }


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "target",
    [
        f"/+auth/verify?code={SECRET}",
        f"/simple/?token={SECRET}",
        f"/a#{SECRET}",
        f"http://ada:{SECRET}@index/simple/",
        f"//ada:{SECRET}@index/simple/",
        f"/proxy/https://ada:{SECRET}@index/simple/",
        f"/x/%2f%2Fada:{SECRET}@index/",
        f"/?next=/%3Ftoken={SECRET}",
        f"/+auth/invite/{SECRET}",
        f"/packages/%2Bauth/%69nvite//{SECRET}",
        f"/+auth/./read/{SECRET}/ada/dev/hello/latest/+doc/",
    ],
)
@pytest.mark.parametrize("form", [combined, as_json])
def test_no_secret_of_an_address_is_written(target: str, form: object) -> None:
    line = f"GET {target} HTTP/1.1".encode()
    referer = target if target.startswith("http") else f"https://index{target}"
    block = f"\nAuthorization: Basic {SECRET}\r\nReferer: {referer}\r\nCookie: {SECRET}\r".encode()
    assert callable(form)
    assert SECRET not in form(one(line=line, block=block), NOON)


NASTY = st.binary(max_size=3000).map(lambda data: re.sub(rb"[\r\n]", b"", data))


@given(path=NASTY, agent=NASTY, referer=NASTY, user=st.text(max_size=50))
def test_nothing_from_outside_ends_a_line_or_begins_a_field(
    path: bytes, agent: bytes, referer: bytes, user: str
) -> None:
    line = b"GET /%s HTTP/1.1" % path.replace(b" ", b"")
    block = b"\nUser-Agent: %s\r\nReferer: %s\r" % (agent, referer)
    nasty = one(line=line, block=block, user=user)
    text = combined(nasty, NOON)
    assert COMBINED.fullmatch(text), text
    said = as_json(nasty, NOON)
    assert "\n" not in said and "\r" not in said and said.isascii()
    assert len(said) < 16_384
    found = json.loads(said)
    assert set(found) <= set(json.loads(as_json(one(user="x"), NOON)))
    assert found["request"] == nasty.id


async def test_lines_go_to_the_file_and_to_the_new_one_when_it_was_moved(tmp_path: Path) -> None:
    file, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(as_json, file)
    log(one(id="a"))
    log(one(id="b"))
    async with asyncio.timeout(30):
        while file.read_text().count("\n") < 2:
            await asyncio.sleep(0.02)
        file.rename(moved)
        log(one(id="c"))
        while not file.exists() or not file.read_text():
            await asyncio.sleep(0.02)
    log(one(id="d"))
    await log.close()
    ids = [[json.loads(x)["request"] for x in f.read_text().splitlines()] for f in (moved, file)]
    assert ids == [["a", "b"], ["c", "d"]]
    assert file.stat().st_mode & 0o007 == 0


async def test_a_pipe_that_nobody_reads_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.app.access_log._PATIENCE", 0.2)
    monkeypatch.setattr("gateway.app.access_log._ROOM", 300_000)
    reads, writes = os.pipe()
    log = AccessLog(as_json, Path(f"/proc/self/fd/{writes}"))
    for _ in range(20):
        for _ in range(200):
            log(one())
        log._flush()
        await asyncio.sleep(0)
    assert log._writer._lost > 0
    await log.close()
    os.close(writes)
    data = b""
    while piece := os.read(reads, 1 << 16):  # it ends when the thread has given up, too
        data += piece
    os.close(reads)
    for line in data.splitlines()[:-1]:
        assert json.loads(line)["request"] == one().id


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="access"):
        AccessLog(as_json, tmp_path / "none" / "access.log")
