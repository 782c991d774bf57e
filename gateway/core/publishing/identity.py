"""An identity token before anything of it is proven: its shape, and what it says of itself.

A JWT in the compact form (RFC 7519, RFC 7515 section 7.1), signed by a key that its issuer
publishes. What could be read in two ways is refused: names twice, other spellings of base64,
numbers that are none. Which key signs it, only its issuer says: `jku`, `jwk`, `x5u` and `x5c` are
never looked at.

Knows JSON and base64; knows no key and no publisher.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NoReturn

from gateway.core.errors import Refusal, Slug
from gateway.core.json_text import read_json

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
"""Signatures that are taken, where an issuer says that it makes them."""
LONGEST: Final = 16 * 1024
"""Characters of a token; GitHub's have about 2,000."""
LEEWAY: Final = 30.0
"""Seconds that clocks may differ."""

_FARTHEST: Final = 366 * 86400.0
"""Seconds that a token lives at most; what it is used up by is kept as long."""
_TEXT: Final = 255
_PART: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """What a token says.

    algorithm, key: how it was signed, and the id of the key. claims: what it says of its bearer.
    once: what it is used up by: its `jti`, or itself without its signature (ECDSA has two
        signatures for everything that is signed).
    """

    text: str = field(repr=False)
    algorithm: str
    key: str
    issuer: str
    claims: Mapping[str, object] = field(repr=False)
    once: str = field(repr=False)

    @property
    def expires(self) -> int:
        """Of a token that was checked."""
        found = self.claims["exp"]
        assert isinstance(found, int)
        return found


def read(text: object) -> IdentityToken:
    """Take a token apart.

    Raises:
        Refusal: `oidc_payload` for what is no such token, `oidc_token` for one of a kind that is
            never taken.
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        raise _no_token("malformed JWT")
    parts = text.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)):
        raise _no_token("malformed JWT")
    header, claims = _part(parts[0]), _part(parts[1])
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        raise _no_token("malformed JWT")
    key = _header(header)
    unique = claims.get("jti")
    signed = text.rpartition(".")[0].encode()
    return IdentityToken(
        text=text,
        algorithm=header["alg"],
        key=key,
        issuer=issuer,
        claims=MappingProxyType(claims),
        once=f"jti {unique}" if unique else hashlib.sha256(signed).hexdigest(),
    )


def check(token: IdentityToken, audience: str, now: float) -> None:
    """Whether it is meant for this index, and for now.

    Raises:
        Refusal: `oidc_token`.
    """
    claims = token.claims
    meant = claims.get("aud")
    if isinstance(meant, list):
        if len(meant) != 1:
            _refuse("it is for more than one audience, or for none")
        meant = meant[0]
    if meant != audience or not isinstance(meant, str):
        _refuse(f"it is for another audience than {audience!r}")
    ends, made = _moment(claims, "exp"), _moment(claims, "iat")
    if "nbf" in claims and _moment(claims, "nbf") > now + LEEWAY:
        _refuse("it is not valid yet")
    if made > now + LEEWAY:
        _refuse("it was made in the future")
    if ends <= now - LEEWAY:
        _refuse("its time is over")
    if ends <= made or ends > now + _FARTHEST:
        _refuse("it ends before it begins, or lives for years")
    unique = claims.get("jti", "x")
    if not isinstance(unique, str) or not 0 < len(unique) <= _TEXT:
        _refuse("its jti is not a text of 1 to 255 characters")


def _header(header: Mapping[str, Any]) -> str:
    """The id of the key."""
    if header.get("alg") not in ALGORITHMS:
        _refuse(f"it is not signed by one of {', '.join(ALGORITHMS)}")
    # RFC 7515 section 4.1.11: what is critical and not understood; nothing is understood.
    if "crit" in header or "b64" in header:
        _refuse("its header asks for an extension")
    if "cty" in header or str(header.get("typ", "JWT")).upper() != "JWT":
        _refuse("it holds another token, or is one of another kind")
    key = header.get("kid")
    if not isinstance(key, str) or not 0 < len(key) <= _TEXT:
        _refuse("its header names no key (kid)")
    return key


def _part(text: str) -> dict[str, Any]:
    padded = text + "=" * (-len(text) % 4)
    try:
        plain = base64.urlsafe_b64decode(padded)
        if base64.urlsafe_b64encode(plain).decode().rstrip("=") != text:
            raise ValueError
        found = read_json(plain)
    except (ValueError, RecursionError):
        raise _no_token("malformed JWT") from None
    if not isinstance(found, dict):
        raise _no_token("malformed JWT")
    return found


def _moment(claims: Mapping[str, object], name: str) -> int:
    found = claims.get(name)
    if type(found) is not int or not 0 < found < 2**53:  # True is an int, too
        _refuse(f"its {name} is missing, or no whole number of seconds")
    return found


def _no_token(why: str) -> Refusal:
    return Refusal(Slug.OIDC_PAYLOAD, why=why)


def _refuse(why: str) -> NoReturn:
    raise Refusal(Slug.OIDC_TOKEN, why=why)
