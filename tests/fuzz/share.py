"""How many of the generated inputs got through: a property of refused ones says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ENOUGH: Final = 200  # before fewer, a rate is chance


@dataclass
class Share:
    """least: the part of the inputs that has to get through for the rest to mean anything."""

    least: float
    tried: int = 0
    through: int = 0

    def count(self, through: bool) -> None:
        self.tried += 1
        self.through += through

    @property
    def rate(self) -> float:
        return self.through / self.tried if self.tried else 0.0

    def suffices(self, enough: int = ENOUGH) -> bool:
        return self.tried < enough or self.rate >= self.least

    def __str__(self) -> str:
        return f"{self.through} of {self.tried} got through ({self.rate:.0%})"
