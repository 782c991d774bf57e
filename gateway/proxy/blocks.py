"""Header blocks: the part of a head's grammar that requests and answers share, and cutting.

A block is the fields of a head, each as "\\n", name, ":", value, "\\r", so that it can be cut at
any field without looking at its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from gateway.core.facts import Field

TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# Each field is "\n", name, ":", value, "\r": the block of a head is cut at any of these
# without looking at its neighbours. Possessive throughout, so a hostile head costs one pass.
FIELDS: Final = rb"((?:\n" + TCHAR + rb"++:[\t\x20-\x7e\x80-\xff]*+\r)*+)\n\r\n"
BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
DIGITS: Final = 18  # of a Content-Length at most; bytes.isdigit() knows ASCII digits only
TOKENS: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]++")

Cut = tuple[int, int]
"""Where a field stands in its block: first and past-the-end position."""

Judge = TypeVar("Judge")
_NAMES: Final = re.compile(rb"\n([^:]++)")
_MOST_LAYOUTS: Final = 512
_LONGEST_KEY: Final = 1024


class Matter(NamedTuple, Generic[Judge]):
    """A field that matters.

    mark: "\\n", the name as it was written, ":"; it can only be found where a field begins.
    cut: it goes no further. judge: what looks at its value. many: it is there more than once.
    """

    mark: bytes
    cut: bool
    judge: Judge | None
    many: bool


class Layouts(Generic[Judge]):
    """Which fields of a block matter, remembered by their names alone: values hold credentials
    and are not kept.

    Args:
        check: called with the lower-case names of a new layout; raises where the names alone
            make a head unacceptable.
    """

    __slots__ = ("_check", "_cut", "_judges", "_known")

    def __init__(
        self,
        cut: Callable[[str], bool],
        judges: dict[bytes, Judge],
        check: Callable[[list[bytes]], None],
    ) -> None:
        self._known: dict[bytes, tuple[Matter[Judge], ...]] = {}
        self._cut = cut
        self._judges = judges
        self._check = check

    def of(self, block: bytes) -> tuple[Matter[Judge], ...]:
        names = _NAMES.findall(block)
        key = b":".join(names)
        known = self._known.get(key)
        return self._read(names, key) if known is None else known

    def _read(self, names: list[bytes], key: bytes) -> tuple[Matter[Judge], ...]:
        self._check([name.lower() for name in names])
        found = []
        for name in dict.fromkeys(names):
            lower = name.lower()
            cut, judge = self._cut(lower.decode("ascii")), self._judges.get(lower)
            if cut or judge is not None:
                found.append(Matter(b"\n%s:" % name, cut, judge, names.count(name) > 1))
        if len(key) <= _LONGEST_KEY:
            if len(self._known) >= _MOST_LAYOUTS:
                self._known.clear()
            self._known[key] = tuple(found)
        return tuple(found)


def spans(block: bytes, names: set[bytes]) -> list[Cut]:
    """Where the fields of these lower-case names are in a block."""
    either = b"|".join(re.escape(name) for name in names)
    return [
        found.span() for found in re.finditer(rb"\n(?:" + either + rb"):[^\r]*+\r", block.lower())
    ]


def merged(*lists: list[Cut]) -> list[Cut]:
    """Spans in order, each once. Two never overlap unless they are the same field."""
    return sorted({cut for cuts in lists for cut in cuts})


def kept(block: bytes, cuts: list[Cut]) -> bytes:
    """The block without the cut spans."""
    if not cuts:
        return block
    if len(cuts) == 1:
        ((start, end),) = cuts
        return block[:start] + block[end:]
    parts = []
    at = 0
    for start, end in cuts:
        parts.append(block[at:start])
        at = end
    parts.append(block[at:])
    return b"".join(parts)


def fields(block: bytes) -> tuple[Field, ...]:
    """Name (lower-cased) and value (latin-1, stripped) of every field, in order."""
    found = []
    for line in block.decode("latin-1").replace("\r", "").split("\n")[1:]:
        name, _, value = line.partition(":")
        found.append((name.lower(), value.strip(" \t")))
    return tuple(found)
