"""A configuration file becomes settings, or a list of all its problems in one run."""

from __future__ import annotations

import json
import typing
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.settings.checks import check_rules, check_settings
from gateway.settings.model import Settings
from gateway.settings.nodes import Data, Document, Loc, read_document
from gateway.settings.problems import ConfigError, Problem
from gateway.settings.rules import RuleModel
from gateway.settings.text import show

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "date_type": "a date such as 2026-01-31",
    "date_parsing": "a date such as 2026-01-31",
    "date_from_datetime_parsing": "a date such as 2026-01-31",
}


def load(path: Path) -> Settings:
    """Read a configuration file; relative paths in it start at its directory.

    Raises:
        ConfigError: with every problem found. Warnings are in `Settings.warnings`.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        found = f"it cannot be read ({error.strerror})"
        raise ConfigError((Problem(str(path), 0, 0, "", found),)) from None
    return loads(raw, file=str(path), base=path.parent)


def loads(raw: bytes, *, file: str = "configuration", base: Path | None = None) -> Settings:
    """The same for the bytes of a file.

    Args:
        file: its name in messages.
        base: where relative paths start; the working directory unless told.
    """
    document = read_document(raw, file)
    if document.data is None and document.problems:
        raise ConfigError(tuple(document.problems))
    context = {"base": base or Path()}
    settings: Settings | None = None
    try:
        settings = Settings.model_validate_json(json.dumps(document.data), context=context)
    except ValidationError as error:
        known = {(problem.line, problem.column) for problem in document.problems}
        for entry in error.errors(include_url=False):
            problem = _problem(document, entry)
            if (problem.line, problem.column) not in known:
                document.problems.append(problem)
    check_rules(document, _valid_rules(document))
    warnings: list[Problem] = []
    if settings is not None and not document.problems:
        check_settings(document, settings)
        warnings = [problem for problem in document.problems if problem.warning]
    problems = [problem for problem in document.problems if not problem.warning]
    if settings is None or problems:
        raise ConfigError(tuple(sorted(problems, key=lambda each: (each.line, each.column))))
    settings.attach(file, document.places, tuple(warnings))
    return settings


def _valid_rules(document: Document) -> list[tuple[int, RuleModel]]:
    """The rules that hold by themselves, so that they are compared even if others do not."""
    rules = document.data.get("rules") if isinstance(document.data, dict) else None
    valid = []
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        try:
            valid.append((number, RuleModel.model_validate_json(json.dumps(rule))))
        except ValidationError:
            continue
    return valid


def where(document: Document, loc: Loc) -> str:
    """`rule 3 'uploads'` for a location inside a rule (or a test)."""
    if len(loc) < 2 or loc[0] not in ("rules", "tests") or not isinstance(loc[1], int):
        return ""
    entry = _at(document.data, loc[:2])
    kind, key = ("rule", "name") if loc[0] == "rules" else ("test", "request")
    name = entry.get(key) if isinstance(entry, dict) else None
    return f"{kind} {loc[1] + 1}" + (f" {name!r}" if isinstance(name, str) else "")


def _at(data: Data, loc: Loc) -> Data:
    for step in loc:
        if isinstance(data, dict) and isinstance(step, str):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            break
    return data


def _problem(document: Document, error: Any) -> Problem:
    """One error of pydantic in our words."""
    loc: Loc = error["loc"]
    kind: str = error["type"]
    value = show(_at(document.data, loc))
    context = error.get("ctx", {})
    mark = document.place(loc)
    if kind == "missing":
        found, allowed = f"{_name(loc)} is missing", _described(loc)
        mark = document.place(loc[:-1])
    elif kind == "extra_forbidden":
        mark = document.place(loc, key=True)
        found, allowed = f"unknown key {str(loc[-1])!r}", _suggestion(loc)
    elif kind == "value_error":
        found, _, allowed = str(context["error"]).partition("; ")
        # What is wrong with a whole rule needs no key: the rule is named anyway.
        found = f"{_name(loc)}: {found}" if _named(loc) else found
    elif kind in ("literal_error", "enum"):
        found, allowed = f"{_name(loc)}: {value}", str(context["expected"]).replace("'", "")
    elif kind == "too_short":
        found, allowed = f"{_name(loc)}: an empty list", "at least one entry, or leave the key out"
        if isinstance(_at(document.data, loc), dict):
            found = f"{_name(loc)}: an empty mapping"
    elif kind in ("string_pattern_mismatch", "string_too_short", "string_too_long"):
        found, allowed = f"{_name(loc)}: {value}", _described(loc)
    elif kind in _KINDS:
        found, allowed = f"{_name(loc)}: {value}", _KINDS[kind]
    else:
        found, allowed = f"{_name(loc)}: {value}", str(error["msg"]).replace("Input should", "must")
    return Problem(document.file, *mark, where(document, loc), found, allowed)


def _named(loc: Loc) -> bool:
    return len(loc) > 0 and not (len(loc) == 2 and loc[0] in ("rules", "tests"))


def _name(loc: Loc) -> str:
    """The last key on the way to a location."""
    return next((step for step in reversed(loc) if isinstance(step, str)), "the file")


def _model(loc: Loc) -> type[BaseModel] | None:
    """The model whose field the location names."""
    model: type[BaseModel] = Settings
    for step in loc[:-1]:
        if isinstance(step, int):
            continue
        field = next(
            (each for name, each in model.model_fields.items() if step in (name, each.alias)), None
        )
        inner = None if field is None else _inner(field.annotation)
        if inner is None:
            return None
        model = inner
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_inner, typing.get_args(annotation))), None)


def _suggestion(loc: Loc) -> str:
    model = _model(loc)
    if model is None:
        return ""
    names = [field.alias or name for name, field in model.model_fields.items()]
    close = get_close_matches(str(loc[-1]), names, n=1)
    return f"{close[0]!r} is meant?" if close else f"one of {', '.join(names)}"


def _described(loc: Loc) -> str:
    model = _model(loc)
    field = model.model_fields.get(str(loc[-1])) if model else None
    return (field.description or "").rstrip(".") if field else ""
