"""What rules ask of rights: who asks for which project, and whether a rule is for them.

Knows neither credentials nor groups; `gateway.core.permissions` judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Claim:
    """Who asks for what.

    people: the ids of all that the credentials of the request name.
    unnamed: it has a credential that names nobody who can be told.
    index: "user/name" at devpi; None for none in particular.
    project: normalised; None for none in particular.
    unclear: why it cannot be told which project it is about, "" where it can.
    pending: the form in its body tells the project, and has not been read.
    """

    people: frozenset[str] = frozenset()
    unnamed: bool = False
    index: str | None = None
    project: str | None = None
    unclear: str = ""
    pending: bool = False

    @property
    def anonymous(self) -> bool:
        """Whether nothing in it says who asks."""
        return not self.people and not self.unnamed


class Standing(Enum):
    """What becomes of a request at a rule that fits by everything else.

    BARRED: it is for others, so from here on only a rule for certain people may still take it.
    OPEN: the form has to be read.
    """

    FITS = "fits"
    ELSEWHERE = "elsewhere"
    BARRED = "barred"
    OPEN = "open"


class Rights(Protocol):
    """Who a rule is for, and for which projects and indexes. Compared by identity."""

    @property
    def by_people(self) -> bool:
        """Whether it matters who asks."""
        ...

    @property
    def form_names(self) -> frozenset[str]:
        """The fields of a form that tell the project; none where it does not matter."""
        ...

    def standing(self, asked: Claim) -> Standing:
        """Raises Refusal `project_unclear`."""
        ...

    def why_not(self, asked: Claim) -> str:
        """The same in words, "" where it fits."""
        ...

    def covers(self, other: Rights | None) -> bool:
        """Whether no request that fits the other's rule could get past this one, all else equal
        (never wrongly True)."""
        ...
