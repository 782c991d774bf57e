"""The text of a token: `pypi-` and a macaroon of version 2 in unpadded, url-safe base64.

`devpi-` does as well where the identifier is one of ours: `devpi token-login` takes no other.

Knows the wire format, as PyPI's clients do; knows no caveat and no record. A text is read in one
spelling only. `pymacaroons` does the rest, which raises anything at all on bad input.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

PREFIX: Final = "pypi-"
_START: Final = 1024  # characters in which the identifier stands
LONGEST: Final = 8192
"""Characters of a token; one without narrowings has about 400."""

_TEXT: Final = re.compile(r"(?:pypi|devpi)-([A-Za-z0-9_-]{60,})", re.ASCII)
# The end of an identifier of ours, and the mark behind it; that of devpi-tokens has 8 characters.
_OURS: Final = re.compile(rb"-[a-z2-7]{64}\x00")


class NoToken(ValueError):
    """A text is no token, or not in the one spelling it has."""


class Macaroon(NamedTuple):
    """What a token says of itself; nothing of it is proven before `signed_by`.

    caveats: the text of each, in order. signature: 32 bytes.
    """

    location: str
    identifier: str
    caveats: tuple[str, ...]
    signature: bytes


def looks_like(text: str) -> bool:
    """Whether a text in the place of a password is meant for a token."""
    return _body(text) is not None


def _body(text: str) -> str | None:
    """What stands behind the prefix, None where it is not meant for a token."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        return None
    body = found[1]
    if text.lstrip().startswith(PREFIX):
        return body
    start = body[: _START - _START % 4]
    plain = (
        base64.urlsafe_b64decode(start + "=" * (-len(start) % 4)) if len(start) % 4 != 1 else b""
    )
    return body if _OURS.search(plain) else None


def identifier_of(body: str, *, exact: bool = False) -> str | None:
    """What any macaroon, without a prefix, says whose it is; None for a text that is none.

    Args:
        exact: only in the one spelling that every reader takes alike.
    """
    import pymacaroons

    if len(body) > LONGEST:
        return None
    try:
        found = pymacaroons.Macaroon.deserialize(body)
        if exact and (found.version != pymacaroons.MACAROON_V2 or found.serialize() != body):
            return None
        return str(found.identifier_bytes.decode())
    except Exception:  # https://github.com/ecordell/pymacaroons/issues/50
        return None


def read(text: str) -> Macaroon:
    """Take a token apart. Raises NoToken."""
    import pymacaroons

    body = _body(text) if len(text) <= LONGEST else None
    if body is None:
        raise NoToken("not of the form pypi-…")
    try:
        found = pymacaroons.Macaroon.deserialize(body)
        if found.version != pymacaroons.MACAROON_V2 or found.serialize() != body:
            raise NoToken("another spelling")
        if any(not caveat.first_party() for caveat in found.caveats):
            raise NoToken("a caveat of a third party")
        return Macaroon(
            found.location,
            found.identifier_bytes.decode(),
            tuple(caveat.caveat_id_bytes.decode() for caveat in found.caveats),
            binascii.unhexlify(found.signature_bytes),
        )
    except NoToken:
        raise
    except Exception as error:  # https://github.com/ecordell/pymacaroons/issues/50
        raise NoToken("no macaroon") from error


def signed_by(token: Macaroon, key: bytes) -> bool:
    """Whether the token, its caveats included, was made with this key or narrowed from one."""
    from pymacaroons.utils import create_initial_signature, hmac_digest

    signature = binascii.unhexlify(create_initial_signature(key, token.identifier.encode()))
    for caveat in token.caveats:
        signature = hmac_digest(signature, caveat.encode())
    return hmac.compare_digest(signature, token.signature)


def make(location: str, identifier: str, key: bytes, caveats: Iterable[str]) -> str:
    """The text of a new token."""
    import pymacaroons

    made = pymacaroons.Macaroon(
        location=location, identifier=identifier, key=key, version=pymacaroons.MACAROON_V2
    )
    for caveat in caveats:
        made.add_first_party_caveat(caveat)
    return f"{PREFIX}{made.serialize()}"
