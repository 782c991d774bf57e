"""JSON objects of a login, read strictly: one meaning or none."""

from __future__ import annotations

import json
from typing import Any


def read_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body; None for anything else, a repeated name included
    (RFC 8259 section 4 leaves open which of two counts)."""
    try:
        value = json.loads(body.decode("utf-8", "strict"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def text_of(value: object) -> str:
    """The string itself, "" for everything that is no string."""
    return value if isinstance(value, str) else ""
