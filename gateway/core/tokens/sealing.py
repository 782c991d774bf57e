"""What belongs to a token, sealed under the key ring and a secret that only the token has.

The identifier of a token is the name of its owner at the index, a hyphen, its id and that secret.
Knows the keys; knows no store.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.core.clock import Random
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.tokens.records import Token
from gateway.core.upstream import Credential
from gateway.core.user_id import user_id as id_of

_ID: Final = 10  # bytes; 16 characters of base32
_SECRET: Final = 30  # bytes; 48 characters
# The name, and what has no hyphen: devpi's clients take the name of the user from before the last.
_IDENTIFIER: Final = re.compile(r"(.{1,200})-([a-z2-7]{16})([a-z2-7]{48})", re.DOTALL)
_KEY: Final = "token key"
_CREDENTIAL: Final = "token credential"
_SEPARATOR: Final = b"\0"  # no name has it


class Named(NamedTuple):
    """What an identifier says: who, which, and the secret part."""

    owner: str
    id: str
    secret: bytes


def named(identifier: str) -> Named | None:
    """Read an identifier; None for one that is none of ours.

    Raises:
        Refusal: `unusable_name`.
    """
    found = _IDENTIFIER.fullmatch(identifier)
    return Named(id_of(found[1]), found[2], found[3].encode()) if found else None


def new_identifier(user: str, random: Random) -> tuple[str, Named]:
    id, secret = _text(random(_ID)), _text(random(_SECRET))
    return f"{user}-{id}{secret}", Named(id_of(user), id, secret.encode())


class TokenSeals:
    """Opens and seals. Without the secret of the token neither can be done."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring: Final = ring

    def sealed(
        self, token: Token, secret: bytes, key: bytes, credential: Credential | None
    ) -> Token:
        """The token with what belongs to it, under the active key."""
        identity = f"{token.owner}/{token.id}"
        held = ""
        if credential is not None:
            plain = credential.user.encode() + _SEPARATOR + credential.secret.encode()
            held = _coded(self._ring.seal(_CREDENTIAL, identity, plain, extra=secret))
        return replace(
            token,
            key=_coded(self._ring.seal(_KEY, identity, key, extra=secret)),
            credential=held,
        )

    def key(self, token: Token, secret: bytes) -> bytes:
        """What signs it. Raises SealBroken."""
        return self._open(_KEY, token, token.key, secret)

    def credential(self, token: Token, secret: bytes) -> Credential | None:
        """What it stands for; None where it holds nothing, or a key that sealed it is gone."""
        if not token.credential:
            return None
        try:
            plain = self._open(_CREDENTIAL, token, token.credential, secret)
        except SealBroken:
            return None
        user, _, password = plain.partition(_SEPARATOR)
        return Credential(user.decode(), password.decode())

    def renewed(self, token: Token, secret: bytes) -> Token | None:
        """The same under the active key; None where it is, or cannot be opened."""
        try:
            if self._ring.sealed_under(base64.b64decode(token.key)) == self._ring.active:
                return None
            key = self.key(token, secret)
        except SealBroken:
            return None
        return self.sealed(token, secret, key, self.credential(token, secret))

    def _open(self, purpose: str, token: Token, sealed: str, secret: bytes) -> bytes:
        identity = f"{token.owner}/{token.id}"
        return self._ring.open(purpose, identity, base64.b64decode(sealed), extra=secret)


def _text(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()
