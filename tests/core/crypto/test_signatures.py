"""Signatures of others: which keys do, and what is one."""

from __future__ import annotations

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from gateway.core.crypto.signatures import public_key, signed_with
from tests.support.reports import pem_of, private_pem_of

KEY = ec.generate_private_key(ec.SECP256R1())
BODY = b'[{"token":"x"}]'


def sign(body: bytes = BODY, hash: SHA256 | SHA512 | None = None) -> str:
    return b64encode(KEY.sign(body, ec.ECDSA(hash or SHA256()))).decode()


def test_what_is_signed() -> None:
    assert signed_with(public_key(pem_of(KEY)), sign(), BODY)


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(sign(BODY + b" "), id="of other bytes"),
        pytest.param(sign(hash=SHA512()), id="by another hash"),
        pytest.param(sign()[:-8], id="cut off"),
        pytest.param("!" + sign(), id="not in base64"),
        pytest.param("ä", id="not in ASCII"),
        pytest.param(b64encode(b"x" * 72).decode(), id="not in DER"),
        pytest.param("", id="empty"),
        pytest.param("A" * 100_000, id="long"),
        pytest.param(b64encode(bytes.fromhex("3006020100020100")).decode(), id="zeros"),
    ],
)
def test_what_is_not(signature: str) -> None:
    assert not signed_with(public_key(pem_of(KEY)), signature, BODY)


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        pytest.param(private_pem_of(KEY), "a private key", id="a private key"),
        pytest.param(
            pem_of(ec.generate_private_key(ec.SECP384R1())), "another kind", id="another curve"
        ),
        pytest.param(
            pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
            "another kind",
            id="RSA",
        ),
        pytest.param("-----BEGIN PUBLIC KEY-----\nAAAA\n", "no key", id="cut off"),
        pytest.param("", "no key", id="empty"),
        pytest.param("ü", "no key", id="not in ASCII"),
    ],
)
def test_which_keys_do_not(pem: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        public_key(pem)
    assert "P-256" in str(caught.value)
    assert not pem or pem not in str(caught.value)
