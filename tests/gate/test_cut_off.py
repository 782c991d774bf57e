"""Forms that break off: what each server of pypiserver's does with one, and that it never gets
one by which it could do more than was judged."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.demo.processes import Children
from tests.gate.served import Served
from tests.support.certificates import certificate_for_localhost
from tests.support.servers import Index
from tests.support.wsgi_servers import (
    SERVERS,
    TLS_SERVERS,
    start_pypiserver_on,
    without_resets,
)

Serve = Callable[..., Served]
BOUNDARY = b"xYzZY"
TYPE = b"Content-Type: multipart/form-data; boundary=" + BOUNDARY + b"\r\n"
PAUSE = 0.01  # what was sent has reached the index
SETTLED = 0.4  # it has done with it what it does

# Which act on a form of declared length when the client closes; none does when it resets, and
# none on one in chunks (half of them read no chunked form at all).
ACT_ON_AN_END = {"wsgiref", "gunicorn", "paste", "cheroot"}


def part(name: bytes, value: bytes, file: bytes = b"") -> bytes:
    return b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
        BOUNDARY, name, file, value,
    )  # fmt: skip


END = b"--" + BOUNDARY + b"--\r\n"
HEAD = b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name=":action"\r\n'
REMOVE = b"remove_pkg\r\n" + END
# How the second deciding field may be put so that one reader sees it early, or another not.
SECOND = {
    "plain": HEAD + b"\r\n" + REMOVE,
    "a blank": HEAD + b" \r\n" + REMOVE,
    "a tab": HEAD + b"\t\r\n" + REMOVE,
    "a vertical tab": HEAD + b"\x0b\r\n" + REMOVE,
    "a form feed": HEAD + b"\x0c\r\n" + REMOVE,
    "a bare LF": HEAD + b"\n" + REMOVE,
    "bare LF before": b"\n" + HEAD + b"\r\n" + REMOVE,
    "bare LF all along": (b"\n" + HEAD + b"\r\n" + REMOVE).replace(b"\r\n", b"\n"),
    "blanks behind the delimiter": HEAD.replace(b"\r\n", b" \t\r\n", 1) + b"\r\n" + REMOVE,
    "another field first": part(b"x", b"y") + HEAD + b"\x0b \r\n" + REMOVE,
    "no quotes": HEAD.replace(b'"', b"") + b"\n" + REMOVE,
}


@dataclass(frozen=True)
class Attempt:
    """A form that is sent in two pieces, and how it ends. victim: what it would delete."""

    victim: bytes
    first: bytes
    second: bytes
    length: int
    chunked: bool
    end: str  # close, reset, junk

    def framed(self, data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data) if self.chunked and data else data

    async def make(self, port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        framing = b"Transfer-Encoding: chunked" if self.chunked else b"Content-Length: %d"
        head = framing if self.chunked else framing % self.length
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + TYPE + head + b"\r\n\r\n")
        writer.write(self.framed(self.first))
        await asyncio.sleep(PAUSE)
        writer.write(self.framed(self.second))
        if self.end == "junk":
            writer.write(b"zz\r\n" if self.chunked else b"")
        await asyncio.sleep(PAUSE)
        if self.end == "reset" and not writer.is_closing():  # some servers end it themselves
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        writer.close()


def make(attempts: list[Attempt], port: int, packages: Path) -> set[bytes]:
    """Make them, a few at a time; whose victims are gone afterwards."""

    async def all_of_them() -> None:
        few = asyncio.Semaphore(8)

        async def one(attempt: Attempt) -> None:
            async with few:
                await attempt.make(port)

        await asyncio.gather(*map(one, attempts))

    for attempt in attempts:
        release(packages, attempt.victim).write_bytes(b"x")
    asyncio.run(all_of_them())
    time.sleep(SETTLED)
    return {each.victim for each in attempts if not release(packages, each.victim).exists()}


def release(packages: Path, name: bytes) -> Path:
    return packages / f"{name.decode()}-1.0.tar.gz"


def cuts(body: bytes, every: int) -> list[int]:
    """Where the second piece breaks off: at its end, behind the value, and so often before."""
    value = body.index(b"remove_pkg") + len(b"remove_pkg")
    return sorted({len(body), value, value - 4, *range(1, len(body), every)})


def attacks(every: int, shapes: dict[str, bytes] = SECOND) -> Iterator[Attempt]:
    number = 0
    for second in shapes.values():
        for chunked in (False, True):
            for cut in cuts(second, every):
                number += 1
                victim = b"victim%d" % number
                fields = part(b":action", b"file_upload") + part(b"name", victim)
                file = b'; filename="new%d-1.0.tar.gz"' % number
                first = fields + part(b"version", b"1.0") + part(b"content", b"data" * 10, file)
                end = ("close", "reset", "junk" if chunked else "close")[number % 3]
                length = len(first + second) + 100 * (number % 2)
                yield Attempt(victim, first[:-2], b"\r\n" + second[:cut], length, chunked, end)


@pytest.fixture(scope="module", params=SERVERS)
def index(
    request: pytest.FixtureRequest, children: Children, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Index]:
    place = tmp_path_factory.mktemp("pypiserver")
    started = start_pypiserver_on(request.param, children, place)
    yield started
    started.child.stop()


@pytest.fixture
def packages(index: Index) -> Iterator[Path]:
    yield index.place / "packages"
    for path in (index.place / "packages").iterdir():
        path.unlink()


def test_what_a_server_does_with_a_form_that_breaks_off(
    index: Index, packages: Path, request: pytest.FixtureRequest
) -> None:
    """Straight at the index: what the reader's strictness and the reset are there for."""
    server = request.node.callspec.params["index"]

    def broken(victim: bytes, end: str, chunked: bool) -> Attempt:
        body = part(b":action", b"remove_pkg") + part(b"name", victim) + part(b"version", b"1.0")
        return Attempt(victim, body, b"", len(body + END), chunked, end)

    attempts = [
        broken(b"%s%d" % (end.encode(), chunked), end, chunked)
        for end in ("close", "reset")
        for chunked in (False, True)
    ]
    gone = make(attempts, index.port, packages)
    assert gone == ({b"close0"} if server in ACT_ON_AN_END else set())


