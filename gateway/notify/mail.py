"""Notices by mail: SMTP with STARTTLS or TLS, never in the clear (RFC 3207, RFC 8314)."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final, Literal, TypeAlias

from gateway.core.notice_queue import Letter
from gateway.core.notice_text import subject, text
from gateway.notify.addresses import mail_address
from gateway.notify.courier import Undeliverable, Undelivered

AddressOf: TypeAlias = Callable[[str], Awaitable[str | None]]
"""The mail address of a user id; None where there is none. May raise: it is asked again."""

_TIMEOUT: Final = 20.0


@dataclass(frozen=True, slots=True)
class MailServer:
    """tls: "starttls" or "tls". password: read anew for each mail, so it can be changed.
    context: TLS settings; None for the system's certificates."""

    host: str
    port: int
    tls: Literal["starttls", "tls"] = "starttls"
    user: str = ""
    password: Callable[[], str] | None = field(default=None, repr=False)
    context: ssl.SSLContext | None = None


class Mail:
    """The channel "mail".

    Args:
        sender: the address notices come from.
        address_of: where a person's address comes from.
        public_url: without a trailing slash.
    """

    name = "mail"

    def __init__(
        self, server: MailServer, sender: str, address_of: AddressOf, public_url: str
    ) -> None:
        self._server: Final = server
        self._sender: Final = sender
        self._address_of: Final = address_of
        self._public_url: Final = public_url

    async def deliver(self, letter: Letter) -> None:
        """See `Channel`."""
        address = mail_address(await self._address_of(letter.user))
        if address is None:
            raise Undeliverable("there is no mail address for this person")
        await self._send(self._message(letter, address))

    def _message(self, letter: Letter, address: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = address
        message["Subject"] = subject(letter)
        message["Date"] = format_datetime(datetime.fromtimestamp(letter.time, UTC))
        domain = self._sender.rpartition("@")[2]
        # The same for every try, so that a mailbox can tell a second copy.
        message["Message-ID"] = f"<{letter.id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation replies
        message.set_content(text(letter, self._public_url))
        return message

    async def _send(self, message: EmailMessage) -> None:
        import aiosmtplib

        server = self._server
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user or None,
                password=server.password() if server.password is not None else None,
                use_tls=server.tls == "tls",
                start_tls=server.tls == "starttls",
                tls_context=server.context,
                timeout=_TIMEOUT,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            if all(500 <= refused.code < 600 for refused in error.recipients):
                raise Undeliverable("the mail server does not know the recipient") from None
            raise Undelivered("the mail server refused the recipient for now") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            # Only the kind and the code: a server's words may quote an address.
            code = getattr(error, "code", "")
            raise Undelivered(f"{type(error).__name__} {code}".strip()) from None
