"""What is wrong with a configuration, one entry each, worded the same way everywhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake and where it stands.

    line, column: from 1; 0 when the whole file is meant.
    where: "rule 3 'uploads'", or "" outside the rules.
    found, allowed: what is there, what could be.
    warning: it is worth saying, but does not stop the start.
    """

    file: str
    line: int
    column: int
    where: str
    found: str
    allowed: str = ""
    warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        where = f"{self.where}: " if self.where else ""
        return f"{place}: {where}{self.found}" + (f"; {self.allowed}" if self.allowed else "")


class ConfigError(Exception):
    """A configuration cannot be used; `problems` holds everything that is wrong."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


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
