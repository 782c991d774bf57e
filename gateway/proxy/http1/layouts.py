"""What lists of field names mean, worked out once for each list.

Clients and servers send the same few lists of names again and again. Only names are remembered
here: values hold credentials.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Final, Generic, NamedTuple, TypeVar

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


class Layout(NamedTuple, Generic[Judge]):
    """matters: the fields of a block that matter. names: all names as they were written.
    plain: all of them are among the names that were called plain. mixed: one field is there
    under several spellings of its name, so that `matters` are not in the order of the fields."""

    matters: tuple[Matter[Judge], ...]
    names: tuple[bytes, ...]
    plain: bool
    mixed: bool


Found = tuple[int, Judge, bytes]
"""Where a field stands in its block, what looks at its value, and the value."""


def in_order(layout: Layout[Judge], found: list[Found[Judge]]) -> list[Found[Judge]]:
    """The fields as they stand in the block: a list that is spread over several fields is read
    from the first to the last (RFC 9110 section 5.3), however each of them spells its name."""
    return sorted(found, key=itemgetter(0)) if layout.mixed else found


class Layouts(Generic[Judge]):
    """Which fields of a block matter, remembered by their names alone: values hold credentials
    and are not kept.

    Args:
        check: called with the lower-case names of a new layout; raises where the names alone
            make a head unacceptable.
    """

    __slots__ = ("_check", "_cut", "_judges", "_known", "_plain")

    def __init__(
        self,
        cut: Callable[[str], bool],
        judges: dict[bytes, Judge],
        check: Callable[[list[bytes]], None],
        plain: frozenset[bytes] = frozenset(),
    ) -> None:
        self._known: dict[bytes, Layout[Judge]] = {}
        self._cut = cut
        self._judges = judges
        self._check = check
        self._plain = plain

    def of(self, block: bytes) -> Layout[Judge]:
        names = _NAMES.findall(block)
        key = b":".join(names)
        known = self._known.get(key)
        return self._read(names, key) if known is None else known

    def _read(self, names: list[bytes], key: bytes) -> Layout[Judge]:
        lower = [name.lower() for name in names]
        self._check(lower)
        matters = []
        for name in dict.fromkeys(names):
            cut, judge = self._cut(name.lower().decode("ascii")), self._judges.get(name.lower())
            if cut or judge is not None:
                matters.append(Matter(b"\n%s:" % name, cut, judge, names.count(name) > 1))
        mixed = len(set(lower)) < len(set(names))
        layout = Layout(tuple(matters), tuple(names), self._plain.issuperset(lower), mixed)
        if len(key) <= _LONGEST_KEY:
            if len(self._known) >= _MOST_LAYOUTS:
                self._known.clear()
            self._known[key] = layout
        return layout
