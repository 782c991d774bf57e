"""Kinds of second factor: one file each, named in one dict.

A kind's own library is imported by its file, and the heavy one only when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from gateway.core.accounts.factor import Factor
from gateway.core.crypto.keyring import KeyRing
from gateway.core.login.models import FlowLimits
from gateway.factors.recovery import RecoveryCodes
from gateway.factors.totp import Totp
from gateway.factors.webauthn import Webauthn

KINDS: Final = MappingProxyType[str, Callable[[KeyRing, FlowLimits], Factor]](
    {
        "totp": lambda ring, limits: Totp(ring, limits.issuer),
        "webauthn": lambda ring, limits: Webauthn(limits.issuer, limits.public_url, limits.origins),
        "recovery": lambda ring, limits: RecoveryCodes(ring),
    }
)


def make_factors(ring: KeyRing, limits: FlowLimits) -> Mapping[str, Factor]:
    """Every kind, ready for use."""
    return {kind: make(ring, limits) for kind, make in KINDS.items()}
