"""The JSON Schema of the configuration file, from the same models that read it."""

from __future__ import annotations

from gateway.settings.model import Settings


def json_schema() -> dict[str, object]:
    """The JSON Schema (2020-12), for editors."""
    schema = Settings.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://index-gateway.invalid/configuration.schema.json",
        **schema,
        "title": "index-gateway configuration",
    }
