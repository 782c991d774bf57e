"""Notices by mail: SMTP with STARTTLS or TLS, never in the clear (RFC 3207, RFC 8314).

A server that has the whole mail may take its time to say so (RFC 5321 section 4.5.3.2.6): cut
short, it would deliver the same mail at every try. Also where mail addresses come from, as far as
that asks nobody.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from gateway.core.notices.queue import Letter
from gateway.core.notices.text import CountryOf, subject, text
from gateway.core.phrases import ENGLISH, Catalogue
from gateway.notify.courier import Undeliverable, Undelivered

if TYPE_CHECKING:
    import aiosmtplib

import re
from collections.abc import Mapping

from gateway.core.user_id import user_id

AddressOf: TypeAlias = Callable[[str], Awaitable[str | None]]
"""The mail address of a user id; None where there is none. May raise: it is asked again."""
LanguageOf: TypeAlias = Callable[[str], Awaitable[Catalogue]]
"""The language of a user id. May raise StoreUnavailable: the mail is tried again."""

_ACCEPTANCE: Final = 600.0
_GOODBYE: Final = 2.0


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
    timeout: float = 20.0


class Mail:
    """The channel "mail".

    Args:
        sender: the address notices come from.
        address_of: where a person's address comes from.
        public_url: without a trailing slash.
        language_of: what a person is written to in.
        country: names the country that an address is in.
    """

    name = "mail"

    def __init__(
        self,
        server: MailServer,
        sender: str,
        address_of: AddressOf,
        public_url: str,
        language_of: LanguageOf | None = None,
        country: CountryOf | None = None,
    ) -> None:
        self._country: Final = country
        self._language_of: Final = language_of
        self._server: Final = server
        self._sender: Final = sender
        self._address_of: Final = address_of
        self._public_url: Final = public_url

    async def deliver(self, letter: Letter) -> None:
        """See `Channel`."""
        address = mail_address(letter.address or await self._address_of(letter.user))
        if address is None:
            raise Undeliverable("there is no mail address for this person")
        language = ENGLISH if self._language_of is None else await self._language_of(letter.user)
        await self._send(self._message(letter, address, language), address)

    def _message(self, letter: Letter, address: str, language: Catalogue) -> bytes:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = address
        message["Subject"] = subject(letter, language)
        message["Content-Language"] = language.code  # RFC 3282
        message["Date"] = format_datetime(datetime.fromtimestamp(letter.time, UTC))
        domain = self._sender.rpartition("@")[2]
        # The same for every try, so that a mailbox can tell a second copy.
        message["Message-ID"] = f"<{letter.id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation replies
        said = text(
            letter,
            self._public_url,
            link=letter.link,
            catalogue=language,
            country=self._country,
        )
        message.set_content(said, cte="7bit" if said.isascii() else "quoted-printable")
        return message.as_bytes(policy=SMTP if address.isascii() else SMTPUTF8)

    async def _send(self, message: bytes, address: str) -> None:
        import aiosmtplib

        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user or None,
            password=server.password() if server.password is not None else None,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=server.context,
            timeout=server.timeout,
        )
        try:
            await client.connect()
            await self._hand_over(client, message, address)
        except aiosmtplib.SMTPRecipientRefused as error:
            if error.code >= 500:
                raise Undeliverable("the mail server does not take this recipient") from None
            raise Undelivered(f"the mail server refused the recipient: {error.code}") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            # Only the kind and the code: a server's words may quote an address.
            code = getattr(error, "code", "")
            raise Undelivered(f"{type(error).__name__} {code}".strip()) from None
        finally:
            client.close()

    async def _hand_over(self, client: aiosmtplib.SMTP, message: bytes, address: str) -> None:
        """Raises Undeliverable, Undelivered, SMTPException, OSError."""
        import aiosmtplib

        if client.is_ehlo_or_helo_needed:  # after STARTTLS all is forgotten (RFC 3207 section 4.2)
            await client.ehlo()
        wide = not address.isascii()
        if wide and not client.supports_extension("smtputf8"):
            raise Undeliverable("the mail server takes no address outside ASCII (SMTPUTF8)")
        encoding = "utf-8" if wide else "ascii"
        options = ["SMTPUTF8"] if wide else []
        await client.mail(self._sender, options=options, encoding=encoding)
        await client.rcpt(address, encoding=encoding)
        try:
            await client.data(message, timeout=_ACCEPTANCE)
        except aiosmtplib.SMTPDataError as error:
            if error.code >= 500:
                raise Undeliverable(f"the mail server refused the mail: {error.code}") from None
            raise
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Undelivered(type(error).__name__, unsure=True) from None
        # It is delivered, whatever becomes of the goodbye.
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=_GOODBYE)


# Deliberately narrow: no quoting, comments, groups or lists, nothing a header could misread.
_ADDRESS: Final = re.compile(
    r"[^\s<>()\[\]\\,;:@\"\x00-\x1f\x7f]{1,64}@[^\s<>()\[\]\\,;:@\"\x00-\x1f\x7f]{1,253}"
)


def mail_address(found: object) -> str | None:
    """A usable address, or None. People can write what they like into their account.

    Its domain comes in ASCII (RFC 5890), so that only a local part outside it needs SMTPUTF8.
    """
    if not isinstance(found, str):
        return None
    stripped = found.strip()
    if not _ADDRESS.fullmatch(stripped) or not stripped.isprintable():
        return None
    local, _, domain = stripped.rpartition("@")
    try:
        return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError:
        return None


def from_map(addresses: Mapping[str, str]) -> Callable[[str], Awaitable[str | None]]:
    """Look-up in a map of the configuration, however the names in it are written."""
    by_id = {user_id(name): address for name, address in addresses.items()}

    async def look_up(user: str) -> str | None:
        return by_id.get(user)

    return look_up
