"""A security key in software: makes and uses ES256 credentials as a browser would answer."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class SecurityKey:
    """origin: of the page that asks. verifies: whether it checks its user (PIN, finger).
    counts: whether it counts signatures (many passkeys stay at 0)."""

    origin: str = "https://packages.example.org"
    verifies: bool = True
    resident: bool = True
    counts: bool = True
    count: int = 0
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    handle: str = ""

    def create(self, options: str) -> str:
        """The answer to navigator.credentials.create()."""
        asked = json.loads(options)
        self.handle = asked["user"]["id"]
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + self._cose()
        data = self._data(asked["rp"]["id"], ATTESTED) + attested
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", asked["challenge"])
        return self._answer(
            {
                "clientDataJSON": bytes_to_base64url(client),
                "attestationObject": bytes_to_base64url(statement),
                "transports": ["usb", "smoke-signals"],
            },
            {"credProps": {"rk": self.resident}},
        )

    def get(self, options: str, **client: Any) -> str:
        """The answer to navigator.credentials.get(). client: changes to the client data."""
        asked = json.loads(options)
        if self.counts:
            self.count += 1
        data = self._data(asked["rpId"], 0)
        told = self._client("webauthn.get", asked["challenge"], **client)
        signed = data + hashlib.sha256(told).digest()
        return self._answer(
            {
                "clientDataJSON": bytes_to_base64url(told),
                "authenticatorData": bytes_to_base64url(data),
                "signature": bytes_to_base64url(
                    self.private.sign(signed, ec.ECDSA(hashes.SHA256()))
                ),
                "userHandle": self.handle if self.resident else None,
            },
            {},
        )

    def _answer(self, response: dict[str, Any], extensions: dict[str, Any]) -> str:
        name = bytes_to_base64url(self.id)
        return json.dumps(
            {
                "id": name,
                "rawId": name,
                "type": "public-key",
                "response": response,
                "clientExtensionResults": extensions,
            }
        )

    def _client(self, kind: str, challenge: str, /, **changes: Any) -> bytes:
        told = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps({**told, **changes}).encode()

    def _data(self, rp_id: str, flags: int) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _cose(self) -> bytes:
        point = self.private.public_key().public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)})


def challenge_of(options: str) -> bytes:
    """The challenge in options."""
    return base64url_to_bytes(json.loads(options)["challenge"])
