"""Mail as a real server on loopback gets it, and every way in which such a server fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from gateway.core.audit.events import Origin
from gateway.core.notices.events import Notice
from gateway.core.notices.queue import Letter
from gateway.notify import mail as smtp
from gateway.notify.courier import Undeliverable, Undelivered
from gateway.notify.mail import Mail
from tests.notify.conftest import StartMail
from tests.support.mail import MailServer, content

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
        return self.found


def mail(
    server: MailServer,
    *,
    trust: bool = True,
    address: str | None = "alice@example.org",
    user: str = "",
    password: Callable[[], str] | None = None,
    patience: float = 60.0,
) -> Mail:
    """patience: seconds for each step but the one in which the server takes the mail."""
    context = server.certificate.trusted if trust else None
    where = smtp.MailServer(
        "127.0.0.1",
        server.port,
        "tls" if server.tls else "starttls",
        user,
        password,
        context,
        timeout=patience,
    )
    return Mail(where, "gateway@example.org", Addresses(address), "https://packages.example.org")


@pytest.mark.parametrize("tls", [False, True], ids=["STARTTLS", "TLS"])
async def test_a_notice_arrives(start_mail: StartMail, tls: bool) -> None:
    server = start_mail(tls=tls)
    await mail(server).deliver(LETTER)
    (got,) = server.got
    assert got["X-Sender"] == "gateway@example.org"
    assert got["X-Recipients"] == "alice@example.org"
    assert got["To"] == "alice@example.org" and got["From"] == "gateway@example.org"
    assert got["Subject"] == "A second factor was added"
    assert got["Message-ID"] == f"<{'5f' * 16}@example.org>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Date"] == "Fri, 02 Jan 2026 03:00:00 +0000"
    assert content(got) == (
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


@pytest.mark.parametrize("tls", [False, True], ids=["STARTTLS", "TLS"])
async def test_it_logs_in_with_the_password_of_that_moment(
    start_mail: StartMail, tls: bool
) -> None:
    passwords = iter(["wrong-secret", "right-secret"])
    server = start_mail(tls=tls, login="gw right-secret")
    sender = mail(server, user="gw", password=lambda: next(passwords))
    with pytest.raises(Undelivered, match="535") as caught:
        await sender.deliver(LETTER)
    assert "secret" not in str(caught.value) and server.got == []
    await sender.deliver(LETTER)
    assert len(server.got) == 1


FAILURES = {
    "mute": ("SMTPConnectTimeoutError", False),
    "starttls-refused": ("454", False),
    "no-starttls": ("SMTPException", False),
    "greylist": ("450", False),
    "sender-refused": ("553", False),
    "drop-in-data": ("SMTPServerDisconnected", True),
    "drop-after-data": ("SMTPServerDisconnected", True),
    "data-later": ("451", False),
}


@pytest.mark.parametrize(("fault", "said"), FAILURES.items(), ids=FAILURES)
async def test_what_is_tried_again(
    start_mail: StartMail, fault: str, said: tuple[str, bool]
) -> None:
    server = start_mail(fault, login="gw right-secret")
    sender = mail(server, user="gw", password=lambda: "right-secret")
    hasty = mail(server, user="gw", password=lambda: "right-secret", patience=0.5)
    with pytest.raises(Undelivered) as caught:
        await (hasty if fault == "mute" else sender).deliver(LETTER)
    words, unsure = said
    assert words in str(caught.value) and caught.value.unsure is unsure
    assert "alice" not in str(caught.value)
    before = len(server.got)
    assert before == (fault == "drop-after-data")
    if fault in ("no-starttls", "starttls-refused"):
        clear = {command.split()[0] for command in server.commands}
        assert clear <= {"EHLO", "STARTTLS", "QUIT"}, "nothing in the clear"
    if fault != "greylist":  # that one passes by itself
        server.fail()
    await sender.deliver(LETTER)
    assert len(server.got) == before + 1
    assert len({got["Message-ID"] for got in server.got}) == 1


@pytest.mark.parametrize(
    ("fault", "address"),
    [
        ("no-recipient", "alice@example.org"),
        ("data-refused", "alice@example.org"),
        ("no-utf8", "zoë@example.org"),
    ],
)
async def test_what_is_given_up(start_mail: StartMail, fault: str, address: str) -> None:
    server = start_mail(fault)
    with pytest.raises(Undeliverable) as caught:
        await mail(server, address=address).deliver(LETTER)
    assert "@" not in str(caught.value) and server.got == []


@pytest.mark.parametrize("fault", ["slow-answer", "no-goodbye"])
async def test_what_was_taken_is_delivered(start_mail: StartMail, fault: str) -> None:
    """The server has it; sent again, it would arrive twice."""
    server = start_mail(fault)
    await mail(server, patience=4.0).deliver(LETTER)
    assert len(server.got) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["STARTTLS", "TLS"])
async def test_a_certificate_that_is_not_trusted(start_mail: StartMail, tls: bool) -> None:
    server = start_mail(tls=tls)
    with pytest.raises(Undelivered):
        await mail(server, trust=False).deliver(LETTER)
    assert server.got == [] and {one.split()[0] for one in server.commands} <= {"EHLO", "STARTTLS"}


@pytest.mark.parametrize(
    ("address", "to"),
    [("zoë@example.org", "zoë@example.org"), ("a@bücher.example", "a@xn--bcher-kva.example")],
)
async def test_an_international_address(start_mail: StartMail, address: str, to: str) -> None:
    server = start_mail()
    await mail(server, address=address).deliver(LETTER)
    (got,) = server.got
    assert (got["X-Recipients"], got["To"]) == (to, to)


async def test_an_international_name(start_mail: StartMail) -> None:
    server = start_mail("no-utf8")
    await mail(server).deliver(replace(LETTER, user="żółw", detail="totp Zoës 📱"))
    assert "Hello żółw," in content(server.got[0]) and "Zoës 📱" in content(server.got[0])


HOSTILE = "eve\r\nBcc: eve@example.net\r\n.\r\nMAIL FROM:<eve@example.net>\r\n"


async def test_what_people_write_ends_up_in_the_text_only(start_mail: StartMail) -> None:
    server = start_mail()
    origin = Origin(HOSTILE, HOSTILE)
    for notice in Notice:
        hostile = replace(LETTER, notice=notice, user=HOSTILE, detail=HOSTILE, origin=origin)
        await mail(server).deliver(hostile)
    assert len(server.got) == len(Notice)
    for got in server.got:
        assert got["X-Recipients"] == "alice@example.org" and got["Bcc"] is None
        assert not [line for line in content(got).splitlines() if line.startswith((".", "Bcc"))]


@pytest.mark.parametrize(
    "address",
    [None, "", "alice", "a@b@c", "a b@c", "a@c,d@e", "a@c\r\nBcc: d@e", "<a@c>", "a@c;d@e"],
)
async def test_without_a_usable_address_it_is_given_up(address: str | None) -> None:
    sender = Mail(
        smtp.MailServer("127.0.0.1", 9), "gateway@example.org", Addresses(address), "http://x"
    )
    with pytest.raises(Undeliverable):
        await sender.deliver(LETTER)


async def test_no_server_there(start_mail: StartMail) -> None:
    server = start_mail()
    server.stop()
    with pytest.raises(Undelivered):
        await mail(server).deliver(LETTER)


async def test_a_notice_with_an_address_of_its_own_goes_there(start_mail: StartMail) -> None:
    server = start_mail()
    await mail(server, address="thief@example.net").deliver(
        replace(LETTER, notice=Notice.ADDRESS_CHANGED, address="alice@example.org")
    )
    assert server.got[0]["To"] == "alice@example.org"
