"""What a key may hold: read strictly, with every mistake noted, and told as JSON Schema.

Knows documents and problems; knows no key. (pydantic could do this, for 0.2 s of each start and
11 MB: more than a gateway that starts in 0.6 s and lives in 60 MB has to spare.)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.settings.nodes import Data, Document, Loc

Schema = dict[str, Any]
ABSENT: Final = object()


class Unfit(Exception):
    """A value cannot be used; why is already among the problems of the document."""


@dataclass(frozen=True, slots=True)
class Here:
    """Where in a document a value stands.

    says: what the key is for. where: "rule 3 'uploads'" inside of one.
    base: the directory that relative paths start from.
    """

    document: Document
    loc: Loc = ()
    base: Path = Path()
    says: str = ""
    where: str = ""

    def at(self, step: str | int, says: str = "") -> Here:
        return replace(self, loc=(*self.loc, step), says=says or self.says)

    @property
    def name(self) -> str:
        """The last key on the way here."""
        return next((step for step in reversed(self.loc) if isinstance(step, str)), "the file")

    def wrong(self, found: str, allowed: str, *, key: bool = False) -> Unfit:
        """Note a problem with the value here (`key`: with the key that leads to it)."""
        mark = self.document.place(self.loc, key=key)
        self.document.problem(mark, found, allowed, self.where)
        return Unfit()

    def unlike(self, value: Data, allowed: str) -> Unfit:
        """Note that the value here is not of the kind it should be."""
        return self.wrong(f"{self.name}: {show(value)}", allowed)


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


class Kind(Protocol):
    """A kind of value."""

    def read(self, data: Data, here: Here) -> Any:
        """The value of what the file has; raises Unfit."""
        ...

    def schema(self, parts: Schema) -> Schema:
        """As JSON Schema; sections put themselves into `parts`."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a pattern, perhaps parsed into something else.

    says: what is allowed; what the key is for unless told.
    parse: raises ValueError with "what was found; what is allowed". based: it also takes the
        directory that relative paths start from.
    """

    pattern: str = ""
    says: str = ""
    parse: Callable[..., Any] | None = None
    based: bool = False

    def read(self, data: Data, here: Here) -> Any:
        if not isinstance(data, str):
            raise here.unlike(data, self.says or "text")
        if self.parse is None:
            if self.pattern and not re.search(self.pattern, data):
                raise here.unlike(data, self.says or here.says.rstrip("."))
            return data
        try:
            return self.parse(data, here.base) if self.based else self.parse(data)
        except ValueError as error:
            found, _, allowed = str(error).partition("; ")
            raise here.wrong(f"{here.name}: {found}", allowed) from None

    def schema(self, parts: Schema) -> Schema:
        return {"type": "string"} | ({"pattern": self.pattern} if self.pattern else {})


@dataclass(frozen=True, slots=True)
class Flag:
    def read(self, data: Data, here: Here) -> bool:
        if not isinstance(data, bool):
            raise here.unlike(data, "true or false")
        return data

    def schema(self, parts: Schema) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    def read(self, data: Data, here: Here) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            raise here.unlike(data, "a whole number")
        if not self.least <= data <= self.most:
            raise here.unlike(data, f"{self.least} to {self.most}")
        return data

    def schema(self, parts: Schema) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Day:
    def read(self, data: Data, here: Here) -> date:
        try:
            if isinstance(data, str) and len(data) == len("2026-01-31"):
                return date.fromisoformat(data)
        except ValueError:
            pass
        raise here.unlike(data, "a date such as 2026-01-31")

    def schema(self, parts: Schema) -> Schema:
        return {"type": "string", "format": "date"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several words or numbers; `make` turns it into something else (an enum)."""

    options: tuple[str | int, ...]
    make: Callable[[Any], Any] = lambda option: option

    def read(self, data: Data, here: Here) -> Any:
        for option in self.options:
            if type(data) is type(option) and data == option:
                return self.make(option)
        raise here.unlike(data, in_words(tuple(map(str, self.options))))

    def schema(self, parts: Schema) -> Schema:
        if len(self.options) == 1:
            return {"const": self.options[0]}
        return {"enum": list(self.options)}


def in_words(options: tuple[str, ...]) -> str:
    *others, last = options
    return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True, slots=True)
class OrWord:
    """A kind, or a word that stands for None."""

    word: str
    kind: Kind

    def read(self, data: Data, here: Here) -> Any:
        return None if data == self.word else self.kind.read(data, here)

    def schema(self, parts: Schema) -> Schema:
        return {"anyOf": [{"const": self.word}, self.kind.schema(parts)]}


@dataclass(frozen=True, slots=True)
class Several:
    """A list, as a tuple; a single text counts as a list of one.

    least: how many there are at least. called, named: entries are known in messages as
        "CALLED NUMBER 'the value of their key NAMED'".
    """

    kind: Kind
    least: int = 0
    called: str = ""
    named: str = ""

    def read(self, data: Data, here: Here) -> tuple[Any, ...]:
        single = isinstance(data, str | int | float) and not self.called
        entries = [data] if single else data
        if not isinstance(entries, list):
            raise here.unlike(data, "a list")
        if len(entries) < self.least:
            raise here.wrong(
                f"{here.name}: an empty list", "at least one entry, or leave the key out"
            )
        values = [self._entry(entry, here.at(at), at) for at, entry in enumerate(entries)]
        if ABSENT in values:
            raise Unfit
        return tuple(values)

    def _entry(self, entry: Data, here: Here, at: int) -> Any:
        if self.called:
            name = entry.get(self.named) if isinstance(entry, dict) else None
            named = f" {name!r}" if isinstance(name, str) else ""
            here = replace(here, where=f"{self.called} {at + 1}{named}")
        return tried(self.kind, entry, here)

    def schema(self, parts: Schema) -> Schema:
        one = self.kind.schema(parts)
        many: Schema = {"type": "array", "items": one}
        if self.least:
            many["minItems"] = self.least
        return many if self.called else {"anyOf": [one, many]}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping of text to values of one kind."""

    kind: Kind
    least: int = 0

    def read(self, data: Data, here: Here) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise here.unlike(data, "a mapping")
        if len(data) < self.least:
            raise here.wrong(
                f"{here.name}: an empty mapping", "at least one entry, or leave the key out"
            )
        values = {name: tried(self.kind, each, here.at(name)) for name, each in data.items()}
        if ABSENT in values.values():
            raise Unfit
        return values

    def schema(self, parts: Schema) -> Schema:
        told: Schema = {"type": "object", "additionalProperties": self.kind.schema(parts)}
        return told | ({"minProperties": self.least} if self.least else {})


def tried(kind: Kind, data: Data, here: Here) -> Any:
    """The value, or ABSENT for one that is unfit, so that the others are read all the same."""
    if data is None:
        return ABSENT  # the reader of the YAML has said so
    try:
        return kind.read(data, here)
    except Unfit:
        return ABSENT
