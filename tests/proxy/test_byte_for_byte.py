"""What the upstream and the client see is what they would see without the gateway.

Each exchange is recorded twice by a raw socket upstream, once with the client connected to it
and once through the forwarder, and the two recordings are compared byte for byte. The only
differences are the fields the design names.
"""

from __future__ import annotations

import asyncio
import gzip
import os
from dataclasses import dataclass

import pytest

from tests.proxy.conversation import talk
from tests.proxy.http1.heads import CLIENTS
from tests.proxy.passgate import PassGate

ADDED = (b"X-Forwarded-For: 127.0.0.1\r\n", b"X-Outside-URL: https://packages.example.org\r\n")
DROPPED = (b"Connection: keep-alive\r\n",)
OWN_COOKIE = b"; __Host-ig-session=abc.def"

WHEEL = os.urandom(700_000)
FORM = (
    b'--7f1\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload\r\n'
    b'--7f1\r\nContent-Disposition: form-data; name="content"; filename="a-1.whl"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n" + WHEEL + b"\r\n--7f1--\r\n"
)
UPLOAD = (
    b"POST /root/dev/ HTTP/1.1\r\nHost: packages.example.org\r\nUser-Agent: twine/7.0.0\r\n"
    b"Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
    b"Content-Length: %d\r\nContent-Type: multipart/form-data; boundary=7f1\r\n"
    b"Authorization: Basic cm9vdDpwYXNz\r\n\r\n" % len(FORM)
) + FORM
CHUNKED = (
    b"PUT /root/dev/a%%2Bb/?x=%%7E HTTP/1.1\r\nHost: packages.example.org\r\n"
    b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n%x\r\n%s\r\n0\r\n\r\n" % (300_000, WHEEL[:300_000])
)
OK = b"HTTP/1.1 200 OK\r\nServer: index\r\nContent-Length: 2\r\n\r\nok"
PACKED = gzip.compress(b"<a href=x>x</a>" * 100, mtime=0)
ANSWERS = {
    "page": b"HTTP/1.1 200 OK\r\nServer: waitress\r\nContent-Type: text/html\r\nVary: Accept\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
    "wheel": b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nETag: \"a\"\r\n"
    b"Content-Length: %d\r\nAccept-Ranges: bytes\r\n\r\n%s" % (len(WHEEL), WHEEL),
    "range": b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/700000\r\n"
    b"Content-Length: 10\r\n\r\n" + WHEEL[:10],
    "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nX-Odd:   spaces \r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(PACKED), PACKED),
    "not modified": b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
    "cookies": b"HTTP/1.1 302 Found\r\nSet-Cookie: a=1; Path=/; SameSite=Lax\r\n"
    b"set-cookie: b=\"2,3\"; samesite=strict\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    "refusal": b"HTTP/1.1 403 Kein Zutritt\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 2\r\n\r\nno",
}  # fmt: skip


@dataclass
class Recording:
    """All that reached the upstream, and all that reached the client."""

    upstream: bytes
    client: bytes


async def record(request: bytes, answer: bytes, *, through: bool) -> Recording:
    gate = PassGate()
    gate.own_fields = (("X-Outside-URL", "https://packages.example.org"),)
    async with talk(gate) as t:
        client = await t.client(directly=not through)
        client.send(request)
        upstream = await t.upstream()
        got = b""
        while not _whole(got, request):
            got += await asyncio.wait_for(upstream.reader.read(1 << 20), 5)
        upstream.send(answer)
        return Recording(got, await client.get(len(answer)))


def _whole(got: bytes, request: bytes) -> bool:
    """Whether as much of the body is here as the client sent."""
    _, mark, body = got.partition(b"\r\n\r\n")
    return bool(mark) and len(body) >= len(request.partition(b"\r\n\r\n")[2])


REQUESTS = {**CLIENTS, "twine, large": UPLOAD, "chunked, large": CHUNKED}
del REQUESTS["old"]  # an HTTP/1.0 request is carried as an HTTP/1.1 one


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
async def test_an_upload_is_the_same_at_the_upstream(request_: bytes) -> None:
    direct = await record(request_, OK, through=False)
    through = await record(request_, OK, through=True)
    expected = direct.upstream
    for line in DROPPED:
        expected = expected.replace(line, b"")
    expected = expected.replace(OWN_COOKIE, b"")
    got = through.upstream
    for line in ADDED:
        assert got.count(line) == 1
        got = got.replace(line, b"")
    if b"Transfer-Encoding" in expected:
        # The framing is written anew: at the end of the head, sizes in lower-case digits.
        moved = b"Transfer-Encoding: chunked\r\n"
        expected = expected.replace(moved, b"").replace(b"\r\n1A\r\n", b"\r\n1a\r\n")
        assert got.count(moved) == 1
        got = got.replace(moved, b"")
    assert got == expected
    assert direct.client == through.client


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_a_download_is_the_same_at_the_client(answer: bytes, method: str) -> None:
    request = f"{method} /x HTTP/1.1\r\nHost: packages.example.org\r\n\r\n".encode()
    direct = await record(request, answer, through=False)
    through = await record(request, answer, through=True)
    moved = b"Transfer-Encoding: chunked\r\n"
    assert through.client.replace(moved, b"") == direct.client.replace(moved, b"")
    assert through.client.count(moved) == direct.client.count(moved)
