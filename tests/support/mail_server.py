"""A mail server as a process of its own: aiosmtpd, and what goes wrong with mail servers.

    python tests/support/mail_server.py FOLDER PORT PEM [tls]

Mails are kept in FOLDER/mails, one file each, its lines "name: value" of the envelope first.
FOLDER/faults is read at every step: one word or several of those below. FOLDER/login holds
"user password" where a login is asked for.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

FAULTS = {
    "mute": "no greeting",
    "tarpit": "a third of a second before every answer",
    "no-starttls": "STARTTLS is not offered, as when somebody on the line strips it",
    "starttls-refused": "offered, then refused",
    "no-utf8": "addresses in ASCII only",
    "greylist": "450 for a recipient it has not met",
    "no-recipient": "550 for every recipient",
    "sender-refused": "553 for the sender",
    "drop-in-data": "gone while the mail comes in",
    "data-later": "451 for the mail",
    "data-refused": "554 for the mail",
    "slow-answer": "five seconds until the mail is taken",
    "held": "no mail is taken while this lasts",
    "drop-after-data": "gone when the mail was taken, before saying so",
    "no-goodbye": "QUIT is never answered",
}


class Handler:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = itertools.count(1)

    def has(self, fault: str) -> bool:
        return fault in (self.folder / "faults").read_text().split()

    def auth(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        user, password = (self.folder / "login").read_text().split()
        assert isinstance(data, LoginPassword)
        good = (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=good, handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.has("sender-refused"):
            return "553 not you"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.has("no-recipient"):
            return f"550 no {address} here"
        met = self.folder / "met"
        if self.has("greylist") and address not in met.read_text().split():
            met.write_text(f"{met.read_text()} {address}")
            return f"450 {address}: come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        while self.has("held"):
            await asyncio.sleep(0.05)
        for fault, answer in (("data-later", "451 busy"), ("data-refused", "554 spam")):
            if self.has(fault):
                return answer
        content = envelope.content
        assert isinstance(content, bytes) and envelope.mail_from is not None
        head = f"X-Sender: {envelope.mail_from}\nX-Recipients: {' '.join(envelope.rcpt_tos)}\n"
        part = self.folder / "part"
        part.write_bytes(head.encode() + content)
        part.rename(self.folder / "mails" / f"{next(self.numbers):04}")
        if self.has("slow-answer"):
            await asyncio.sleep(5)
        if self.has("drop-after-data"):
            assert server.transport is not None
            server.transport.close()
        return "250 kept"


class Server(SMTP):
    """aiosmtpd with faults. Its handler is a `Handler`."""

    def _has(self, fault: str) -> bool:
        return bool(self.event_handler.has(fault))

    async def push(self, status: Any) -> None:
        if self._has("tarpit"):
            await asyncio.sleep(0.3)
        await super().push(status)

    async def _handle_client(self) -> None:
        if self._has("mute"):
            await asyncio.sleep(600)
        if self._has("no-starttls"):
            self.tls_context = None
        self.enable_SMTPUTF8 = not self._has("no-utf8")
        await super()._handle_client()

    async def smtp_STARTTLS(self, arg: str) -> None:
        if self._has("starttls-refused"):
            await self.push("454 not now")
        else:
            await super().smtp_STARTTLS(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if self._has("drop-in-data"):
            await self.push("354 go on")
            assert self.transport is not None
            self.transport.close()
        else:
            await super().smtp_DATA(arg)

    async def smtp_QUIT(self, arg: str) -> None:
        if self._has("no-goodbye"):
            await asyncio.sleep(600)
        await super().smtp_QUIT(arg)


async def serve(folder: Path, port: int, pem: Path, implicit: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    handler = Handler(folder)
    login = (folder / "login").exists()

    def make() -> Server:
        return Server(
            handler,
            hostname="mail.example.org",
            tls_context=None if implicit else context,
            auth_required=login,
            auth_require_tls=not implicit,
            authenticator=handler.auth if login else None,
            enable_SMTPUTF8=True,
        )

    loop = asyncio.get_running_loop()
    tls = context if implicit else None
    server = await loop.create_server(make, "127.0.0.1", port, ssl=tls)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    place, number, certificate, *more = sys.argv[1:]
    asyncio.run(serve(Path(place), int(number), Path(certificate), more == ["tls"]))
