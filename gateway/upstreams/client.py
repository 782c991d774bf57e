"""The gateway's own small calls to the upstream: a login, a password check, a guarded change.

Whole small messages on a connection of their own; what is large or merely passes is the
forwarder's. Knows HTTP and header hygiene; knows no users and no factors.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http.cookies import with_same_site, without_own_cookies
from gateway.core.http.facts import Facts, Field
from gateway.core.http.headers import HOP_BY_HOP, dropped
from gateway.core.http.request_id import sent_with
from gateway.core.upstream import Call, UpstreamResponse

if TYPE_CHECKING:
    import aiohttp

LONGEST_HEAD: Final = 65536
"""Bytes of a field of an answer: as many as the forwarder takes of a whole head."""

MAX_ANSWER: Final = 1024 * 1024
"""Bytes of an answer that are read, where nobody says otherwise."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the upstream listens. base: "http://host:port"; unix: a socket's path instead."""

    base: str
    unix: Path | None = None


class Calls:
    """Calls to one upstream. Belongs to one event loop; made at the first call.

    Args:
        connect, answer: seconds for the connection, and for the whole call.
        longest: bytes of an answer that are read; a longer one is `upstream_broken`.
        context: TLS settings for an https upstream; None for the system's.
    """

    def __init__(
        self,
        address: Address,
        *,
        connect: float = 10.0,
        answer: float = 120.0,
        longest: int = MAX_ANSWER,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._address: Final = address
        self._connect: Final = connect
        self._answer: Final = answer
        self._longest: Final = longest
        self._context: Final = context
        self._client: aiohttp.ClientSession | None = None

    async def ask(self, call: Call, fields: tuple[Field, ...] = ()) -> UpstreamResponse:
        """See `gateway.core.upstream.Asking`."""
        import aiohttp

        try:
            return await self._ask(call, fields)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise Refusal(Slug.UPSTREAM_UNREACHABLE) from None
        except TimeoutError:
            raise Refusal(Slug.UPSTREAM_TIMEOUT) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise Refusal(Slug.UPSTREAM_BROKEN) from None

    async def _ask(self, call: Call, fields: tuple[Field, ...]) -> UpstreamResponse:
        import yarl
        from multidict import CIMultiDict

        named = {name.lower() for name, _ in call.fields}
        headers = CIMultiDict(call.fields)
        headers.extend([(name, value) for name, value in fields if name.lower() not in named])
        for name, value in sent_with():
            headers[name] = value
        # A string would be normalised on its way: the target is sent as it is.
        url = yarl.URL(self._address.base + call.target, encoded=True)
        client = self._session()
        async with client.request(
            call.method,
            url,
            data=call.body or None,
            headers=headers,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as answer:
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > self._longest:
                    raise Refusal(Slug.UPSTREAM_BROKEN)
            raw = tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in answer.raw_headers
            )
            return UpstreamResponse(answer.status, raw, bytes(body))

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._client is None:
            # Rare calls: a fresh connection each, so that none dies under a request that must
            # not be sent twice.
            connector: aiohttp.BaseConnector
            if self._address.unix is not None:
                connector = aiohttp.UnixConnector(str(self._address.unix), force_close=True)
            else:
                context = self._context or True
                connector = aiohttp.TCPConnector(ssl=context, force_close=True, limit=64)
            self._client = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=LONGEST_HEAD,
                max_field_size=LONGEST_HEAD,
                trust_env=False,
                timeout=aiohttp.ClientTimeout(self._answer, sock_connect=self._connect),
            )
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
            await asyncio.sleep(0)


def passing(facts: Facts, *, without: frozenset[str] = frozenset()) -> tuple[Field, ...]:
    """The client's header fields as far as they pass to the upstream (`core.http.headers`).

    Args:
        without: further lower-case names to leave out.
    """
    named = frozenset(
        token.lower()
        for name, value in facts.fields
        if name == "connection"
        for token in _TOKEN.findall(value)
    )
    gone = without | named | {"content-length", "expect"}
    found = []
    for name, value in facts.fields:
        if name in gone or dropped(name):
            continue
        kept = without_own_cookies(value) if name == "cookie" else value
        if kept or name != "cookie":
            found.append((name, kept))
    return tuple(found)


def answer_fields(
    reply: UpstreamResponse, *, without: frozenset[str] = frozenset()
) -> tuple[Field, ...]:
    """The fields of an upstream's answer as far as they pass to the client."""
    named = frozenset(t.lower() for v in reply.all("connection") for t in _TOKEN.findall(v))
    gone = HOP_BY_HOP | named | without | {"content-length"}
    return tuple(
        (name, with_same_site(value) if name == "set-cookie" else value)
        for name, value in reply.fields
        if name not in gone
    )
