"""Groups as the configuration writes them, and what they become: who is in each, directly or by
another group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from gateway.core.errors import Refusal
from gateway.core.permissions import ANYBODY, OWNED, OWNERS, Group, Groups, Patterns
from gateway.core.tokens.projects import pattern
from gateway.core.user_id import user_id
from gateway.settings.fields import OneOrMore, Section, Written, setting
from gateway.settings.files import FilePath
from gateway.settings.nodes import Document, Loc
from gateway.settings.problems import show

MARK: Final = "@"


def _user(text: str) -> str:
    try:
        return user_id(text)
    except Refusal:
        raise ValueError(f"{show(text)} cannot be a user name; a name as in a login") from None


def _who(text: str) -> str:
    return text if text == ANYBODY else _user(text)


def _project(text: str) -> str:
    found = pattern(text)
    if found is None:
        raise ValueError(
            f"{show(text)} cannot be a project; a name, or one with * and ?, such as billing-*"
        )
    return found


def _which_project(text: str) -> str:
    return text if text.startswith(MARK) else _project(text)


User: TypeAlias = Annotated[str, Written(".", "a user name", _user)]
Who: TypeAlias = Annotated[str, Written(".", 'a user name, or "*" for whoever gives one', _who)]
GroupName: TypeAlias = Annotated[
    str, Written(r"^[^@\s:*?][^\s:]{0,99}$", "the name of a group, without blanks and colons")
]
RuleGroup: TypeAlias = Annotated[
    str, Written(rf"^({OWNERS}|[^@\s:*?][^\s:]{{0,99}})$", f"the name of a group, or {OWNERS!r}")
]
Project: TypeAlias = Annotated[str, Written(".", "a project, or a pattern", _project)]
RuleProject: TypeAlias = Annotated[
    str,
    Written(".", f"a project, a pattern, {MARK}GROUP for what it owns, {OWNED!r}", _which_project),
]
IndexPattern: TypeAlias = Annotated[
    str,
    Written(
        r"^[A-Za-z0-9._*?-]+/[A-Za-z0-9._*?-]+$",
        "USER/INDEX, with * and ? for any characters, such as prod/*",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupModel(Section):
    """Who is in a group, and which projects it owns."""

    users: Annotated[tuple[User, ...], OneOrMore()] = setting("Names of its members.", ())
    groups: Annotated[tuple[GroupName, ...], OneOrMore()] = setting(
        "Groups whose members are its members, too.", ()
    )
    file: FilePath | None = setting(
        "A file in Apache's htgroup format; its line with the name of this group adds members. "
        "Read at the start.",
        None,
    )
    projects: Annotated[tuple[Project, ...], OneOrMore()] = setting(
        "Projects it owns: names, or patterns such as billing-*. They mean something where a rule "
        "asks for them.",
        (),
    )

    def problem(self) -> str:
        if not self.users and not self.groups and self.file is None:
            return "no members; at least one of users, groups, file"
        return ""


def resolve(document: Document, models: Mapping[str, GroupModel]) -> Groups:
    """Groups with everybody who is in them; what is wrong with them becomes problems."""
    direct = {name: _direct(document, name, model) for name, model in models.items()}
    known: dict[str, set[str]] = {name: set() for name in models}
    for name, model in models.items():
        for number, other in enumerate(model.groups):
            if other in models:
                known[name].add(other)
            else:
                missing(document, ("groups", name, "groups", number), other, models)
    found = {}
    for name, model in models.items():
        below = _below(name, known)
        for number, other in enumerate(model.groups):
            if other in known and name in _below(other, known):
                found_at = ("groups", name, "groups", number)
                document.problem(
                    document.place(found_at),
                    f"{other} is in {name}, which is in {other}",
                    "groups that are not in themselves",
                    f"group {name!r}",
                )
        people = frozenset().union(direct[name], *(direct[other] for other in below))
        found[name] = Group(people, Patterns.of(model.projects))
    return Groups(found)


def missing(document: Document, loc: Loc, name: str, models: Mapping[str, object]) -> None:
    """Add that there is no such group."""
    known = ", ".join(sorted(models)) or "none; `groups:` of this file has them"
    document.problem(document.place(loc), f"there is no group {name!r}", known)


def _below(name: str, known: Mapping[str, set[str]]) -> set[str]:
    """All groups that are in a group, itself included where they go round."""
    found: set[str] = set()
    waiting = list(known[name])
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += known[one]
    return found


def _direct(document: Document, name: str, model: GroupModel) -> frozenset[str]:
    people = set(model.users)
    if model.file is not None:
        try:
            people |= read_htgroup(model.file)[name]
        except (OSError, ValueError, KeyError) as error:
            said = {
                OSError: f"{model.file} cannot be read ({getattr(error, 'strerror', '')})",
                KeyError: f"{model.file} has no line for {name}",
            }
            why = next((text for kind, text in said.items() if isinstance(error, kind)), str(error))
            place = document.place(("groups", name, "file"))
            document.problem(place, why, f"a line '{name}: alice bob'", f"group {name!r}")
    return frozenset(people)


def read_htgroup(file: Path) -> dict[str, set[str]]:
    """The members of each group of a file (mod_authz_groupfile): "name: alice bob".

    Raises:
        OSError: it cannot be read. ValueError: a line is none of these.
    """
    found: dict[str, set[str]] = {}
    for number, name, members in _lines(file):
        try:
            found.setdefault(name, set()).update(map(user_id, members))
        except Refusal:
            raise ValueError(f"{file}, line {number}: a name that cannot be used") from None
    return found


def _lines(file: Path) -> Iterator[tuple[int, str, list[str]]]:
    text = file.read_bytes().decode("utf-8-sig")
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, colon, rest = stripped.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"{file}, line {number} has no 'group:'")
        yield number, name.strip(), rest.split()
