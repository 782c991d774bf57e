"""The webhook as a real receiver gets it, and the receiver's check of the signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from gateway.notify.courier import Undelivered
from gateway.notify.webhook import Webhook, signature
from tests.notify.conftest import Clock
from tests.notify.test_mail import LETTER

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
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook"
    yield receiver
    await runner.cleanup()


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


async def test_nobody_there(clock: Clock) -> None:
    gone = Receiver(url="http://127.0.0.1:1/hook?token=secret-token")
    with pytest.raises(Undelivered) as caught:
        await webhook(gone, clock).deliver(LETTER)
    assert "secret" not in str(caught.value) and "127.0.0.1" not in str(caught.value)
