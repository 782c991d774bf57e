"""What `make fuzz` runs: one line for each target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, Protocol

from tests.fuzz.answers import Answers
from tests.fuzz.cookies import Cookies
from tests.fuzz.forms import Forms
from tests.fuzz.heads import Heads
from tests.fuzz.live import LiveDevpi, LivePypiserver
from tests.fuzz.paths import Paths
from tests.fuzz.share import Share

CORPUS: Final = Path(__file__).parent / "corpus"
"""One folder for each target. What was found once is tried first, by `make test` too."""


class Target(Protocol):
    """Something that is tried with generated inputs.

    name: of the target, its corpus and what it leaves behind.
    share: how many of the inputs got through; where too few do, little was tried.
    """

    name: str
    share: Share

    def example(self, random: Random) -> bytes:
        """A new input, written so that it can be kept in a file."""
        ...

    def check(self, data: bytes) -> str:
        """Try one input.

        Returns:
            What happened, in a word or two: the first input of each is kept.

        Raises:
            AssertionError: a difference was found.
        """
        ...

    def close(self) -> None:
        """Stop what was started for it."""
        ...


TARGETS: Final[dict[str, Callable[[], Target]]] = {
    "forms": Forms,
    "heads": Heads,
    "paths": Paths,
    "answers": Answers,
    "cookies": Cookies,
    "devpi": LiveDevpi,
    "pypiserver": LivePypiserver,
}


def corpus(name: str) -> list[bytes]:
    """What is kept in the repository for a target."""
    folder = CORPUS / name
    return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def first_difference(target: Target, count: int, seed: int) -> str:
    """What a number of generated inputs find; "" for nothing."""
    random = Random(seed)
    for _ in range(count):
        data = target.example(random)
        try:
            target.check(data)
        except AssertionError as exc:
            return f"{data!r}: {exc}"
    return ""
