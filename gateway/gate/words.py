"""Small things the parts of this package share."""

from __future__ import annotations

from typing import Final

from gateway.core.http.cookies import OWN_NAMES
from gateway.core.http.facts import Facts

MAX_GUARDED_BODY: Final = 1024 * 1024
"""Bytes of a guarded change whose answer matters; such requests are small settings."""


def has_own_cookie(facts: Facts) -> bool:
    """Whether one of the gateway's cookies may be in the request; cheap, and never wrong the
    dangerous way."""
    header = facts.first("cookie")
    return header is not None and any(name in header for name in OWN_NAMES)
