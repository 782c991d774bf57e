"""How tests wait for what is to happen. A busy machine takes ten times as long as a quiet one."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds that are for what hangs, not for what is slow."""


def eventually(true: Callable[[], object], within: float = PATIENCE) -> bool:
    """Whether it becomes true; looked at again and again."""
    end = time.monotonic() + within
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
