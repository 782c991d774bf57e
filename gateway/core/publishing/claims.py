"""Conditions on what an identity token says, one small class each.

Names that an issuer compares without case are compared so in ASCII alone: under Unicode's rules
other letters (the Kelvin sign, say) would fit, too. Knows no kind of issuer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

Claims: TypeAlias = Mapping[str, object]
Plain: TypeAlias = str | int | bool


class Condition(Protocol):
    @property
    def claim(self) -> str:
        """The name of what it looks at."""
        ...

    def holds(self, claims: Claims) -> bool: ...


@dataclass(frozen=True, slots=True)
class Exactly:
    """The same value of the same type: "1", 1 and true are three."""

    claim: str
    value: Plain

    def holds(self, claims: Claims) -> bool:
        found = claims.get(self.claim)
        return type(found) is type(self.value) and found == self.value


@dataclass(frozen=True, slots=True)
class Caseless:
    """The same letters, whether capital or not."""

    claim: str
    value: str

    def holds(self, claims: Claims) -> bool:
        found = claims.get(self.claim)
        return isinstance(found, str) and same_letters(found, self.value)


@dataclass(frozen=True, slots=True)
class NoneOf:
    """There, and none of these."""

    claim: str
    values: tuple[str, ...]

    def holds(self, claims: Claims) -> bool:
        found = claims.get(self.claim)
        return isinstance(found, str) and bool(found) and found not in self.values


@dataclass(frozen=True, slots=True)
class File:
    """A file of a repository as it was at what the job runs for: `PLACE/FILE@REVISION`.

    place: compared without case. revisions: the claims that say what the job runs for.
    """

    claim: str
    place: str
    file: str
    revisions: tuple[str, ...]

    def holds(self, claims: Claims) -> bool:
        found = claims.get(self.claim)
        if not isinstance(found, str) or not same_letters(found[: len(self.place)], self.place):
            return False
        told = [claims.get(name) for name in self.revisions]
        rest = found[len(self.place) :]
        return rest in [f"{self.file}@{one}" for one in told if isinstance(one, str) and one]


@dataclass(frozen=True, slots=True)
class Begins:
    """A text that begins so, compared without case."""

    claim: str
    value: str

    def holds(self, claims: Claims) -> bool:
        found = claims.get(self.claim)
        return isinstance(found, str) and same_letters(found[: len(self.value)], self.value)


_FOLDED: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def same_letters(one: str, other: str) -> bool:
    return one.translate(_FOLDED) == other.translate(_FOLDED)
