"""Random text for ids and secrets."""

from __future__ import annotations

import base64

from gateway.core.clock import Random


def token(random: Random, size: int = 18) -> str:
    """That many random bytes as url-safe text."""
    return base64.urlsafe_b64encode(random(size)).decode().rstrip("=")
