"""Mail as a real server on loopback gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest

from gateway.core.audit import Origin
from gateway.core.notice_queue import Letter
from gateway.core.notices import Notice
from gateway.notify.courier import Undeliverable, Undelivered
from gateway.notify.mail import Mail, MailServer
from tests.notify.conftest import Certificate, MailSink

LETTER = Letter(
    id="5f" * 16,
    channel="mail",
    notice=Notice.FACTOR_ADDED,
    user="alice",
    origin=Origin("192.0.2.7", "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"),
    detail="totp phone",
    time=1_767_322_800.0,
)


@dataclass
class Addresses:
    found: str | None = "alice@example.org"

    async def __call__(self, user: str) -> str | None:
        assert user == "alice"
        return self.found


def mail(
    sink: MailSink,
    *,
    tls: Literal["starttls", "tls"] = "starttls",
    trust: bool = True,
    addresses: Addresses | None = None,
    user: str = "",
    password: Callable[[], str] | None = None,
) -> Mail:
    context = sink.certificate.client if trust else None
    server = MailServer("127.0.0.1", sink.port, tls, user, password, context)
    found = addresses or Addresses()
    return Mail(server, "gateway@example.org", found, "https://packages.example.org")


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_notice_arrives(certificate: Certificate, tls: Literal["starttls", "tls"]) -> None:
    async with MailSink(certificate, tls=tls == "tls").running() as sink:
        await mail(sink, tls=tls).deliver(LETTER)
    (got,) = sink.got
    assert got["To"] == "alice@example.org" and got["From"] == "gateway@example.org"
    assert got["Subject"] == "A second factor was added"
    assert got["Message-ID"] == f"<{'5f' * 16}@example.org>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Date"] == "Fri, 02 Jan 2026 03:00:00 +0000"
    assert got.get_content().replace("\r\n", "\n") == (
        "Hello alice,\n\n"
        "A second factor was added to your account (totp phone).\n\n"
        "When:  2026-01-02 03:00 UTC\n"
        "From:  192.0.2.7, Firefox on Linux\n"
        "Index: https://packages.example.org\n\n"
        "If that was you, there is nothing to do.\n\n"
        "If it wasn't you:\n"
        "Sign in at https://packages.example.org/+auth/,\n"
        "remove what you do not know, change your password and tell the administrator\n"
        "of the index.\n"
    )


async def test_it_logs_in_with_the_password_of_that_moment(certificate: Certificate) -> None:
    passwords = iter(["wrong-secret", "right-secret"])
    async with MailSink(certificate, login=("gw", "right-secret")).running() as sink:
        sender = mail(sink, user="gw", password=lambda: next(passwords))
        with pytest.raises(Undelivered) as caught:
            await sender.deliver(LETTER)
        assert "secret" not in str(caught.value)
        await sender.deliver(LETTER)
    assert len(sink.got) == 1


async def test_nothing_goes_out_in_the_clear(certificate: Certificate) -> None:
    async with MailSink(certificate, starttls=False, login=("gw", "pw")).running() as sink:
        with pytest.raises(Undelivered):
            await mail(sink, user="gw", password=lambda: "pw").deliver(LETTER)
    assert {command.split()[0] for command in sink.commands} <= {"EHLO", "QUIT"}


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_certificate_that_is_not_trusted(
    certificate: Certificate, tls: Literal["starttls", "tls"]
) -> None:
    async with MailSink(certificate, tls=tls == "tls").running() as sink:
        with pytest.raises(Undelivered):
            await mail(sink, tls=tls, trust=False).deliver(LETTER)
    assert sink.got == []


@pytest.mark.parametrize(
    ("code", "outcome"), [(550, Undeliverable), (553, Undeliverable), (451, Undelivered)]
)
async def test_a_refused_recipient(
    certificate: Certificate, code: int, outcome: type[Exception]
) -> None:
    async with MailSink(certificate, recipient_code=code).running() as sink:
        with pytest.raises(outcome) as caught:
            await mail(sink).deliver(LETTER)
    assert "alice" not in str(caught.value) and sink.got == []


@pytest.mark.parametrize(
    "found",
    [None, "", "alice", "a@b@c", "a b@c", "a@c,d@e", "a@c\r\nBcc: d@e", "<a@c>", "a@c;d@e"],
)
async def test_without_a_usable_address_it_is_given_up(
    certificate: Certificate, found: str | None
) -> None:
    async with MailSink(certificate).running() as sink:
        with pytest.raises(Undeliverable):
            await mail(sink, addresses=Addresses(found)).deliver(LETTER)
    assert sink.commands == []


async def test_an_international_address(certificate: Certificate) -> None:
    async with MailSink(certificate).running() as sink:
        await mail(sink, addresses=Addresses("zoë@example.org")).deliver(LETTER)
    assert len(sink.got) == 1


async def test_no_server_there(certificate: Certificate) -> None:
    async with MailSink(certificate).running() as sink:
        sender = mail(sink)
    await asyncio.sleep(0)
    with pytest.raises(Undelivered):
        await sender.deliver(LETTER)
