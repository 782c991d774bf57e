"""Values that a person writes as text, as pydantic sees them; and how found values are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


def text_type(
    parse: Callable[..., Any],
    pattern: str,
    description: str,
    *,
    base: bool = False,
    write: Callable[[Any], str] = str,
    kind: type | None = None,
) -> tuple[PlainValidator, PlainSerializer, WithJsonSchema]:
    """The pydantic annotations of a value written as text.

    Args:
        base: `parse` also takes the directory that relative paths start from.
        write: back to text, for the defaults in the schema.
        kind: the type of a default that is still to be parsed (a path in it, say).
    """

    def validate(value: object, info: ValidationInfo) -> Any:
        if kind is not None and isinstance(value, kind):
            value = write(value)
        if not isinstance(value, str):
            raise ValueError(f"{show(value)}; {description}")
        return parse(value, (info.context or {}).get("base", Path())) if base else parse(value)

    schema = {"type": "string", "pattern": pattern, "description": description}
    return PlainValidator(validate), PlainSerializer(write), WithJsonSchema(schema)


def show(value: object) -> str:
    """A value as the file has it, short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


class OneOrMore:
    """An annotation for tuples: in the file a single entry counts as a list of one."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        several = handler(schema)
        return {"anyOf": [several["items"], several]} if "items" in several else several


def listed(value: object) -> object:
    """A single entry counts as a list of one; what validates strictly wants a tuple."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value
