"""Sections of the configuration: frozen dataclasses whose fields are made by `setting`.

Knows shapes; knows no key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from gateway.settings.nodes import Data
from gateway.settings.shape import ABSENT, Here, Kind, Schema, Unfit, tried


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a section.

    attribute: the field it is read into. default: as the file would have it; None for a key
        that may be left out, ABSENT for one that may not.
    """

    name: str
    attribute: str
    kind: Kind
    says: str
    default: Any


def setting(kind: Kind, says: str, default: Any = ABSENT, *, name: str = "") -> Any:
    """A field of a section that a key of the file is read into.

    Args:
        says: what it is for, for messages and the schema.
        default: as the file would have it; None for None. Without one the key must be there.
        name: of the key, where it cannot be that of the field.
    """
    return dataclasses.field(
        metadata={"kind": kind, "says": says, "default": default, "name": name}
    )


@cache
def keys_of(section: type) -> dict[str, Key]:
    """The keys of a section by their name in the file."""
    keys = {}
    for each in dataclasses.fields(section):
        if "kind" in each.metadata:
            told = each.metadata
            name = told["name"] or each.name
            keys[name] = Key(name, each.name, told["kind"], told["says"], told["default"])
    return keys


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with the keys of a dataclass.

    least: how many keys it has at least, for the schema; `problem()` says so in words.
    Its `problem()`, if it has one, tells "what was found; what is allowed" of a section whose
    keys hold by themselves but not together, "" otherwise.
    """

    type: type
    least: int = 0

    def read(self, data: Data, here: Here) -> Any:
        if not isinstance(data, dict):
            raise here.unlike(data, "a mapping")
        keys = keys_of(self.type)
        for name in data.keys() - keys.keys():
            here.at(name).wrong(f"unknown key {name!r}", _suggestion(name, keys), key=True)
        values = {each.attribute: self._value(each, data, here) for each in keys.values()}
        if data.keys() - keys.keys() or ABSENT in values.values():
            raise Unfit
        section = self.type(**values)
        problem = section.problem() if hasattr(section, "problem") else ""
        if problem:
            found, _, allowed = problem.partition("; ")
            entry = not here.loc or isinstance(here.loc[-1], int)
            raise here.wrong(found if entry else f"{here.name}: {found}", allowed)
        return section

    def _value(self, key: Key, data: Mapping[str, Data], here: Here) -> Any:
        inside = here.at(key.name, key.says)
        if key.name in data:
            return tried(key.kind, data[key.name], inside)
        if key.default is ABSENT:
            here.wrong(f"{key.name} is missing", key.says.rstrip("."))
            return ABSENT
        return None if key.default is None else key.kind.read(key.default, inside)

    def schema(self, parts: Schema) -> Schema:
        name = self.type.__name__
        if name not in parts:
            parts[name] = {}
            parts[name] = self.whole(parts)
        return {"$ref": f"#/$defs/{name}"}

    def whole(self, parts: Schema) -> Schema:
        """The schema itself rather than a reference to it."""
        properties = {}
        for name, each in keys_of(self.type).items():
            told = each.kind.schema(parts) | {"description": each.says}
            if each.default not in (ABSENT, None, {}, []):
                told["default"] = each.default
            properties[name] = told
        return {
            "type": "object",
            **({"minProperties": self.least} if self.least else {}),
            "properties": properties,
            "required": [k.name for k in keys_of(self.type).values() if k.default is ABSENT],
            "additionalProperties": False,
        }


def _suggestion(name: str, keys: Mapping[str, Key]) -> str:
    close = get_close_matches(name, keys, n=1)
    return f"{close[0]!r} is meant?" if close else f"one of {', '.join(keys)}"
