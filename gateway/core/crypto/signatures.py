"""Signatures of others: ECDSA on P-256 with SHA-256 (FIPS 186-5), judged by a public key.

Nothing here is secret, so nothing has to take the same time.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_LONGEST: Final = 200  # characters of a signature; DER has at most 72 bytes
_KIND: Final = "a public key of the curve P-256 in PEM"


def public_key(pem: str) -> EllipticCurvePublicKey:
    """Read a key.

    Raises:
        ValueError: "what was found; what is allowed", nothing of the key itself.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if "PRIVATE" in pem:
        raise ValueError(f"a private key, which nobody else may have; {_KIND}")
    try:
        found = load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"no key that can be read; {_KIND}") from None
    if not isinstance(found, EllipticCurvePublicKey) or not isinstance(found.curve, SECP256R1):
        raise ValueError(f"a key of another kind; {_KIND}")
    return found


def signed_with(key: EllipticCurvePublicKey, signature: str, body: bytes) -> bool:
    """Whether a signature in base64 (DER) is that of these bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    if len(signature) > _LONGEST:
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), body, ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
