"""Sealing and keyed hashes under the gateway's keys. Pure computation; files are elsewhere.

Purposes are separated by HKDF (RFC 5869); sealing is AES-256-GCM with the identity of the
record as associated data, so a sealed value opens nowhere but in its own record; digests are
HMAC-SHA-256 over length-framed parts.
"""

from __future__ import annotations

import base64
import re
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.core.clock import Random

RootKeys: TypeAlias = tuple[tuple[str, bytes], ...]
"""Key ids and 32 secret bytes each, the active key first."""

KEY_BYTES: Final = 32
_FORMAT: Final = 1
_NONCE_BYTES: Final = 12  # NIST SP 800-38D section 8.2: 96 bits
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")  # RFC 4648 section 5
_KEY_ID = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)

_HEADER: Final = """\
# Keys of an index-gateway, one "id base64" per line, the first one active.
# Whoever has them can forge logins; without them every second factor is lost.
# Back this file up apart from the store. Change it with: index-gateway keys rotate
"""


class SealBroken(Exception):
    """A sealed value cannot be opened: another key, another place, or changed bytes."""


class BadKeys(ValueError):
    """A key file cannot be used; the text says why and never shows a key."""


def parse_keys(text: str) -> RootKeys:
    """Read the text of a key file.

    Raises:
        BadKeys: with the number of the line.
    """
    keys: list[tuple[str, bytes]] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        words = stripped.split()
        if len(words) != 2 or not _KEY_ID.fullmatch(words[0]):
            raise BadKeys(f'line {number}: not of the form "id base64"')
        try:
            secret = base64.b64decode(words[1], validate=True)
        except ValueError:
            raise BadKeys(f"line {number}: the key is not base64") from None
        if len(secret) != KEY_BYTES:
            raise BadKeys(f"line {number}: a key has {KEY_BYTES} bytes, this one {len(secret)}")
        if words[0] in (name for name, _ in keys):
            raise BadKeys(f"line {number}: the id {words[0]} is there twice")
        keys.append((words[0], secret))
    if not keys:
        raise BadKeys("there is no key in it")
    return tuple(keys)


def format_keys(keys: RootKeys) -> str:
    """The text of a key file; `parse_keys` reads it back."""
    lines = (f"{name} {base64.b64encode(secret).decode()}\n" for name, secret in keys)
    return _HEADER + "".join(lines)


def new_key(taken: Iterable[str], random: Random) -> tuple[str, bytes]:
    """A fresh key with an id that is not among `taken`."""
    used = set(taken)
    while True:
        name = "k" + random(4).hex()
        if name not in used:
            return name, random(KEY_BYTES)


class KeyRing:
    """The gateway's root keys, the first one active.

    Args:
        keys: the keys, or a function that gives the keys of this moment (a key file that
            can be rotated under a running gateway).
    """

    def __init__(self, keys: RootKeys | Callable[[], RootKeys], random: Random) -> None:
        self._keys = keys if callable(keys) else lambda: keys
        self._random = random
        self._derived: dict[tuple[bytes, str], bytes] = {}
        self._macs: dict[tuple[bytes, str], HMAC] = {}

    @property
    def active(self) -> str:
        """The id of the active key."""
        return self._keys()[0][0]

    def seal(self, purpose: str, identity: str, plain: bytes, *, extra: bytes = b"") -> bytes:
        """Seal under the active key; the result names the key.

        Args:
            identity: which record this belongs to; must be given again to open it.
            extra: a further secret the key is derived from, kept outside the store (in a
                cookie, say): without it the gateway itself cannot open the value.
        """
        name, root = self._keys()[0]
        nonce = self._random(_NONCE_BYTES)
        head = bytes([_FORMAT, len(name)]) + name.encode()
        cipher = AESGCM(self._key(root, "seal:" + purpose, extra))
        return head + nonce + cipher.encrypt(nonce, plain, _bound(purpose, identity, name))

    def open(self, purpose: str, identity: str, sealed: bytes, *, extra: bytes = b"") -> bytes:
        """Raises SealBroken."""
        name, rest = _split(sealed)
        for candidate, root in self._keys():
            if candidate == name:
                cipher = AESGCM(self._key(root, "seal:" + purpose, extra))
                nonce, body = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
                try:
                    return cipher.decrypt(nonce, body, _bound(purpose, identity, name))
                except (InvalidTag, ValueError):
                    break
        raise SealBroken(f"a value sealed for {purpose!r} cannot be opened with these keys")

    def sealed_under(self, sealed: bytes) -> str:
        """The id of the key a value is sealed under. Raises SealBroken."""
        return _split(sealed)[0]

    def digest(self, purpose: str, *parts: str) -> str:
        """Keyed hash under the active key, url-safe text; parts are length-framed."""
        return self._digest(self._keys()[0][1], purpose, parts)

    def digests(self, purpose: str, *parts: str) -> tuple[str, ...]:
        """The same under every key, active first: what was stored before a rotation is found."""
        return tuple(self._digest(root, purpose, parts) for _, root in self._keys())

    def signing_keys(self, purpose: str) -> list[bytes]:
        """Keys for itsdangerous, oldest first as it wants them."""
        return [self._key(root, "sign:" + purpose, b"") for _, root in reversed(self._keys())]

    def _digest(self, root: bytes, purpose: str, parts: tuple[str, ...]) -> str:
        begun = self._macs.get((root, purpose))
        if begun is None:
            key = self._key(root, "digest:" + purpose, b"")
            begun = self._macs[root, purpose] = HMAC(key, hashes.SHA256())
        mac = begun.copy()  # the key has gone into it: half of the work
        mac.update(_framed(*parts))
        text = b2a_base64(mac.finalize(), newline=False)
        return text.translate(_URL_SAFE, b"=").decode()

    def _key(self, root: bytes, label: str, extra: bytes) -> bytes:
        if extra:  # lives in one cookie: not worth remembering, nor wise
            return _hkdf(root, extra, label)
        found = self._derived.get((root, label))
        if found is None:
            found = _hkdf(root, b"", label)
            self._derived[root, label] = found
        return found


def _hkdf(secret: bytes, salt: bytes, label: str) -> bytes:
    info = b"index-gateway " + label.encode()
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=salt or None, info=info).derive(secret)


def _framed(*parts: str) -> bytes:
    """Parts with their lengths, so that no two lists of parts give the same bytes."""
    framed = []
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        framed += [len(encoded).to_bytes(4, "big"), encoded]
    return b"".join(framed)


def _bound(purpose: str, identity: str, key_id: str) -> bytes:
    return bytes([_FORMAT]) + _framed(purpose, identity, key_id)


def _split(sealed: bytes) -> tuple[str, bytes]:
    """The key id and the rest of a sealed value."""
    if len(sealed) < 2 or sealed[0] != _FORMAT or len(sealed) < 2 + sealed[1]:
        raise SealBroken("format")
    end = 2 + sealed[1]
    return sealed[2:end].decode("ascii", "replace"), sealed[end:]
