"""JSON that came from elsewhere, read as text that can be written again."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def read_json(body: bytes) -> Any:
    """What a body of JSON says (RFC 8259, UTF-8), if all read it alike (RFC 7493 section 2.3: no
    name twice in an object).

    Half a surrogate pair (`"\\ud800"`) is a string to `json` and no text: whatever writes, hashes
    or compares it later would fail. Nor is `NaN` JSON.

    Raises:
        ValueError, RecursionError: it is not JSON, not text, or ambiguous.
    """
    text = body.decode()
    found = json.loads(text, object_pairs_hook=_once_each, parse_constant=_constant)
    if "\\u" in text:
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _constant(_: str) -> NoReturn:
    raise ValueError("no number")
