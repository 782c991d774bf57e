"""Entries as other programs get them."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.core.audit.entry import Entry
from gateway.core.audit.events import Origin
from gateway.core.audit.export import COLUMNS, as_csv, as_json, csv_line
from gateway.core.audit.transfer import Transfer, TransferredFile


def entry(number: int, **values: str) -> Entry:
    origin = Origin(user_agent=values.get("user_agent", ""))
    detail = values.get("detail", "")
    return Entry(number, 1_800_000_000.5, "login", "alice", origin, "", detail, "", "mac")


async def pages(*found: list[Entry]) -> AsyncIterator[list[Entry]]:
    for page in found:
        yield page


async def text(pieces: AsyncIterator[bytes]) -> str:
    return b"".join([piece async for piece in pieces]).decode()


@pytest.mark.parametrize(
    ("cell", "inert"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", " '=1"),
        (" =1", " '=1"),
        ("＝1+1", "'＝1+1"),
        ("x;=1", "x;'=1"),
        ("x\t=1", "x '=1"),
        ('x"=1', "x\"'=1"),
        ("x\r\n=1", "x  '=1"),
        ("a=b", "a=b"),
        ("phone-2 <b>", "phone-2 <b>"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(cell: str, inert: str) -> None:
    line = csv_line(["a", cell])
    assert list(csv.reader([line])) == [["a", inert]]
    assert line.endswith("\r\n") and line.count("\n") == 1


async def test_csv_has_a_line_for_each_entry() -> None:
    written = await text(as_csv(pages([entry(1)], [entry(2, detail='say "x"')])))
    heading, first, second = csv.reader(written.splitlines())
    assert tuple(heading) == COLUMNS
    assert first[:4] == ["1", "2027-01-15T08:00:00.500Z", "login", "alice"]
    assert second[COLUMNS.index("detail")] == 'say "x"'


async def test_csv_tells_each_file_of_an_upload() -> None:
    files = (TransferredFile("a.whl", 12, "ab" * 32), TransferredFile("a.whl.asc", None, ""))
    upload = replace(
        entry(1), project="a", transfer=Transfer("file_upload", "x/y", "1.0", 200, "t", files)
    )
    heading, line = csv.reader((await text(as_csv(pages([upload])))).splitlines())
    found = dict(zip(heading, line, strict=True))
    assert found["project"] == "a" and found["version"] == "1.0" and found["status"] == "200"
    assert found["files"] == "a.whl a.whl.asc"
    assert found["size"] == "12 ?" and found["sha256"] == f"{'ab' * 32} ?"


async def test_json_is_a_list_and_one_cut_off_is_none() -> None:
    pieces = [piece async for piece in as_json(pages([entry(1)], [], [entry(2), entry(3)]))]
    found = json.loads(b"".join(pieces))
    assert [one["number"] for one in found] == [1, 2, 3]
    assert tuple(found[0]) == COLUMNS
    for end in range(len(pieces)):
        with pytest.raises(ValueError):
            json.loads(b"".join(pieces[:end]))
    assert json.loads(await text(as_json(pages()))) == []
