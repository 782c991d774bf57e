"""pydantic reads what YAML gave, strictly; what it finds wrong is told in our own words.

Imported late: it takes 0.1 s and 8 MB.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from gateway.settings.fields import Contradiction
from gateway.settings.groups import GroupModel
from gateway.settings.model import Configuration
from gateway.settings.nodes import UNREAD, Document, Loc
from gateway.settings.problems import Problem, show
from gateway.settings.rules import RuleModel
from gateway.settings.schema import adapter, part

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_ALLOWED: Final = {
    "bool_type": "true or false",
    "dataclass_type": "a mapping",
    "dict_type": "a mapping",
    "int_type": "a whole number",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "string_type": "text",
    "tuple_type": "a list",
}
_ENTRIES: Final[dict[str | int, tuple[str, str]]] = {
    "rules": ("rule", "name"),
    "tests": ("test", "request"),
    "publishers": ("publisher", "name"),
}
"""How entries are known in messages: "rule 3 'uploads'", by the value of a key."""


def read(document: Document, base: Path) -> Configuration | None:
    """What a document says; None where it cannot be used, and then why is in its problems.

    Args:
        base: the directory that relative paths start from.
    """
    try:
        found: Configuration = adapter(Configuration).validate_python(
            document.data, context={"base": base}
        )
    except ValidationError as error:
        document.problems += (
            _problem(document, each) for each in error.errors(include_url=False) if not _said(each)
        )
        return None
    return found


def valid_rules(document: Document) -> list[tuple[int, RuleModel]]:
    """The rules that hold by themselves, with their numbers, of a document whose others do not."""
    entries = document.data.get("rules") if isinstance(document.data, dict) else None
    found = []
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        try:
            found.append((number, adapter(RuleModel).validate_python(entry)))
        except ValidationError:
            continue
    return found


def valid_groups(document: Document, base: Path) -> dict[str, GroupModel]:
    """The groups that hold by themselves, of a document whose others do not, and which only stand
    in for those that do not: what is in them is said."""
    entries = document.data.get("groups") if isinstance(document.data, dict) else None
    found = {}
    for name, entry in (entries if isinstance(entries, dict) else {}).items():
        try:
            found[name] = adapter(GroupModel).validate_python(entry, context={"base": base})
        except ValidationError:
            found[name] = GroupModel(users=("?",))
    return found


def _said(error: ErrorDetails) -> bool:
    """Whether other problems say it already: what is wrong as YAML, or with every entry of a list
    (of which pydantic counts those that hold)."""
    value, kind = error["input"], error["type"]
    return (value is UNREAD and kind != "unexpected_keyword_argument") or (
        kind == "too_short" and bool(value)
    )


def _problem(document: Document, error: ErrorDetails) -> Problem:
    loc: Loc = error["loc"]
    unknown = error["type"] == "unexpected_keyword_argument"
    found, allowed = _words(error, loc)
    return Problem(
        document.file, *document.place(loc, key=unknown), _entry(document, loc), found, allowed
    )


def _words(error: ErrorDetails, loc: Loc) -> tuple[str, str]:
    """What was found, and what is allowed."""
    name = next((step for step in reversed(loc) if isinstance(step, str)), "the file")
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "unexpected_keyword_argument":
            return f"unknown key {name!r}", _suggestion(name, loc[:-1])
        case "missing":
            return f"{name} is missing", _description(name, loc[:-1])
        case "too_short":
            return f"{name}: an empty {'mapping' if isinstance(value, dict) else 'list'}", (
                "at least one entry, or leave the key out"
            )
        case "value_error":
            wrong = context["error"]
            found, _, allowed = str(wrong).partition("; ")
            itself = isinstance(wrong, Contradiction) and (not loc or isinstance(loc[-1], int))
            return found if itself else f"{name}: {found}", allowed
        case "literal_error" | "enum":
            return f"{name}: {show(value)}", context["expected"].replace("'", "")
        case kind:
            return f"{name}: {show(value)}", _ALLOWED.get(kind, error["msg"]).format(**context)


def _entry(document: Document, loc: Loc) -> str:
    """The rule or test that a location is in, "" outside of them."""
    if len(loc) < 2 or loc[0] not in _ENTRIES:
        return ""
    called, key = _ENTRIES[loc[0]]
    whole: Any = document.data
    entry = whole[loc[0]][loc[1]]
    name = entry.get(key) if isinstance(entry, dict) else None
    return f"{called} {int(loc[1]) + 1}" + (f" {name!r}" if isinstance(name, str) else "")


def _description(name: str, section: Loc) -> str:
    return str(part(section)["properties"][name]["description"]).rstrip(".")


def _suggestion(name: str, section: Loc) -> str:
    keys = part(section)["properties"]
    close = get_close_matches(name, keys, n=1)
    return f"{close[0]!r} is meant?" if close else f"one of {', '.join(keys)}"
