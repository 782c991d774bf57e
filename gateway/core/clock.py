"""Time and randomness come in as arguments of these types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Seconds since the epoch; `time.time` in the running program."""

Random: TypeAlias = Callable[[int], bytes]
"""That many unpredictable bytes; `secrets.token_bytes` in the running program."""
