"""JSON that came from elsewhere, read as text that can be written again."""

from __future__ import annotations

import json
from typing import Any


def read_json(body: bytes, **hooks: Any) -> Any:
    """What a body of JSON says (RFC 8259, UTF-8).

    Half a surrogate pair (`"\\ud800"`) is a string to `json` and no text: whatever writes, hashes
    or compares it later would fail.

    Args:
        hooks: for `json.loads`.

    Raises:
        ValueError, RecursionError: it is not JSON, or not text.
    """
    text = body.decode()
    found = json.loads(text, **hooks)
    if "\\u" in text:
        json.dumps(found, ensure_ascii=False).encode()
    return found
