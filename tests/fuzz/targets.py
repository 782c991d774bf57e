"""What `make fuzz` runs: one line for each target."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, Protocol

from tests.fuzz.forms import Forms


class Target(Protocol):
    """Something that is tried with generated inputs.

    name: of the target, its corpus and what it leaves behind.
    """

    name: str

    def example(self, random: Random) -> bytes:
        """A new input, written so that it can be kept in a file."""
        ...

    def check(self, data: bytes) -> str:
        """Try one input.

        Returns:
            What happened, in a word or two: the first input of each is kept in the corpus.

        Raises:
            AssertionError: a difference was found.
        """
        ...


TARGETS: Final[dict[str, Callable[[], Target]]] = {"forms": Forms}
