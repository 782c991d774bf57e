"""Bodies of logins, read strictly: urlencoded forms and JSON objects with one meaning, or none.

multipart is not read: no login page sends it, and its many spellings are what a login need not
have.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from gateway.core.http.facts import Facts, Field
from gateway.core.json_text import read_json

FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 100


def read_form(facts: Facts, body: bytes) -> tuple[Field, ...] | None:
    """The fields of an urlencoded body in order; None where it cannot be read, or holds a
    name twice."""
    if facts.content_type != FORM:
        return None
    try:
        text = body.decode("ascii", "strict")
        fields = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        return None
    if len({name for name, _ in fields}) != len(fields):
        return None
    return tuple(fields)


def write_form(fields: tuple[Field, ...]) -> bytes:
    return urlencode(fields).encode("ascii")


def query_value(query: str, name: str) -> str:
    """The value of a query parameter that appears once; "" otherwise."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        return ""
    values = [value for key, value in pairs if key == name]
    return values[0] if len(values) == 1 else ""


def read_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body; None for anything else, a repeated name included
    (RFC 8259 section 4 leaves open which of two counts)."""
    try:
        value = read_json(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def text_of(value: object) -> str:
    """The string itself, "" for everything that is no string."""
    return value if isinstance(value, str) else ""
