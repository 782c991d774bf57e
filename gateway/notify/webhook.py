"""Notices by webhook: a POST of JSON that its receiver can check.

    Index-Gateway-Id: 5f…                      the same for every try of one notice
    Index-Gateway-Signature: t=1767322800,v1=HEX

where HEX is HMAC-SHA-256 under the shared key over the timestamp, a dot and the body. Receivers
refuse a timestamp more than some minutes off, and an id they have had. Any 2xx takes the notice;
its body is not read, redirects are not followed.
"""

from __future__ import annotations

import hmac
import json
import ssl
from collections.abc import Callable
from typing import Final

from gateway.core.clock import Clock
from gateway.core.notices.queue import Letter
from gateway.core.notices.text import subject, text
from gateway.core.phrases import ENGLISH, Catalogue
from gateway.core.wording import device_name
from gateway.notify.courier import Undelivered

ID: Final = "Index-Gateway-Id"
SIGNATURE: Final = "Index-Gateway-Signature"
_TIMEOUT: Final = 15.0


def signature(key: str, timestamp: int, body: bytes) -> str:
    """The value of the signature header."""
    mac = hmac.new(key.encode(), f"{timestamp}.".encode() + body, "sha256").hexdigest()
    return f"t={timestamp},v1={mac}"


class Webhook:
    """The channel "webhook".

    Args:
        key: gives the shared key, asked for each delivery, so it can be changed.
        context: TLS settings; None for the system's certificates.
        timeout: seconds until the head of the answer is there.
        language: of the texts, whoever they are about.
    """

    name = "webhook"

    def __init__(
        self,
        url: str,
        key: Callable[[], str],
        public_url: str,
        clock: Clock,
        *,
        context: ssl.SSLContext | None = None,
        timeout: float = _TIMEOUT,
        language: Catalogue = ENGLISH,
    ) -> None:
        self._language: Final = language
        self._url: Final = url
        self._key: Final = key
        self._public_url: Final = public_url
        self._clock: Final = clock
        self._context: Final = context
        self._timeout: Final = timeout

    async def deliver(self, letter: Letter) -> None:
        """See `Channel`."""
        import aiohttp

        body = self._body(letter)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "index-gateway",
            ID: letter.id,
            SIGNATURE: signature(self._key(), int(self._clock()), body),
        }
        try:
            timeout = aiohttp.ClientTimeout(total=self._timeout)
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.post(
                    self._url,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    ssl=self._context if self._context is not None else True,
                ) as answer,
            ):
                if not 200 <= answer.status < 300:
                    raise Undelivered(f"answered {answer.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Undelivered(type(error).__name__) from None

    def _body(self, letter: Letter) -> bytes:
        return json.dumps(
            {
                "id": letter.id,
                "notice": letter.notice,
                "user": letter.user,
                "time": letter.time,
                "address": letter.origin.address,
                "device": device_name(letter.origin.user_agent),
                "detail": letter.detail,
                "index": self._public_url,
                "subject": subject(letter, self._language),
                "text": text(letter, self._public_url, catalogue=self._language),
            }
        ).encode()
