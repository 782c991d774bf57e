"""Checking the chain of the audit trail from its first entry to its head.

Knows the trail; changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.audit import entry as entries
from gateway.core.audit.entry import HEAD, START, Entry, NotAuthentic
from gateway.core.audit.trail import LOG, Trail

_PAGE = 500


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of the chain found.

    entries: how many were looked at. broken: the number of the first entry that is not as it
    was written, None when all are. why: what is wrong with it. head: number and hash of the
    last entry, to be kept elsewhere.
    """

    entries: int
    broken: int | None = None
    why: str = ""
    head: tuple[int, str] = (0, START)

    @property
    def sound(self) -> bool:
        return self.broken is None


class _Broken(Exception):
    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.number = number


class _Walk:
    """The state of one walk along the chain."""

    def __init__(self) -> None:
        self.count = 0
        self.first: Entry | None = None
        self.last: Entry | None = None
        self.macs: dict[int, str] = {}
        self.trims: dict[int, str] = {}

    def step(self, number: int, entry: Entry, wanted: frozenset[int]) -> None:
        expected = number if self.last is None else self.last.number + 1
        if number != expected:
            raise _Broken(expected, "is missing")
        if entry.number != number:
            raise _Broken(number, f"is entry {entry.number}, moved here")
        if self.last is not None and entry.prev != self.last.mac:
            raise _Broken(number, "does not follow from the entry before it")
        if entry.trimmed is not None:
            self.trims[entry.trimmed.upto] = entry.trimmed.mac
        if number in wanted:
            self.macs[number] = entry.mac
        self.first = self.first or entry
        self.last = entry
        self.count += 1

    def check_start(self) -> None:
        first = self.first
        if first is None or (first.number == 1 and first.prev == START):
            return
        if first.number == 1 or self.trims.get(first.number - 1) != first.prev:
            raise _Broken(max(1, first.number - 1), "is missing, and no retention removed it")

    def check_reaches(self, number: int, mac: str, what: str) -> None:
        end = self.last.number if self.last is not None else 0
        if number == 0:
            return
        if end < number:
            raise _Broken(end + 1, f"is missing: {what} says there are {number}")
        if self.macs.get(number) != mac:
            raise _Broken(number, f"is not the one {what} names")


async def verify(trail: Trail, *, known: tuple[int, str] | None = None) -> ChainReport:
    """Check every entry, the links between them, the beginning and the end.

    Args:
        known: a head noted down earlier; it must still be part of the chain, unless
            retention has removed it since.

    Raises:
        StoreUnavailable
    """
    while True:
        walk = _Walk()
        verdict = await _verify(trail, known, walk)
        if verdict is None:
            continue
        start = await trail.store.read(LOG, limit=1)
        seen = walk.first.number if walk.first is not None else 0
        # Retention removed what was still to be read: look again from the new beginning.
        if verdict.sound or not start or not 0 < seen < start[0][0]:
            return verdict


async def _verify(trail: Trail, known: tuple[int, str] | None, walk: _Walk) -> ChainReport | None:
    """None where the trail began meanwhile: the head comes before the first entry."""
    try:
        try:
            # Read before the entries: what is appended meanwhile only lies behind it.
            head = await trail.head.get()
        except NotAuthentic as error:
            raise _Broken(0, f"(the head record) {error}") from None
        wanted = frozenset(number for number, _ in filter(None, (head, known)))
        after = 0
        while page := await trail.store.read(LOG, after=after, limit=_PAGE):
            for after, raw in page:
                try:
                    entry = entries.read(raw, trail.ring)
                except NotAuthentic as error:
                    raise _Broken(after, str(error)) from None
                walk.step(after, entry, wanted)
        walk.check_start()
        if head is not None:
            walk.check_reaches(*head, "the head record")
        elif walk.last is not None:
            if await trail.store.get(HEAD) is not None:
                return None
            raise _Broken(0, "(the head record) is missing")
        if known is not None and (walk.first is None or known[0] >= walk.first.number):
            walk.check_reaches(*known, "the head you noted")
    except _Broken as broken:
        return ChainReport(walk.count, broken.number, str(broken))
    end = (walk.last.number, walk.last.mac) if walk.last is not None else (0, START)
    return ChainReport(walk.count, head=end)
