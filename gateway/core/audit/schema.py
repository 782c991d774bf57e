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

_FILE: Final = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "size": {
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "Bytes; null where nobody counted them.",
        },
        "sha256": _TEXT
        | {
            "pattern": "^([0-9a-f]{64})?$",
            "description": "Of the bytes that passed; empty where not all of them were seen.",
        },
    },
    "required": ["name", "size", "sha256"],
}

_TRANSFER: Final = {
    "type": "object",
    "description": "The files of an upload or a download.",
    "properties": {
        "action": _TEXT
        | {
            "description": "What kind it is: the ':action' of an upload's form, push, test_result "
            "or download."
        },
        "index": _TEXT | {"description": "USER/INDEX at devpi, else empty."},
        "version": _TEXT | {"description": "As the form or the file's name says."},
        "status": {
            "type": "integer",
            "minimum": 0,
            "description": "Of the index's answer; 0 where none came.",
        },
        "token": _TEXT | {"description": "The id of the token that came with it."},
        "files": {"type": "array", "items": _FILE},
    },
    "required": ["action", "index", "version", "status", "token", "files"],
}

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
            "project": _TEXT
            | {"description": "Normalised (PEP 503); only where it is about one in particular."},
            "transfer": _TRANSFER,
            "request": _TEXT
            | {
                "description": "The id of the request that made it (X-Request-ID), as in the "
                "answer and in the logs; missing where none did."
            },
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
