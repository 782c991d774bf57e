"""The keys of issuers, kept for a while, and signatures under them.

An issuer is asked at most once a minute, and by one request at a time. A key is found by its id
and has to be of the kind that the signature needs, so nothing a token says chooses how it is read.

Knows the wire format of keys; knows no publisher.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from gateway.core.clock import Clock
from gateway.core.errors import Refusal, Slug
from gateway.core.publishing.identity import ALGORITHMS, LONGEST, IdentityToken
from gateway.issuers.discovery import Discovery, IssuerFault, Published

if TYPE_CHECKING:
    from joserfc.jwk import Key
    from joserfc.jws import JWSRegistry

EVERY: Final = 60.0
"""Seconds between two questions to one issuer."""
FRESH: Final = 3600.0
"""Seconds after which its keys are asked for again: one may have been withdrawn."""
STALE: Final = 6 * 3600.0
"""Seconds after which they count no more, where it does not answer."""

_KINDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {"RS256": ("RSA", ""), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
)
_RSA_BITS: Final = (2048, 8192)


@dataclass(slots=True)
class _Known:
    """What is known of an issuer. tried, read: when it was asked, and when it answered."""

    tried: float = float("-inf")
    read: float = float("-inf")
    fault: str = ""
    said: Published | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class PublishedKeys:
    """A `gateway.core.publishing.exchange.IssuerKeys`; one for a process."""

    def __init__(self, discovery: Discovery, clock: Clock) -> None:
        self._discovery: Final = discovery
        self._clock: Final = clock
        self._known: Final[dict[str, _Known]] = {}

    async def verify(self, token: IdentityToken) -> None:
        said = await self._said(token)
        if token.algorithm not in said.algorithms:
            _refuse(f"its issuer does not sign with {token.algorithm}")
        named = [one for one in said.keys if one.get("kid") == token.key]
        if not named:
            _refuse("its issuer has no key of the id (kid) that it names")
        fitting = [one for one in named if _fits(one, token.algorithm)]
        if len(fitting) != 1:
            _refuse("the key that it names is of another kind, or not the only one of its id")
        if not await asyncio.to_thread(_signed, token, fitting[0]):
            _refuse("its signature is wrong")

    async def close(self) -> None:
        await self._discovery.close()

    async def _said(self, token: IdentityToken) -> Published:
        known = self._known.setdefault(token.issuer, _Known())
        async with known.turn:
            now = self._clock()
            has = known.said is not None and _has(known.said, token.key)
            due = not has or not 0 <= now - known.read < FRESH
            if due and not 0 <= now - known.tried < EVERY:
                known.tried = now
                try:
                    known.said = await self._discovery.ask(token.issuer)
                    known.read, known.fault = now, ""
                except IssuerFault as fault:
                    known.fault = str(fault)
            if known.said is None or not 0 <= now - known.read < STALE:
                _refuse(f"the keys of its issuer cannot be read now ({known.fault})")
            return known.said


def usable(said: Published) -> int:
    """How many keys of an issuer can be used."""
    algorithms = [one for one in ALGORITHMS if one in said.algorithms]
    return sum(
        any(_fits(key, one) and _key(key, one) is not None for one in algorithms)
        for key in said.keys
    )


def _has(said: Published, key: str) -> bool:
    return any(one.get("kid") == key for one in said.keys)


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    kind, curve = _KINDS[algorithm]
    operations = key.get("key_ops", ["verify"])
    return (
        key.get("kty") == kind
        and (not curve or key.get("crv") == curve)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and isinstance(operations, list)
        and "verify" in operations
    )


def _signed(token: IdentityToken, data: Mapping[str, Any]) -> bool:
    from joserfc import jws
    from joserfc.errors import JoseError

    key = _key(data, token.algorithm)
    if key is None:
        return False
    try:
        jws.deserialize_compact(token.text, key, registry=_registry(token.algorithm))
    except (JoseError, ValueError):
        return False
    return True


@cache
def _registry(algorithm: str) -> JWSRegistry:
    """What joserfc looks at in a header besides what `identity.read` has."""
    from joserfc.errors import SecurityWarning
    from joserfc.jws import JWSRegistry

    # Of the name EdDSA, which issuers go on to use (RFC 9864 has another).
    warnings.filterwarnings("ignore", category=SecurityWarning, module=r"joserfc\b|gateway\b")
    made = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    made.max_header_length = LONGEST  # some issuers send their certificates along
    return made


def _key(data: Mapping[str, Any], algorithm: str) -> Key | None:
    """The public part alone; None for what is none."""
    from joserfc import jwk
    from joserfc.errors import JoseError

    parts = {name: data.get(name) for name in ("kty", "n", "e", "crv", "x", "y") if name in data}
    if not all(isinstance(value, str) for value in parts.values()):
        return None
    try:
        found = jwk.import_key(parts)  # type: ignore[arg-type]
    except (JoseError, ValueError, KeyError, TypeError):
        return None
    size = getattr(found.public_key, "key_size", None) if algorithm == "RS256" else None
    low, high = _RSA_BITS
    return None if size is not None and not low <= size <= high else found


def _refuse(why: str) -> NoReturn:
    raise Refusal(Slug.OIDC_TOKEN, why=why)
