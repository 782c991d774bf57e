"""A real mail server beside the gateway: started, made to fail, and what it was given."""

from __future__ import annotations

import ssl
import sys
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path

from gateway.cli.demo.processes import Child
from tests.support.certificates import certificate_for_localhost
from tests.support.mail_server import FAULTS
from tests.support.ports import free_port
from tests.support.servers import wait_for

PROGRAM = Path(__file__).with_name("mail_server.py")


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 and localhost, with its key in one file."""

    pem: Path

    @property
    def trusted(self) -> ssl.SSLContext:
        """What a client that trusts it uses."""
        return ssl.create_default_context(cafile=str(self.pem))


def make_certificate(folder: Path) -> Certificate:
    certificate, key = certificate_for_localhost(folder)
    pem = folder / "mail.pem"
    pem.write_bytes(key.read_bytes() + certificate.read_bytes())
    return Certificate(pem)


class MailServer:
    """The process of `mail_server.py`. tls: from the first byte, not by STARTTLS."""

    def __init__(
        self, folder: Path, certificate: Certificate, *, tls: bool = False, login: str = ""
    ) -> None:
        self.folder = folder
        self.certificate = certificate
        self.tls = tls
        self.port = free_port()
        self.child: Child | None = None
        (folder / "mails").mkdir(parents=True)
        self.forget()
        self.fail()
        if login:
            (folder / "login").write_text(login)

    def start(self) -> MailServer:
        """Nothing happens where it runs already."""
        if self.child is not None:
            return self
        argv = [sys.executable, str(PROGRAM), str(self.folder), str(self.port)]
        argv += [str(self.certificate.pem), *(["tls"] if self.tls else [])]
        self.child = Child("mail server", argv, self.folder / "log")
        wait_for(self.port, self.child)
        return self

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.process.wait()
            self.child = None

    def fail(self, *faults: str) -> None:
        """Which of `FAULTS` it has from now on; none: it works."""
        assert set(faults) <= set(FAULTS), faults
        (self.folder / "faults").write_text(" ".join(faults))

    def forget(self) -> None:
        """As if it were new."""
        for file in (self.folder / "mails").iterdir():
            file.unlink()
        (self.folder / "met").write_text("")
        (self.folder / "log").write_text("")

    @property
    def got(self) -> list[EmailMessage]:
        files = sorted((self.folder / "mails").iterdir())
        found = [message_from_bytes(file.read_bytes(), policy=SMTPUTF8) for file in files]
        assert all(isinstance(one, EmailMessage) for one in found)
        return found

    @property
    def commands(self) -> list[str]:
        """What clients said to it, credentials aside."""
        lines = (self.folder / "log").read_text("utf-8", "replace").splitlines()
        return [line.partition(" >> b'")[2].rstrip("'") for line in lines if " >> b'" in line]


def content(mail: EmailMessage) -> str:
    """The text of a mail, lines ended by LF."""
    return str(mail.get_content()).replace("\r\n", "\n")
