"""The webhook as a real receiver gets it, and the receiver's check of the signature."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from gateway.notify.courier import Undelivered
from gateway.notify.signed_post import signature
from gateway.notify.webhook import Webhook
from tests.notify.test_mail import LETTER
from tests.support.clock import Clock

KEY = "shared-secret"


@dataclass
class Receiver:
    url: str = ""
    status: int = 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@pytest.fixture
async def receiver(aiohttp_server: AiohttpServer) -> Receiver:
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.handle)
    server = await aiohttp_server(application)
    receiver.url = str(server.make_url("/hook"))
    return receiver


def webhook(receiver: Receiver, clock: Clock) -> Webhook:
    return Webhook(receiver.url, lambda: KEY, "https://packages.example.org", clock)


async def test_a_notice_arrives_signed(receiver: Receiver, clock: Clock) -> None:
    await webhook(receiver, clock).deliver(LETTER)
    headers, body = receiver.got[0]
    stamp, mac = (part.partition("=")[2] for part in headers["Index-Gateway-Signature"].split(","))
    wanted = hmac.new(KEY.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert (int(stamp), mac) == (int(clock.now), wanted)
    assert headers["Index-Gateway-Id"] == LETTER.id
    said = json.loads(body)
    assert said.pop("text").startswith("Hello alice,\n")
    assert said == {
        "id": LETTER.id,
        "notice": "factor_added",
        "user": "alice",
        "time": 1_767_322_800.0,
        "address": "192.0.2.7",
        "device": "Firefox on Linux",
        "detail": "totp phone",
        "index": "https://packages.example.org",
        "subject": "A second factor was added",
    }


def test_the_signature_is_what_receivers_rely_on() -> None:
    assert signature("key", 1_700_000_000, b'{"a":1}') == (
        "t=1700000000,v1=" + hmac.digest(b"key", b'1700000000.{"a":1}', "sha256").hex()
    )


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410, 500, 503])
async def test_anything_but_success_is_tried_again(
    receiver: Receiver, clock: Clock, status: int
) -> None:
    receiver.status = status
    with pytest.raises(Undelivered, match=str(status)):
        await webhook(receiver, clock).deliver(LETTER)
    assert len(receiver.got) == 1, "and no redirect is followed"


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("pieces", "taken"),
    [
        ([HEAD, b"\r\n"], True),
        ([HEAD + b"Content-Length: 99999999999\r\n\r\n", *[b"x" * 65536] * 400], True),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n" + b"x" * 65536] * 9], True),
        ([b"HTTP/1.1 200", *[b"K"] * 4000], False),
        ([HEAD, *[b"X-Filler: " + b"x" * 4000 + b"\r\n"] * 400], False),
        ([b"garbage\r\n\r\n"], False),
        ([b""], False),
    ],
    ids=["none", "endless", "broken chunks", "slow head", "endless head", "no HTTP", "nothing"],
)
async def test_an_answer_costs_little_time_and_memory(
    clock: Clock, pieces: list[bytes], taken: bool
) -> None:
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(OSError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                await asyncio.sleep(0 if len(piece) > 1 else 0.02)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hook = Webhook(f"http://127.0.0.1:{port}/", lambda: KEY, "http://x", clock, timeout=0.5)
    start = time.monotonic()
    if taken:
        await hook.deliver(LETTER)
    else:
        with pytest.raises(Undelivered):
            await hook.deliver(LETTER)
    assert time.monotonic() - start < 30
    assert sent < 20_000_000, "an endless body is not read to its end"
    server.close()


async def test_nobody_there(clock: Clock) -> None:
    gone = Receiver(url="http://127.0.0.1:1/hook?token=secret-token")
    with pytest.raises(Undelivered) as caught:
        await webhook(gone, clock).deliver(LETTER)
    assert "secret" not in str(caught.value) and "127.0.0.1" not in str(caught.value)
