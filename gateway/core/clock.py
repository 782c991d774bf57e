"""Time and randomness come in as arguments of these types; how a time is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Seconds since the epoch; `time.time` in the running program."""

Random: TypeAlias = Callable[[int], bytes]
"""That many unpredictable bytes; `secrets.token_bytes` in the running program."""


@lru_cache(maxsize=16)  # several entries are of one moment
def timestamp(seconds: float) -> str:
    """RFC 3339, in UTC with milliseconds."""
    moment = datetime.fromtimestamp(round(seconds, 3), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
