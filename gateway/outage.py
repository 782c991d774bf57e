"""A store that fails, told twice: to the client as a refusal, to the log with the reason.

The reason may name files and hosts, so clients never see it. A store that is gone fails every
request, so the log hears of it once a minute.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.store import StoreUnavailable

QUIET: Final = 60.0
"""Seconds between two lines with the same reason."""

_log = logging.getLogger("gateway.store")
_told: dict[str, float] = {}


def refusal_for(error: StoreUnavailable) -> Refusal:
    """The refusal of a request that needed the store."""
    reason, now = str(error) or "no answer", monotonic()
    if now - _told.get(reason, -QUIET) >= QUIET:
        if len(_told) > 100:
            _told.clear()
        _told[reason] = now
        _log.error("the store cannot be used, what it protects is closed: %s", reason)
    return Refusal(Slug.STORE_UNAVAILABLE)
