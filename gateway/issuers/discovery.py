"""Asking an issuer for its keys (OpenID Connect Discovery 1.0 section 4, RFC 7517).

Only addresses of https, or of this machine; no redirect, no cookie, no login, whole answers within
a time and a size. A proxy of the environment is used, as it may be the only way out.

Knows aiohttp; knows no token.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import aiohttp

WITHIN: Final = 10.0
"""Seconds for one answer, connecting included."""
LONGEST: Final = 256 * 1024
"""Bytes of an answer; those of real issuers have about 5,000."""
MOST: Final = 100
"""Keys of an issuer."""

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class IssuerFault(Exception):
    """An issuer does not say what its keys are; the text says why, in our own words."""


@dataclass(frozen=True, slots=True)
class Published:
    """What an issuer says. algorithms: with which it signs. keys: as JWK."""

    algorithms: tuple[str, ...]
    keys: tuple[Mapping[str, Any], ...] = field(repr=False)


def allowed(address: str) -> bool:
    """Whether an address may be asked."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    plain = address.isascii() and address.isprintable() and " " not in address
    if not plain or not host or "@" in parts.netloc or parts.fragment or len(address) > 2000:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


class Discovery:
    """Belongs to one event loop; connects at the first question.

    Args:
        context: TLS settings; None for the system's.
    """

    def __init__(self, *, within: float = WITHIN, context: ssl.SSLContext | None = None) -> None:
        self._within: Final = within
        self._context: Final = context
        self._client: aiohttp.ClientSession | None = None

    async def ask(self, issuer: str) -> Published:
        """Raises IssuerFault."""
        about = await self._json(issuer.rstrip("/") + _WELL_KNOWN)
        if about.get("issuer") != issuer:
            raise IssuerFault("its discovery document is another issuer's")
        algorithms = about.get("id_token_signing_alg_values_supported", ["RS256"])
        place = about.get("jwks_uri")
        if not isinstance(place, str) or not allowed(place):
            raise IssuerFault("its discovery document has no address of keys that may be asked")
        if not isinstance(algorithms, list):
            raise IssuerFault("its discovery document does not say how it signs")
        found = (await self._json(place)).get("keys")
        if not isinstance(found, list) or len(found) > MOST:
            raise IssuerFault("its list of keys cannot be read")
        return Published(
            tuple(one for one in algorithms if isinstance(one, str)),
            tuple(one for one in found if isinstance(one, dict)),
        )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
            await asyncio.sleep(0)

    async def _json(self, address: str) -> dict[str, Any]:
        if not allowed(address):
            raise IssuerFault("its address may not be asked: https only")
        body = await self._body(address)
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise IssuerFault("it answers what is not JSON") from None
        if not isinstance(found, dict):
            raise IssuerFault("it answers what is no JSON object")
        return found

    async def _body(self, address: str) -> bytes:
        import aiohttp
        import yarl

        body = bytearray()
        try:
            async with self._session().get(
                yarl.URL(address),
                allow_redirects=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                proxy=_proxy(address),
            ) as answer:
                if answer.status != 200:
                    raise IssuerFault(f"it answers {answer.status}")
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > LONGEST:
                        raise IssuerFault("its answer is too long")
        except TimeoutError:
            raise IssuerFault(f"no answer within {self._within:g} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise IssuerFault("it cannot be reached") from None
        return bytes(body)

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._client is None:
            connector = aiohttp.TCPConnector(
                ssl=self._context or True, force_close=True, limit_per_host=2
            )
            self._client = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,  # it would send what is in ~/.netrc, too
                timeout=aiohttp.ClientTimeout(self._within),
                headers={"User-Agent": "index-gateway"},
            )
        return self._client


def _proxy(address: str) -> str | None:
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(address)
    host = parts.hostname or ""
    if host in _LOOPBACK or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)
