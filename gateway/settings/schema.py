"""The JSON Schema of the configuration file, from the same models that read it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, PlainSerializer

from gateway.settings.model import Settings


def json_schema() -> dict[str, object]:
    """The JSON Schema (2020-12), for editors."""
    schema = Settings.model_json_schema(by_alias=True, mode="validation")
    _write_defaults(Settings, schema)
    for model in _parts(Settings):
        _write_defaults(model, schema["$defs"][model.__name__])
    _tidied(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "index-gateway configuration",
    }


def _parts(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The models inside a model, at any depth."""
    found: set[type[BaseModel]] = set()
    todo: list[Any] = [field.annotation for field in model.model_fields.values()]
    while todo:
        annotation = todo.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in found:
                found.add(annotation)
                todo += [field.annotation for field in annotation.model_fields.values()]
        else:
            todo += getattr(annotation, "__args__", ())
    return found


def _write_defaults(model: type[BaseModel], schema: dict[str, Any]) -> None:
    """Defaults as the file would have them; none where that is to leave the key out."""
    for name, field in model.model_fields.items():
        told = schema["properties"][field.alias or name]
        default = field.default
        write = next((m.func for m in field.metadata if isinstance(m, PlainSerializer)), None)
        if write is not None and "default" in told and default is not None:
            told["default"] = write(default)  # type: ignore[call-arg]
        elif default is None or isinstance(default, BaseModel):
            told.pop("default", None)


def _tidied(schema: Any) -> None:
    """Say it as the reader means it.

    A key without a value is refused: what may be None is left out instead. A list or mapping
    that must not be empty is said in its own words, not in those of text.
    """
    if isinstance(schema, dict):
        options = schema.get("anyOf")
        if isinstance(options, list):
            options = [option for option in options if option != {"type": "null"}]
            schema["anyOf"] = options
            if len(options) == 1:
                del schema["anyOf"]
                for key, value in options[0].items():
                    schema.setdefault(key, value)
        least = {"array": "minItems", "object": "minProperties"}.get(str(schema.get("type")))
        if least and "minLength" in schema:
            schema[least] = schema.pop("minLength")
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            _tidied(inner)
