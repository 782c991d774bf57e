"""Notices of a real gateway before a real devpi, by a real mail server, whatever it does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.e2e.conftest import NewPerson
from tests.support.gateways import Gateway
from tests.support.mail import MailServer, content, make_certificate
from tests.support.servers import Index
from tests.support.traces import Traces
from tests.support.waiting import eventually


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailServer]:
    server = MailServer(tmp_path / "mail", make_certificate(tmp_path), login="gw s3cret-mail")
    yield server
    server.stop()


@pytest.fixture
def gateway(start_gateway: StartGateway, devpi_server: Index, mail: MailServer) -> Gateway:
    """It knows the mail server, which does not run yet."""
    secret = mail.folder / "secret"
    secret.write_text("s3cret-mail\n")
    smtp = {
        "host": "localhost",
        "port": mail.port,
        "from": "gateway@example.org",
        "user": "gw",
        "password": f"file:{secret}",
    }
    started = start_gateway(devpi_server, notices__smtp=smtp)
    started.stop()
    return started.start({"SSL_CERT_FILE": str(mail.certificate.pem)})


def wrong_login(gateway: Gateway, user: str, password: str, code: str) -> None:
    told = gateway.client().post("/+login", send={"user": user, "password": f"{password},{code}"})
    assert told.slug == "otp_invalid", told.text


def test_a_notice_outlives_mail_server_and_gateway_and_comes_once(
    gateway: Gateway, mail: MailServer, person: NewPerson
) -> None:
    alice = person("alice", enrolled=False)
    phone = gateway.enrol(alice.name)
    wrong_login(gateway, alice.name, alice.password, phone.wrong())
    assert eventually(lambda: "not delivered" in gateway.logged())
    assert gateway.child is not None
    gateway.child.kill()
    gateway.child.process.wait()
    mail.fail("held")
    mail.start()
    gateway.start({"SSL_CERT_FILE": str(mail.certificate.pem)})
    assert eventually(lambda: any(command.startswith("DATA") for command in mail.commands))
    wrong_login(gateway, alice.name, alice.password, phone.wrong())
    assert not mail.got, "nobody waits for the mail server"
    mail.fail("tarpit")
    assert eventually(lambda: len(mail.got) == 1)
    time.sleep(1)
    (got,) = mail.got
    assert got["X-Recipients"] == f"{alice.name}@example.org"
    assert "Somebody gave your right password, then a wrong second factor" in content(got)
    traces = Traces()
    traces.add("password", alice.password, "s3cret-mail")
    traces.add("code", phone.wrong())
    traces.add("TOTP secret", phone.secret)
    traces.add("recovery code", *phone.recovery)
    assert not traces.found(got.as_bytes() + content(got).encode())
    assert not traces.found(gateway.logged())
    assert alice.name not in gateway.logged()


def test_a_thief_who_changes_the_address_first_is_told_of(
    gateway: Gateway, mail: MailServer, person: NewPerson
) -> None:
    mail.start()
    alice = person("alice", enrolled=False)
    phone = gateway.enrol(alice.name)
    for change in ({"title": "Alice"}, {"email": "thief@example.net"}):
        given = alice.name, f"{alice.password},{phone.code()}"
        told = gateway.client().call("PATCH", f"/{alice.name}", send=change, auth=given)
        assert told.status == 200, told.text
    assert eventually(lambda: bool(mail.got))
    (got,) = mail.got
    assert got["To"] == f"{alice.name}@example.org"
    assert got["Subject"] == "The mail address of your account was changed"
    assert "thief" not in content(got)
