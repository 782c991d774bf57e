"""What pydantic makes of the sections: a reader, and the JSON Schema of a configuration."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gateway.settings.fields import JsonSchema, Section
from gateway.settings.model import Configuration
from gateway.settings.nodes import Loc


@cache
def adapter(section: type[Section]) -> TypeAdapter[Any]:
    """What reads a section, made once: it takes 0.05 s."""
    return TypeAdapter(section)


@cache
def json_schema() -> JsonSchema:
    """The JSON Schema (2020-12), for editors."""
    made = adapter(Configuration).json_schema(schema_generator=_Generator)
    return {
        "$schema": _Generator.schema_dialect,
        "title": "index-gateway configuration",
        **{name: told for name, told in made.items() if name not in ("title", "$defs")},
        "$defs": {name: _untitled(told) for name, told in made["$defs"].items()},
    }


def part(loc: Loc) -> JsonSchema:
    """The schema of the section at a location of the file."""
    whole: JsonSchema = json_schema()
    node = whole
    for step in loc:
        node = node["items"] if isinstance(step, int) else _key(node, step)
        if "$ref" in node:
            node = whole["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return node


def _key(node: JsonSchema, name: str) -> JsonSchema:
    """The schema of the value of a key, which may be one of any name."""
    named: JsonSchema = node.get("properties", {})
    free: JsonSchema = node.get("patternProperties", {})
    found: JsonSchema = named[name] if name in named else next(iter(free.values()), {})
    return found or node["additionalProperties"]


def _untitled(told: JsonSchema) -> JsonSchema:
    return {name: value for name, value in told.items() if name != "title"}


class _Generator(GenerateJsonSchema):
    """pydantic's, without titles, in the order of the fields. A key without a value is left out of
    a file, so null is nowhere."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        return value

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        told = super().default_schema(schema)
        if told.get("default") in (None, []):
            told.pop("default", None)
        return told