@pytest.mark.parametrize("resets", [True, False], ids=["resets", "no resets"])
def test_no_form_that_breaks_off_does_more_than_was_judged(
    index: Index, packages: Path, serve: Serve, tmp_path: Path, resets: bool
) -> None:
    _try_all(index, packages, serve, tmp_path, resets, list(attacks(60)))


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("resets", [True, False], ids=["resets", "no resets"])
def test_the_same_cut_at_every_byte(
    index: Index, packages: Path, serve: Serve, tmp_path: Path, resets: bool
) -> None:
    _try_all(index, packages, serve, tmp_path, resets, list(attacks(1)))


def _try_all(
    index: Index,
    packages: Path,
    serve: Serve,
    tmp_path: Path,
    resets: bool,
    attempts: list[Attempt],
) -> None:
    """resets: the index can tell a request that breaks off from one that ends; where it cannot,
    what it has must be harmless."""
    with without_resets(index.port, tmp_path / "index.sock") as other:
        served = serve("pypiserver", index.url if resets else other)
        assert not make(attempts, served.port, packages)
        if resets:
            assert not list(packages.glob("new*"))


# -- over TLS: there Python 3.11.7's ssl takes a reset for an end, so nothing may rest on it ------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    certificate, key = certificate_for_localhost(tmp_path_factory.mktemp("tls"))
    return str(certificate), str(key)


@pytest.fixture(scope="module", params=TLS_SERVERS)
def secure(
    request: pytest.FixtureRequest,
    children: Children,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: tuple[str, str],
) -> Iterator[Index]:
    place = tmp_path_factory.mktemp("secure")
    started = start_pypiserver_on(request.param, children, place, tls=certificate)
    yield started
    started.child.stop()


def test_no_form_that_breaks_off_over_tls_does_more_than_was_judged(
    secure: Index, serve: Serve, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    served = serve("pypiserver", f"https://localhost:{secure.port}")
    packages = secure.place / "packages"
    shapes = {name: SECOND[name] for name in ("plain", "a blank", "bare LF before")}
    assert not make(list(attacks(60, shapes)), served.port, packages)
