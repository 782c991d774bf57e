"""Sealing and keyed hashes under the gateway's keys. Pure computation; files are elsewhere."""

from __future__ import annotations

from gateway.core.clock import Random


class SealBroken(Exception):
    """A sealed value cannot be opened: another key, another place, or changed bytes."""


class KeyRing:
    """The gateway's root keys, the first one active.

    Purposes are separated by HKDF (RFC 5869); sealing is AES-256-GCM with the identity of the
    record as associated data; digests are HMAC-SHA-256.
    """

    def __init__(self, keys: tuple[tuple[str, bytes], ...], random: Random) -> None: ...

    def seal(self, purpose: str, identity: str, plain: bytes) -> bytes:
        """Seal under the active key; the result names the key."""
        raise NotImplementedError

    def open(self, purpose: str, identity: str, sealed: bytes) -> bytes:
        """Raises SealBroken."""
        raise NotImplementedError

    def digest(self, purpose: str, *parts: str) -> str:
        """Keyed hash under the active key, url-safe text; parts are length-framed."""
        raise NotImplementedError

    def digests(self, purpose: str, *parts: str) -> tuple[str, ...]:
        """The same under every key, active first: what was stored before a rotation is found."""
        raise NotImplementedError

    def signing_keys(self, purpose: str) -> list[bytes]:
        """Keys for itsdangerous, oldest first as it wants them."""
        raise NotImplementedError
