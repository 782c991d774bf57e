"""Entries of the trail for other programs: CSV that no spreadsheet takes for formulas, and JSON.

Knows entries only.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable
from typing import Final

from gateway.core.audit.entry import Entry, line
from gateway.core.clock import timestamp

COLUMNS: Final = (
    "number",
    "at",
    "event",
    "user",
    "address",
    "user_agent",
    "method",
    "path",
    "rule",
    "factor",
    "detail",
    "project",
    "version",
    "index",
    "token",
    "status",
    "files",
    "size",
    "sha256",
    "request",
)

# What a spreadsheet takes for a formula at the beginning of a cell, full-width forms too. Where
# its separator is another than the comma, a cell begins behind that: OWASP, "CSV injection".
_FORMULA: Final = re.compile(r"(?:^|(?<=[\s;,|\"']))(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


def fields(entry: Entry) -> dict[str, object]:
    """An entry by `COLUMNS`. What it says of several files stands there with a blank between."""
    origin, transfer = entry.origin, entry.transfer
    files = transfer.files if transfer else ()
    return {
        "number": entry.number,
        "at": timestamp(entry.time),
        "event": entry.event,
        "user": entry.user,
        "address": origin.address,
        "user_agent": origin.user_agent,
        "method": origin.method,
        "path": origin.path,
        "rule": origin.rule,
        "factor": entry.factor,
        "detail": entry.detail,
        "project": entry.project,
        "version": transfer.version if transfer else "",
        "index": transfer.index if transfer else "",
        "token": transfer.token if transfer else "",
        "status": transfer.status if transfer else "",
        "files": " ".join(one.name for one in files),
        "size": " ".join("?" if one.size is None else str(one.size) for one in files),
        "sha256": " ".join(one.sha256 or "?" for one in files),
        "request": entry.request,
    }


def csv_line(values: Iterable[object]) -> str:
    """One line of CSV (RFC 4180), every cell in quotation marks."""
    return ",".join(map(_cell, values)) + "\r\n"


def _cell(value: object) -> str:
    inert = _FORMULA.sub("'", str(value))
    line = "".join(char if char.isprintable() else " " for char in inert)
    return '"' + line.replace('"', '""') + '"'


def csv_of(entries: Iterable[Entry]) -> str:
    """The same with a line of headings, all at once."""
    lines = (csv_line(fields(entry).values()) for entry in entries)
    return csv_line(COLUMNS) + "".join(lines)


async def as_csv(entries: AsyncIterator[list[Entry]]) -> AsyncIterator[bytes]:
    """A file with a line of headings, page by page."""
    yield csv_line(COLUMNS).encode()
    async for page in entries:
        yield "".join(csv_line(fields(entry).values()) for entry in page).encode()


async def as_json(entries: AsyncIterator[list[Entry]]) -> AsyncIterator[bytes]:
    """A list of objects, each on a line. One that was cut off is no JSON."""
    before = "["
    async for page in entries:
        lines = [json.dumps(fields(entry), ensure_ascii=False) for entry in page]
        if lines:
            yield (before + "\n" + ",\n".join(lines)).encode()
            before = ","
    yield b"[]\n" if before == "[" else b"\n]\n"


async def as_lines(entries: AsyncIterator[list[Entry]]) -> AsyncIterator[bytes]:
    """JSON Lines, as the trail has them."""
    async for page in entries:
        yield "".join(line(entry) + "\n" for entry in page).encode()
