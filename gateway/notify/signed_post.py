"""A POST of JSON that its receiver can check.

    Index-Gateway-Id: 5f…                      the same for every try of one delivery
    Index-Gateway-Signature: t=1767322800,v1=HEX

where HEX is HMAC-SHA-256 under the shared key over the timestamp, a dot and the body. Receivers
refuse a timestamp more than some minutes off, and an id they have had. Any 2xx takes it; its body
is not read, redirects are not followed.
"""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Callable
from typing import Final

from gateway.core.clock import Clock
from gateway.notify.courier import Undelivered

ID: Final = "Index-Gateway-Id"
SIGNATURE: Final = "Index-Gateway-Signature"
_TIMEOUT: Final = 15.0


def signature(key: str, timestamp: int, body: bytes) -> str:
    """The value of the signature header."""
    mac = hmac.new(key.encode(), f"{timestamp}.".encode() + body, "sha256").hexdigest()
    return f"t={timestamp},v1={mac}"


class SignedPost:
    """Args:
    key: gives the shared key, asked for each delivery, so it can be changed.
    context: TLS settings; None for the system's certificates.
    timeout: seconds until the head of the answer is there.
    """

    def __init__(
        self,
        url: str,
        key: Callable[[], str],
        clock: Clock,
        *,
        context: ssl.SSLContext | None = None,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._url: Final = url
        self._key: Final = key
        self._clock: Final = clock
        self._context: Final = context
        self._timeout: Final = timeout

    async def send(self, id: str, body: bytes) -> None:
        """Raises Undelivered."""
        import aiohttp

        headers = {
            "Content-Type": "application/json",
            "User-Agent": "index-gateway",
            ID: id,
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
