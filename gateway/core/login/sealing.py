"""The stored form of what a login holds back: JSON, sealed under the ring and a cookie's part."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any

from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.login.models import Held
from gateway.core.upstream import Credential, Issued


def seal(ring: KeyRing, purpose: str, identity: str, part: str, held: Held) -> str:
    """Seal what was held back.

    Args:
        part: the random text kept only in the cookie; without it nobody opens this again.
    """
    plain = json.dumps(asdict(held), separators=(",", ":")).encode()
    sealed = ring.seal(purpose, identity, plain, extra=part.encode())
    return base64.b64encode(sealed).decode()


def unseal(ring: KeyRing, purpose: str, identity: str, part: str, sealed: str) -> Held:
    """Open it again. Raises SealBroken."""
    try:
        plain = ring.open(purpose, identity, base64.b64decode(sealed), extra=part.encode())
        data: dict[str, Any] = json.loads(plain)
    except ValueError:
        raise SealBroken(purpose) from None
    session = data["session"]
    return Held(
        issued=tuple(
            Issued(**{**item, "credential": Credential(**item["credential"])})
            for item in data["issued"]
        ),
        set_cookie=tuple(data["set_cookie"]),
        goto=data["goto"],
        session=Credential(**session) if session else None,
    )
