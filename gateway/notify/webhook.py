"""Notices by webhook: a signed POST of JSON (`signed_post`)."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import Final

from gateway.core.clock import Clock
from gateway.core.notices.queue import Letter
from gateway.core.notices.text import CountryOf, subject, text
from gateway.core.phrases import ENGLISH, Catalogue
from gateway.core.wording import device_name
from gateway.notify.signed_post import SignedPost


class Webhook:
    """The channel "webhook".

    Args:
        key: gives the shared key, asked for each delivery, so it can be changed.
        context: TLS settings; None for the system's certificates.
        timeout: seconds until the head of the answer is there.
        language: of the texts, whoever they are about.
        country: names the country that an address is in.
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
        timeout: float = 15.0,
        language: Catalogue = ENGLISH,
        country: CountryOf | None = None,
    ) -> None:
        self._country: Final = country
        self._language: Final = language
        self._post: Final = SignedPost(url, key, clock, context=context, timeout=timeout)
        self._public_url: Final = public_url

    async def deliver(self, letter: Letter) -> None:
        """See `Channel`."""
        await self._post.send(letter.id, self._body(letter))

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
                "text": text(
                    letter, self._public_url, catalogue=self._language, country=self._country
                ),
            }
        ).encode()
