"""The JSON Schema of an entry as it is exported, and its version."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.core.audit.events import Event

VERSION: Final = 1
"""Grows where a reader of the version before would read something wrong; new fields and new
events do not count."""

_TEXT: Final = {"type": "string"}

ENTRY: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:index-gateway:audit:{VERSION}",
        "title": "An entry of the audit trail",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "Its number, without gaps."},
            "at": {"type": "string", "format": "date-time", "description": "In UTC."},
            "event": {"type": "string", "examples": [str(one) for one in Event]},
            "user": _TEXT | {"description": "The user id; empty where it is about nobody."},
            "factor": _TEXT | {"description": "Kind and name of the factor that was used."},
            "detail": _TEXT,
            "origin": {
                "type": "object",
                "properties": {
                    "address": _TEXT,
                    "user_agent": _TEXT,
                    "method": _TEXT,
                    "path": _TEXT,
                    "rule": _TEXT,
                },
                "required": ["address", "user_agent", "method", "path", "rule"],
            },
            "prev": _TEXT | {"description": "The hash of the entry before."},
            "mac": _TEXT | {"description": "The keyed hash of this entry."},
            "trimmed": {
                "type": "object",
                "properties": {"upto": {"type": "integer"}, "mac": _TEXT},
                "required": ["upto", "mac"],
            },
        },
        "required": ["n", "at", "event", "user", "factor", "detail", "origin", "prev", "mac"],
    }
)
