"""Signed values for cookies and links, each kind with a salt and a life of its own; random text.

A value of one kind is never taken for one of another: a pending login's cookie can never be read
as a session's (GHSA-3q28-qjrv-qr39). Knows keys and a clock; does not know what is signed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import string
from typing import Final

from itsdangerous import BadData, Signer

from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing

_ALPHABET: Final = frozenset(string.ascii_letters + string.digits + "-_.")
SKEW: Final = 120  # seconds by which the clocks of several gateways may differ


class Tickets:
    """Makes and reads the values of one kind.

    Args:
        kind: part of the salt.
        max_age: seconds.
    """

    def __init__(self, ring: KeyRing, clock: Clock, kind: str, max_age: float) -> None:
        self._ring = ring
        self._clock = clock
        self._kind = kind
        self._max_age = max_age

    def make(self, *parts: str) -> str:
        text = json.dumps([int(self._clock()), *parts], separators=(",", ":"))
        body = base64.urlsafe_b64encode(text.encode()).rstrip(b"=")
        return self._signer().sign(body).decode()

    def read(self, value: str) -> tuple[str, ...] | None:
        """The parts, or None for anything that is not ours, not of this kind, or too old."""
        if not _ALPHABET.issuperset(value):  # a decoder takes "/" for "_", say
            return None
        try:
            body = self._signer().unsign(value)
            made, *parts = json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
        except (BadData, ValueError):
            return None
        age = self._clock() - made
        return tuple(parts) if -SKEW <= age <= self._max_age else None

    def _signer(self) -> Signer:
        return _signer(self._ring, self._kind)


def signed(ring: KeyRing, kind: str, value: str) -> bool:
    """Whether a value of this kind was made here, however long ago."""
    return _ALPHABET.issuperset(value) and _signer(ring, kind).validate(value)


def _signer(ring: KeyRing, kind: str) -> Signer:
    # Made anew because the keys may have been rotated since.
    return Signer(
        ring.signing_keys("ticket"),
        salt=f"index-gateway {kind}".encode(),
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )


def token(random: Random, size: int = 18) -> str:
    """That many random bytes as url-safe text."""
    return base64.urlsafe_b64encode(random(size)).decode().rstrip("=")
