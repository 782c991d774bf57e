"""The grammar of a head compiled for one list of field names, where that list comes often.

A shape is the same grammar with the names written out, so that one match judges a block and
takes out what matters. It knows names, never values, but for the usual ones that say nothing. One
that does not fit costs little, and the general way remains for everything else.

What lists of field names mean, worked out once for each list.

Clients and servers send the same few lists of names again and again. Only names are remembered
here: values hold credentials.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final, Generic, NamedTuple, TypeVar

from gateway.proxy.http1.syntax import DIGITS, VALUE

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


_OFTEN: Final = 16  # times that a list of names is seen before it becomes a shape
_MOST: Final = 32
_TRIED: Final = 4
_COUNTED: Final = 1024
_NOTHING: Final = re.compile(rb"(?!)").match
# A value that changes nothing is part of its shape instead of being looked at each time: all that
# HTTP/1.1 does is keep-alive anyway.
_USUAL: Final = {b"connection": rb" ?[Kk]eep-[Aa]live"}

Match = Callable[[bytes], re.Match[bytes] | None]


class Shape(Generic[Judge]):
    """match: of its pattern, from the start. passing: takes the fields that go on out of the
    groups. judged: places of values among the groups, and what looks at them. whole: every field
    goes on. sized: of a stricter pattern, see `Shapes`."""

    __slots__ = ("judged", "match", "passing", "pattern", "sized", "whole")

    def __init__(
        self,
        pattern: re.Pattern[bytes],
        passing: Callable[[Sequence[bytes]], bytes],
        judged: tuple[tuple[int, Judge], ...],
        whole: bool,
        sized: Match | None,
    ) -> None:
        self.pattern: Final = pattern
        self.match: Final = pattern.match
        self.passing: Final = passing
        self.judged: Final = judged
        self.whole: Final = whole
        self.sized: Final = sized


class Shapes(Generic[Judge]):
    """The shapes of one kind of head.

    recent: those to try, the last one that fitted first.
    sized: matches only what begins as `usual` says, has a Content-Length, and of which every
        field goes on; the length is its first group. Of the last shape that has one.

    Args:
        before, after: patterns around the fields. groups: how many groups `before` has.
        usual: what is before the fields nearly always, without a group. A field with its usual
            value goes on then, whatever its name.
    """

    __slots__ = ("_after", "_before", "_groups", "_known", "_seen", "_usual", "recent", "sized")

    def __init__(
        self,
        before: bytes = b"",
        groups: int = 0,
        after: bytes = b"",
        *,
        usual: bytes = b"",
    ) -> None:
        self._usual = usual
        self._before = before
        self._groups = groups
        self._after = after
        self._seen: dict[tuple[bytes, ...], int] = {}
        self._known: dict[tuple[bytes, ...], Shape[Judge]] = {}
        self.recent: list[Shape[Judge]] = []
        self.sized: Match = _NOTHING

    def fitted(self, shape: Shape[Judge]) -> None:
        """Try this one first from now on."""
        if shape is not self.recent[0]:
            self.recent.remove(shape)
            self.recent.insert(0, shape)
        if shape.sized is not None:
            self.sized = shape.sized

    def notice(self, layout: Layout[Judge]) -> None:
        """None of the recent shapes fitted a head of this layout."""
        names = layout.names
        if not names or len(set(names)) < len(names):
            return
        shape = self._known.get(names)
        if shape in self.recent:  # its names, but a value that is not the usual one
            return
        if shape is None:
            if len(self._seen) > _COUNTED:
                self._seen.clear()
            self._seen[names] = count = self._seen.get(names, 0) + 1
            if count < _OFTEN:
                return
            if len(self._known) >= _MOST:
                self._known.clear()
            shape = self._known[names] = self._compile(layout)
        self.recent.insert(0, shape)
        del self.recent[_TRIED:]

    def _compile(self, layout: Layout[Judge]) -> Shape[Judge]:
        matters = {matter.mark: matter for matter in layout.matters}
        pattern = [self._before]
        sized = [self._usual]
        lengths = 0
        groups = self._groups
        passing: list[int] = []
        judged = []
        inside = False  # a group of fields that go on
        whole = True
        for name in layout.names:
            matter = matters.get(b"\n%s:" % name)
            usual = _USUAL.get(name.lower())
            cut = matter is not None and matter.cut and not (usual and self._usual)
            if inside and cut:
                pattern.append(rb")")
            elif not inside and not cut:
                pattern.append(rb"(")
                passing.append(groups)
                groups += 1
            inside = not cut
            whole = whole and inside
            start = rb"\n" + re.escape(name) + rb":"
            value = VALUE if usual is None else usual
            if usual is None and matter is not None and matter.judge is not None:
                judged.append((groups, matter.judge))
                groups += 1
                pattern.append(start + rb"(" + value + rb")\r")
                lengths += name.lower() == b"content-length"
                sized.append(start + rb"[ \t]*+([0-9]{1,%d}+)[ \t]*+\r" % DIGITS)
            else:
                pattern.append(start + value + rb"\r")
                sized.append(start + value + rb"\r")
        pattern.append(rb")" + self._after if inside else self._after)
        straight = None
        if self._usual and whole and lengths == len(judged) == 1:
            straight = re.compile(b"".join([*sized, self._after])).match
        compiled = re.compile(b"".join(pattern))
        return Shape(compiled, _taker(passing), tuple(judged), whole, straight)


def _taker(places: list[int]) -> Callable[[Sequence[bytes]], bytes]:
    if len(places) == 1:
        return itemgetter(places[0])
    if len(places) == 2:
        first, second = places
        return lambda groups: groups[first] + groups[second]
    return lambda groups: b"".join([groups[place] for place in places])
