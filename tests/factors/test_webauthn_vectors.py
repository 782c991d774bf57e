"""The test vectors of W3C Web Authentication Level 3, section 16, against our relying party.

webauthn_vectors.json holds their inputs and outputs as published; each is a registration and an
authentication with the same credential, for example.org. Vectors that attest a device to a
certificate authority are left out: we ask for no attestation, and browsers then send none.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from webauthn.helpers import bytes_to_base64url

from gateway.core.accounts.factor import WrongAnswer
from gateway.core.accounts.records import Account
from gateway.factors.webauthn import Webauthn

VECTORS: Final = json.loads((Path(__file__).parent / "webauthn_vectors.json").read_text())
FRAMED: Final = ("crossOrigin", "topOrigin")

relying_party = Webauthn("Example", "https://example.org")
nobody = Account("alice", "alice")


def b64(value: str) -> str:
    return bytes_to_base64url(bytes.fromhex(value))


def answer(credential: str, response: dict[str, str]) -> str:
    name = b64(credential)
    return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})


def registered(vector: dict[str, Any], account: Account = nobody) -> Account:
    asked = vector["registration"]
    response = {name: b64(asked[name]) for name in ("clientDataJSON", "attestationObject")}
    state = json.dumps({"challenge": b64(asked["challenge"]), "handle": "aGFuZGxl"})
    text = answer(asked["credential_id"], response)
    return account.with_device(
        relying_party.confirm(account, "key", state, text, now=1000.0, id="x")
    )


def assertion(vector: dict[str, Any]) -> str:
    asked = vector["authentication"]
    names = ("clientDataJSON", "authenticatorData", "signature")
    return answer(
        vector["registration"]["credential_id"], {name: b64(asked[name]) for name in names}
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["title"])
def test_vector(vector: dict[str, Any]) -> None:
    if any(word in vector["anchor"] for word in FRAMED):
        with pytest.raises(WrongAnswer):
            registered(vector)
        return
    account = registered(vector)
    assert account.webauthn[0].id == b64(vector["registration"]["credential_id"])
    challenge = bytes.fromhex(vector["authentication"]["challenge"])
    proof = relying_party.check(account, assertion(vector), challenge=challenge, now=2000.0)
    assert proof.account.webauthn[0] == replace(account.webauthn[0], used=2000.0)


@pytest.mark.parametrize("at", ["authenticatorData", "clientDataJSON", "signature"])
def test_a_changed_vector_is_refused(at: str) -> None:
    vector = json.loads(json.dumps(VECTORS[0]))
    account = registered(vector)
    good = bytearray.fromhex(vector["authentication"][at])
    good[-1] ^= 1
    vector["authentication"][at] = good.hex()
    challenge = bytes.fromhex(vector["authentication"]["challenge"])
    with pytest.raises(WrongAnswer):
        relying_party.check(account, assertion(vector), challenge=challenge, now=2000.0)
