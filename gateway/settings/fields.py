"""What sections of the configuration are made of.

They are plain dataclasses, which pydantic reads by what stands here and by their types. Nothing
here imports it: whoever uses settings does without (0.1 s of each start, and 8 MB).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from gateway.settings.problems import show

if TYPE_CHECKING:
    from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema

JsonSchema: TypeAlias = dict[str, Any]
_REQUIRED: Final = object()


class Contradiction(ValueError):
    """The keys of a section hold by themselves but not together."""


class Section:
    """A mapping of the file. Its keys are those of a frozen dataclass, and no others."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = {
        "extra": "forbid",
        "strict": True,
        "validate_default": True,
    }

    def __post_init__(self) -> None:
        problem = self.problem()
        if problem:
            raise Contradiction(problem)

    def problem(self) -> str:
        """ "What was found; what is allowed" of keys that do not go together, "" otherwise."""
        return ""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        inside: Any = handler.resolve_ref_schema(schema)
        # Strict would mean an instance of this class. What is in the mapping is read strictly.
        inside["strict"] = False
        return schema


def setting(says: str, default: Any = _REQUIRED, *, name: str = "", **constraints: Any) -> Any:
    """A field of a section that a key of the file is read into.

    Args:
        says: what it is for, for messages and the schema.
        default: as the file would have it; None for None. Without one the key must be there.
        name: of the key, where it cannot be that of the field.
        constraints: more for pydantic's `Field`. `strict=False` takes a list for a tuple, and the
            value of an enum for its member.
    """
    told = {"description": says, **({"alias": name} if name else {}), **constraints}
    if default is _REQUIRED:
        return dataclasses.field(metadata=told)
    if default == {}:
        return dataclasses.field(default_factory=dict, metadata=told)
    return dataclasses.field(default=default, metadata=told)


@dataclass(frozen=True, slots=True)
class Written:
    """The type of a value that the file has as text.

    pattern: by which editors find most mistakes; decides where nothing parses.
    says: what is allowed.
    parse: makes the value; raises ValueError with "what was found; what is allowed".
    based: `parse` also takes the directory that relative paths start from.
    format: as JSON Schema knows some.
    """

    pattern: str
    says: str
    parse: Callable[..., Any] | None = None
    based: bool = False
    format: str = ""

    def read(self, data: object, info: ValidationInfo) -> Any:
        if not isinstance(data, str):
            raise ValueError(f"{show(data)}; {self.says}")
        if self.parse is not None:
            context: Any = info.context
            return self.parse(data, context["base"]) if self.based else self.parse(data)
        if not re.search(self.pattern, data):
            raise ValueError(f"{show(data)}; {self.says}")
        return data

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core.core_schema import with_info_plain_validator_function

        return with_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchema:
        known = {"pattern": self.pattern, "format": self.format}
        return {"type": "string", **{name: text for name, text in known.items() if text}}


@dataclass(frozen=True, slots=True)
class Whole:
    """For a literal number: Python and pydantic take `true` and `1.0` for 1."""

    def read(self, data: object) -> object:
        if isinstance(data, bool | float):
            raise ValueError(f"{show(data)}; a whole number")
        return data

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return _after(self.read, handler(source))


@dataclass(frozen=True, slots=True)
class OrWord:
    """A word that stands for None in the place of a value."""

    word: str

    def read(self, data: object) -> object:
        return None if data == self.word else data

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return _after(self.read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchema:
        return {"anyOf": [{"const": self.word}, handler(schema)]}


@dataclass(frozen=True, slots=True)
class OneOrMore:
    """A tuple that the file has as a list; a single text counts as a list of one."""

    least: int = 0

    def read(self, data: object) -> object:
        return [data] if isinstance(data, str | int | float) else data

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        inside: Any = {**handler(source), "strict": False, "min_length": self.least}
        return _after(self.read, inside)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchema:
        many = handler(schema)
        if not self.least:
            many.pop("minItems", None)
        return {"anyOf": [many["items"], many]}


def _after(read: Callable[[object], object], schema: CoreSchema) -> CoreSchema:
    """A schema for what a function makes of the data."""
    from pydantic_core.core_schema import no_info_before_validator_function

    return no_info_before_validator_function(read, schema)
