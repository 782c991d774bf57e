"""Reports of leaked tokens, as GitHub's secret scanning signs and sends them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

PATH = "/_/secrets/disclose-token"
URL = "https://github.com/octo/app/blob/1f3e/deploy.sh"


def pem_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """The public half."""
    found = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return found.decode()


def private_pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def record(token: str, url: str = URL, source: str = "commit") -> dict[str, str]:
    return {"token": token, "type": "pypi_api_token", "url": url, "source": source}


class Scanner:
    """Somebody who reports. id: the name of its key."""

    def __init__(self, id: str = "scanner-2026") -> None:
        self.id = id
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.pem = pem_of(self.key)

    def signature(self, body: bytes) -> str:
        return b64encode(self.key.sign(body, ec.ECDSA(SHA256()))).decode()

    def fields(self, body: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "GitHub-Public-Key-Identifier": self.id,
            "GitHub-Public-Key-Signature": self.signature(body),
        }

    def report(self, *records: Any) -> tuple[bytes, dict[str, str]]:
        body = json.dumps(list(records)).encode()
        return body, self.fields(body)
