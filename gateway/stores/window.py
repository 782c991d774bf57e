"""Sliding windows in buckets, the same for every backend."""

from __future__ import annotations

import math

BUCKETS = 60


def bucket_end(now: float, window: float) -> float:
    """When the bucket of `now` ends. An event is counted while the end of its bucket lies
    within the window, so for up to window / 60 longer than it must be, never shorter."""
    width = window / BUCKETS
    return (math.floor(now / width) + 1) * width
