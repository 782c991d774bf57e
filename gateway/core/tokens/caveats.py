"""The conditions in a token. Each is a compact JSON array that begins with its tag.

    [0, EXPIRES, NOT_BEFORE]          seconds since the epoch; PyPI's
    [1, ["foo", "bar"]]               names of projects, normalised; PyPI's
    [1000, ["upload", "read"]]        what may be done
    [1001, ["alice/dev"]]             indexes
    [1002, ["acme-*"]]                projects by pattern, normalised
    [1003, ["192.0.2.0/24"]]          networks of the client

A token is made with the first two alone, since some clients narrow nothing that has others; what
it may do besides stands in its record. Every one has to hold, so whoever appends one can only
narrow a token. What cannot be read, or is not known here (PyPI's other tags among them), never
holds. The first two are read exactly as PyPI reads them, and so are the objects that older clients
append.

Knows the uses of a token; knows no token and no record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Any, Final, Protocol

from gateway.core.errors import Refusal, Slug
from gateway.core.networks import Network, read_network
from gateway.core.phrases import _
from gateway.core.tokens import projects
from gateway.core.upstream import Action

GIVEN: Final = (Action.UPLOAD, Action.READ, Action.MANAGE)
"""What a token can be given; LOOK comes with each."""


@dataclass(frozen=True, slots=True)
class Use:
    """What somebody wants to do with a token.

    index: "user/name"; "" at an index server that is one index, None for none in particular.
    project: normalised; None for none in particular.
    """

    action: Action
    now: float
    address: IPv4Address | IPv6Address | None = None
    index: str | None = None
    project: str | None = None


class Caveat(Protocol):
    @property
    def by_project(self) -> bool:
        """Whether it asks which project a use is about."""
        ...

    def check(self, use: Use) -> None:
        """Raises Refusal where it does not hold."""
        ...


@dataclass(frozen=True, slots=True)
class Validity:
    """PyPI's tag 0."""

    expires: int
    not_before: int
    by_project: bool = False

    def check(self, use: Use) -> None:
        if use.now < self.not_before:
            raise Refusal(Slug.TOKEN_TOO_EARLY)
        if use.now >= self.expires:
            raise Refusal(Slug.TOKEN_EXPIRED)


@dataclass(frozen=True, slots=True)
class ProjectNames:
    """PyPI's tag 1: the names as they stand, so one that is not normalised fits nothing."""

    names: tuple[str, ...]
    by_project: bool = True

    def check(self, use: Use) -> None:
        _check_project(use, use.project in self.names)


@dataclass(frozen=True, slots=True)
class ProjectPatterns:
    patterns: tuple[str, ...]
    by_project: bool = True

    def check(self, use: Use) -> None:
        project = use.project
        fits = project is not None and any(projects.fits(project, one) for one in self.patterns)
        _check_project(use, fits)


@dataclass(frozen=True, slots=True)
class Actions:
    actions: tuple[str, ...]
    by_project: bool = False

    def check(self, use: Use) -> None:
        given = use.action in self.actions and use.action is not Action.ACCOUNT
        if not given and use.action is not Action.LOOK:
            raise Refusal(Slug.TOKEN_SCOPE, what=_DOES[use.action])


@dataclass(frozen=True, slots=True)
class Indexes:
    indexes: tuple[str, ...]
    by_project: bool = False

    def check(self, use: Use) -> None:
        if use.index not in self.indexes and not (use.index is None and use.action is Action.LOOK):
            named = (
                _("the index {name}", name=use.index)
                if use.index
                else _("what is outside of its indexes")
            )
            raise Refusal(Slug.TOKEN_SCOPE, what=named)


@dataclass(frozen=True, slots=True)
class Networks:
    networks: tuple[Network, ...]
    by_project: bool = False

    def check(self, use: Use) -> None:
        address = use.address
        mapped = getattr(address, "ipv4_mapped", None)
        if address is None or not any((mapped or address) in one for one in self.networks):
            raise Refusal(Slug.TOKEN_NETWORK)


@dataclass(frozen=True, slots=True)
class Anything:
    """PyPI's `{"version": 1, "permissions": "user"}`: narrows nothing."""

    by_project: bool = False

    def check(self, use: Use) -> None:
        pass


_DOES: Final = MappingProxyType(
    {
        Action.READ: _("reading"),
        Action.UPLOAD: _("uploads"),
        Action.MANAGE: _("changes of this kind"),
        Action.ACCOUNT: _("anything about accounts"),
    }
)


def _check_project(use: Use, fits: bool) -> None:
    if fits or (use.action is Action.LOOK and use.project is None):
        return
    named = (
        _("the project {name}", name=use.project)
        if use.project
        else _("what is outside of its projects")
    )
    raise Refusal(Slug.TOKEN_SCOPE, what=named)


# -- reading ----------------------------------------------------------------------------------


def parse(text: str) -> Caveat:
    """Read one condition.

    Raises:
        Refusal: `token_condition` for one that is not known here, or not written as it should be.
    """
    try:
        data = json.loads(text)
        return _legacy(data) if isinstance(data, dict) else _tagged(data)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refusal(Slug.TOKEN_CONDITION) from None


def _tagged(data: Any) -> Caveat:
    if not isinstance(data, list) or not data:
        raise ValueError
    tag, *values = data
    return _READERS[tag](*values)


def _legacy(data: Mapping[str, Any]) -> Caveat:
    """What PyPI wrote before 2022, and clients still append."""
    if data.get("version") == 1:
        permissions = data["permissions"]
        if permissions == "user":
            return Anything()
        if not isinstance(permissions, dict):
            raise ValueError
        return _names(permissions["projects"])
    return _times(data["exp"], data["nbf"])


def _whole(value: Any) -> int:
    if type(value) is not int:  # True is an int, too
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError
    return tuple(value)


# Of what stands behind the fields it knows PyPI takes no notice, so it is the same here.
def _times(expires: Any, not_before: Any, *_more: Any) -> Caveat:
    return Validity(_whole(expires), _whole(not_before))


def _names(names: Any, *_more: Any) -> Caveat:
    return ProjectNames(_texts(names))


def _patterns(value: Any) -> Caveat:
    found = _texts(value)
    if any(projects.pattern(one) != one for one in found):
        raise ValueError
    return ProjectPatterns(found)


_READERS: Final[Mapping[int, Callable[..., Caveat]]] = MappingProxyType(
    {
        0: _times,
        1: _names,
        1000: lambda value: Actions(_texts(value)),
        1001: lambda value: Indexes(_texts(value)),
        1002: _patterns,
        1003: lambda value: Networks(tuple(read_network(one) for one in _texts(value))),
    }
)


# -- writing ----------------------------------------------------------------------------------


def times(expires: int, not_before: int) -> str:
    return _written(0, expires, not_before)


def project_names(names: tuple[str, ...]) -> str:
    return _written(1, list(names))


def _written(*parts: object) -> str:
    return json.dumps(parts, separators=(",", ":"))
