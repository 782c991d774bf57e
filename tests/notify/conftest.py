"""A mail server that keeps what it gets, with certificates of its own, all on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.stores.sqlite import SqliteStore


class Clock:
    now = 1_767_322_800.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "state.db", clock)
    yield opened
    await opened.close()


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, and the contexts of both ends."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = directory / "both.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return Certificate(server, ssl.create_default_context(cafile=str(pem)))


@dataclass
class MailSink:
    """What a mail server does, as far as one sender needs it (RFC 5321, 3207, 4954)."""

    certificate: Certificate
    starttls: bool = True
    tls: bool = False
    login: tuple[str, str] | None = None
    recipient_code: int = 250
    got: list[EmailMessage] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    port: int = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[MailSink]:
        context = self.certificate.server if self.tls else None
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        safe, known = self.tls, self.login is None
        writer.write(b"220 sink\r\n")
        while line := (await reader.readline()).decode().strip():
            self.commands.append(line)
            verb = line.split()[0].upper()
            if verb == "EHLO":
                offers = ["sink", "SMTPUTF8", "8BITMIME"]
                offers += ["STARTTLS"] if self.starttls and not safe else []
                offers += ["AUTH PLAIN"] if self.login else []
                marks = ["-"] * (len(offers) - 1) + [" "]
                answer = "".join(f"250{m}{o}\r\n" for m, o in zip(marks, offers, strict=True))
                writer.write(answer.encode())
            elif verb == "STARTTLS":
                writer.write(b"220 go\r\n")
                await writer.start_tls(self.certificate.server)
                safe = True
            elif verb == "AUTH":
                wanted = "\0{}\0{}".format(*(self.login or ("", "")))
                known = base64.b64decode(line.split()[2]).decode() == wanted
                writer.write(b"235 in\r\n" if known else b"535 no\r\n")
            elif verb == "MAIL":
                writer.write(b"250 ok\r\n" if known else b"530 who\r\n")
            elif verb == "RCPT":
                writer.write(f"{self.recipient_code} so be it\r\n".encode())
            elif verb == "DATA":
                writer.write(b"354 go\r\n")
                raw = await reader.readuntil(b"\r\n.\r\n")
                self.got.append(message_from_bytes(raw[:-3], policy=SMTP))
                writer.write(b"250 kept\r\n")
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"250 ok\r\n")
