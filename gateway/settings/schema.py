"""The JSON Schema of the configuration file, from the same sections that read it."""

from __future__ import annotations

from gateway.settings.model import Settings
from gateway.settings.sections import Section
from gateway.settings.shape import Schema


def json_schema() -> Schema:
    """The JSON Schema (2020-12), for editors."""
    parts: Schema = {}
    whole = Section(Settings).whole(parts)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "index-gateway configuration",
        **whole,
        "$defs": parts,
    }
