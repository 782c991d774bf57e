"""The access log: one line for each request, in the combined format of Apache and nginx or as JSON.

What comes from outside is written so that it can neither end a line nor begin another field. No
query is written, of the address or of the referring page, no name or password before an "@", no
invitation and no pass for documentation: tokens, codes and passwords stand in such places.

Lines are gathered for a moment and written by a thread, so that a disk or a pipe that does not take
them holds nobody up. Each write is one of whole lines, at the end of the file: lines of several
workers stand whole behind each other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Final
from urllib.parse import unquote

from gateway.core.clock import timestamp
from gateway.core.urls import INVITE, PREFIX, READ
from gateway.proxy.ports import Access

_LOG: Final = logging.getLogger("gateway.access")
_SOON: Final = 0.05  # seconds for which lines are gathered
_ROOM: Final = 16 * 1024 * 1024  # bytes that wait for the thread at most
_PIECE: Final = 4096  # bytes that a pipe takes whole or not at all (PIPE_BUF)
_PATIENCE: Final = 2.0  # seconds for what waits, at the end
_LONGEST: Final = 600  # bytes of what comes from outside, each
_WHO: Final = re.compile(r"(//|%2[fF]%2[fF])[^/@]*@")
_BEARERS: Final = "|".join(one.removeprefix(PREFIX + "/") for one in (INVITE, READ))
_BEARS: Final = re.compile(rf"({re.escape(PREFIX)}[/.]+(?:{_BEARERS})[/.]+)[^/]+")
_FIELD: Final = re.compile(rb"\n(?i:(user-agent|referer)):[ \t]*([^\r]*)")
_UNSAFE: Final = re.compile(r'[^\x20-\x7e]|["\\]')


class AccessLog:
    """A `gateway.proxy.ports.AccessLog`. Belongs to one event loop.

    Args:
        form: makes a line of a request (`combined`, `as_json`).
        file: None for stdout.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, form: Callable[[Access, float], str], file: Path | None) -> None:
        self._form: Final = form
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writer: Final = _Writer(file)

    def __call__(self, one: Access) -> None:
        try:
            self._lines.append(self._form(one, time.time()).encode("ascii") + b"\n")
        except Exception:
            _LOG.exception("a request could not be written down")
            return
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self._flush)

    def _flush(self) -> None:
        self._timer = None
        lines, self._lines = self._lines, []
        self._writer.put(lines)

    async def close(self) -> None:
        """Write what is gathered; what a stuck disk or pipe does not take soon is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._flush()
        await asyncio.to_thread(self._writer.close)


class _Writer:
    """The thread. A file that was moved away or removed is opened anew, so whoever rotates it has
    nothing to tell."""

    def __init__(self, file: Path | None) -> None:
        self._file: Final = file
        self._waiting: Final[SimpleQueue[list[bytes] | None]] = SimpleQueue()
        self._bytes = 0  # that wait; both threads change it, and a little off does not matter
        self._lost = 0
        self._failing = False
        self._descriptor = self._open()
        self._thread: Final = Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def _open(self) -> int:
        if self._file is None:
            return os.dup(1)
        return os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def put(self, lines: list[bytes]) -> None:
        size = sum(map(len, lines))
        if self._bytes + size > _ROOM:
            self._lost += len(lines)
            return
        self._bytes += size
        self._waiting.put(lines)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while (lines := self._waiting.get()) is not None:
            self._bytes -= sum(map(len, lines))
            try:
                self._reopen()
                for piece in _pieces(lines):
                    self._write(piece)
                self._failing = False
            except OSError as error:
                self._lost += len(lines)
                if not self._failing:
                    _LOG.error("the access log cannot be written: %s", error.strerror)
                self._failing = True
            if self._lost and not self._failing:
                lost, self._lost = self._lost, 0
                _LOG.error("%d lines of the access log were lost", lost)
        os.close(self._descriptor)

    def _reopen(self) -> None:
        if self._file is None:
            return
        here = os.fstat(self._descriptor)
        try:
            there = self._file.stat()
            moved = (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
        except FileNotFoundError:
            moved = True
        if moved:
            fresh = self._open()
            os.close(self._descriptor)
            self._descriptor = fresh

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


def _pieces(lines: list[bytes]) -> list[bytes]:
    """The lines, as many together as can be written whole."""
    found, piece, size = [], list[bytes](), 0
    for line in lines:
        if piece and size + len(line) > _PIECE:
            found.append(b"".join(piece))
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    return [*found, b"".join(piece)] if piece else found


# -- the forms of a line ----------------------------------------------------------------------


def combined(one: Access, now: float) -> str:
    """The combined log format of Apache and nginx, and the id of the request behind it."""
    method, path, version = first_line(one)
    fields = _fields(one)
    when = datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    said = f"{method} {path} {version}" if method else "-"
    return (
        f"{one.client or '-'} - {_quoted(one.user).replace(' ', '%20') or '-'} [{when}] "
        f'"{_quoted(said)}" {one.status} {one.gone} "{_quoted(fields["referer"]) or "-"}" '
        f'"{_quoted(fields["user-agent"]) or "-"}" {one.id or "-"}'
    )


def as_json(one: Access, now: float) -> str:
    """An object in one line, in ASCII; what is not known is left out."""
    method, path, version = first_line(one)
    fields = _fields(one)
    said: dict[str, object] = {
        "time": timestamp(now),
        "log": "access",
        "request": one.id,
        "client": one.client,
        "user": one.user,
        "method": method,
        "path": path,
        "protocol": version,
        "status": one.status,
        "slug": one.slug,
        "rule": one.rule,
        "seconds": round(one.seconds, 6),
        "upstream_seconds": None if one.upstream is None else round(one.upstream, 6),
        "bytes_in": one.came,
        "bytes_out": one.gone,
        "user_agent": fields["user-agent"],
        "referer": fields["referer"],
        "ended": one.ended,
    }
    kept = {name: value for name, value in said.items() if value not in ("", None)}
    return json.dumps(kept, separators=(",", ":"))


def first_line(one: Access) -> tuple[str, str, str]:
    """Method, path and version of the first line, without its query and other secrets."""
    method, _, rest = one.line.decode("latin-1").partition(" ")
    target, _, version = rest.rpartition(" ")
    return method[:32], _without_secrets(target), version


def _without_secrets(target: str) -> str:
    path = _WHO.sub(r"\1...@", target.partition("?")[0].partition("#")[0])
    plain = unquote(path, "latin-1")
    if _BEARS.search(plain):
        path = _BEARS.sub(r"\1...", plain)
    return path if len(path) <= _LONGEST else path[:_LONGEST] + "..."


def _fields(one: Access) -> dict[str, str]:
    found = {"user-agent": "", "referer": ""}
    for name, value in _FIELD.findall(one.block):
        text = value.strip(b" \t").decode("latin-1")
        found[name.decode().lower()] = text
    agent = found["user-agent"]
    found["user-agent"] = agent[:_LONGEST]
    found["referer"] = _without_secrets(found["referer"])
    return found


def _quoted(text: str) -> str:
    r"""As nginx does it: quotation marks, backslashes and what cannot be printed as \xXX."""
    return _UNSAFE.sub(lambda found: _escaped(found[0]), text)


def _escaped(char: str) -> str:
    data = char.encode("latin-1" if ord(char) < 256 else "utf-8")
    return "".join(f"\\x{byte:02X}" for byte in data)


FORMS: Final[dict[str, Callable[[Access, float], str]]] = {
    "combined": combined,
    "json": as_json,
}
