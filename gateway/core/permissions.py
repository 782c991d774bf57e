"""Groups of people with the projects they own, and who a rule is for by them.

Knows user ids and the names of projects; knows no requests and no credentials. However large a
group is, asking whether somebody is in it is one look into a set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.rules.rights import Claim, Rights, Standing
from gateway.core.tokens.projects import fits

ANYBODY: Final = "*"
OWNERS: Final = "@owners"
OWNED: Final = "@owned"
_READ: Final = frozenset({":action", "name"})


@dataclass(frozen=True, slots=True)
class Patterns:
    """Names, some with `*` and `?`."""

    exact: frozenset[str] = frozenset()
    globs: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> Patterns:
        wild = {text: "*" in text or "?" in text for text in texts}
        globs = tuple(text for text, is_wild in wild.items() if is_wild)
        return cls(frozenset(wild) - set(globs), globs)

    def has(self, name: str) -> bool:
        return name in self.exact or any(fits(name, glob) for glob in self.globs)

    def covers(self, other: Patterns) -> bool:
        if ANYBODY in self.globs:
            return True
        return all(map(self.has, other.exact)) and set(other.globs) <= set(self.globs)

    def __bool__(self) -> bool:
        return bool(self.exact or self.globs)

    def __str__(self) -> str:
        return " or ".join((*sorted(self.exact), *self.globs))


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """people: the ids of all members, those of its groups included. projects: what it owns."""

    people: frozenset[str] = frozenset()
    projects: Patterns = field(default_factory=Patterns)


class Groups:
    """All groups by name, and who owns a project by them."""

    def __init__(self, groups: Mapping[str, Group] | None = None) -> None:
        self.named: Final = dict(groups or {})
        self._exact: Final[dict[str, list[Group]]] = {}
        self._globs: Final[list[tuple[str, Group]]] = []
        for group in self.named.values():
            for name in group.projects.exact:
                self._exact.setdefault(name, []).append(group)
            self._globs.extend((glob, group) for glob in group.projects.globs)

    def owners(self, project: str) -> list[Group]:
        """The groups that own a project."""
        found = [group for glob, group in self._globs if fits(project, glob)]
        return [*self._exact.get(project, ()), *found]


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Who somebody has to be.

    ids: those named. groups: any of their members. anybody: whoever gives a name.
    owners: members of a group that owns the project.
    said: the same as the configuration has it.
    """

    ids: frozenset[str] = frozenset()
    groups: tuple[Group, ...] = ()
    anybody: bool = False
    owners: bool = False
    said: tuple[str, ...] = ()

    def has(self, asked: Claim, groups: Groups) -> bool:
        """Whether everybody whom a request names is one of them."""
        if asked.unnamed or not asked.people:
            return False
        if self.anybody:
            return True
        owning = groups.owners(asked.project) if self.owners and asked.project else []
        return all(
            one in self.ids or any(one in group.people for group in (*self.groups, *owning))
            for one in asked.people
        )

    def covers(self, other: People) -> bool:
        if self.anybody:
            return True
        if other.anybody or (other.owners and not self.owners):
            return False
        rest = other.ids - self.ids
        theirs = (group for group in other.groups if group not in self.groups)
        for group in theirs:
            rest |= group.people - self.ids
        return all(any(one in group.people for group in self.groups) for one in rest)

    def __str__(self) -> str:
        return " or ".join(self.said)


@dataclass(frozen=True, slots=True, eq=False)
class Permission(Rights):
    """The rights of one rule (`gateway.core.rules.rights.Rights`).

    people: None where it does not matter who asks. newcomers: who may upload a project that the
    index does not have yet; None for whoever may upload.
    projects, indexes: None where these do not matter. owned: projects that any group owns, too.
    tells: a refusal says who may.
    """

    groups: Groups
    people: People | None = None
    projects: Patterns | None = None
    owned: bool = False
    indexes: Patterns | None = None
    newcomers: People | None = None
    tells: bool = False

    @property
    def by_people(self) -> bool:
        return self.people is not None

    @property
    def by_project(self) -> bool:
        """Whether it has to be certain which project a request is about."""
        owners = self.people is not None and self.people.owners
        return self.projects is not None or self.newcomers is not None or owners

    @property
    def form_names(self) -> frozenset[str]:
        return _READ if self.by_project else frozenset()

    def standing(self, asked: Claim) -> Standing:
        if not self._index_fits(asked):
            return Standing.ELSEWHERE
        if self.by_project:
            if asked.pending:
                return Standing.OPEN
            if asked.unclear:
                raise Refusal(Slug.PROJECT_UNCLEAR, why=asked.unclear)
        if not self._project_fits(asked):
            return Standing.ELSEWHERE
        fitting = self.people is None or self.people.has(asked, self.groups)
        return Standing.FITS if fitting else Standing.BARRED

    def why_not(self, asked: Claim) -> str:
        if not self._index_fits(asked):
            return f"{asked.index or 'no index'} is not {self.indexes}"
        if not self._project_fits(asked):
            wanted = [str(self.projects)] if self.projects else []
            wanted += ["owned by a group"] if self.owned else []
            return f"{asked.project or 'no project'} is not {' or '.join(wanted)}"
        if self.people is not None and not self.people.has(asked, self.groups):
            who = "somebody unreadable" if asked.unnamed else " and ".join(sorted(asked.people))
            return f"{who or 'nobody'} is not {self.people}"
        return ""

    def begins(self, asked: Claim) -> bool:
        """Whether who asks may upload a project that the index does not have yet."""
        return self.newcomers is None or self.newcomers.has(asked, self.groups)

    def covers(self, other: Rights | None) -> bool:
        its = other if isinstance(other, Permission) else Permission(self.groups)
        if self.indexes is not None and not (its.indexes and self.indexes.covers(its.indexes)):
            return False
        if self.projects is not None and not self._projects_cover(its):
            return False
        # Whom an earlier rule for certain people bars, no later one for everybody takes.
        return self.people is None or its.people is None or self.people.covers(its.people)

    def _projects_cover(self, its: Permission) -> bool:
        if its.projects is None or (its.owned and not self.owned):
            return False
        return self.projects is not None and self.projects.covers(its.projects)

    def _index_fits(self, asked: Claim) -> bool:
        if self.indexes is None:
            return True
        return asked.index is not None and self.indexes.has(asked.index)

    def _project_fits(self, asked: Claim) -> bool:
        if self.projects is None:
            return True
        if asked.project is None:
            return False
        return self.projects.has(asked.project) or (
            self.owned and bool(self.groups.owners(asked.project))
        )
