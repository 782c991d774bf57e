"""A mail server of its own for a test, a clock, a store and an audit trail."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from gateway.core.audit.trail import Trail
from gateway.core.crypto.keyring import KeyRing
from gateway.stores.sqlite.store import SqliteStore
from tests.support.clock import Clock
from tests.support.mail import Certificate, MailServer, make_certificate

StartMail: TypeAlias = Callable[..., MailServer]


@pytest.fixture
def trail(store: SqliteStore, clock: Clock) -> Trail:
    return Trail(store, KeyRing((("k1", b"k" * 32),), secrets.token_bytes), clock)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def mail_servers() -> Iterator[dict[tuple[bool, str], MailServer]]:
    """One process for each way to speak to it; a test starts with an empty one."""
    servers: dict[tuple[bool, str], MailServer] = {}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def start_mail(
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    mail_servers: dict[tuple[bool, str], MailServer],
) -> StartMail:
    """`start_mail("greylist", tls=True, login="user password")`."""

    def start(*faults: str, tls: bool = False, login: str = "") -> MailServer:
        server = mail_servers.get((tls, login))
        if server is None:
            place = tmp_path_factory.mktemp("mail")
            server = mail_servers[tls, login] = MailServer(place, certificate, tls=tls, login=login)
        server.forget()
        server.fail(*faults)
        return server.start()

    return start
