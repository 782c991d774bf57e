"""Finding entries of the trail: by person, project, event and time, the newest or the oldest first.

Numbers have no gaps and grow with time, so a moment is found by halving, and a look back reads so
many entries at most, whatever the trail's length. Knows the log and the copies beside it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.core.audit.entry import Entry, NotAuthentic, parse
from gateway.core.audit.events import OF_FILES
from gateway.core.audit.trail import LOG, SHOWN_FOR, Trail
from gateway.core.store import PAGE

SCANNED: Final = 50_000
"""Entries that one look back reads at most."""
_APART: Final = 3600.0
"""Seconds by which an entry may stand behind a later one: clocks differ, and uploads are recorded
behind the index's answer."""
_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries. since, until: seconds since the epoch, from `since` on, before `until`.
    events, users: empty for all. project: by its normalized name (PEP 503), "" for all.
    request: what one request made, "" for all."""

    since: float | None = None
    until: float | None = None
    events: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    project: str = ""
    request: str = ""

    @property
    def everything(self) -> bool:
        return self == Wanted()

    def fits(self, raw: bytes) -> bool:
        """Whether an entry is wanted; one that cannot be read only where all are."""
        return self.everything or self.read(raw) is not None

    def read(self, raw: bytes) -> Entry | None:
        """A stored entry, None where it is not wanted or cannot be read."""
        try:
            entry = parse(raw)
        except NotAuthentic:
            return None
        return entry if self.takes(entry) else None

    def takes(self, entry: Entry) -> bool:
        return (
            (self.since is None or entry.time >= self.since)
            and (self.until is None or entry.time < self.until)
            and (not self.events or entry.event in self.events)
            and (not self.users or entry.user in self.users)
            and (not self.project or normalized(self.project) in projects_of(entry))
            and (not self.request or self.request == entry.request)
        )

    def perhaps(self) -> Callable[[bytes], bool]:
        """What tells most entries that are not wanted from their bytes alone."""
        events = _needles("event", self.events)
        users = _needles("user", self.users)
        requests = _needles("request", [self.request] if self.request else [])

        def look(raw: bytes) -> bool:
            asked = (events, users, requests)
            return all(not some or any(one in raw for one in some) for some in asked)

        return look


def _needles(name: str, values: Iterable[str]) -> list[bytes]:
    return [f'"{name}":{json.dumps(value)}'.encode() for value in values]


def normalized(name: str) -> str:
    """A project's name as PEP 503 has it."""
    plain = name.strip().lower().replace("_", "-").replace(".", "-")
    return "-".join(filter(None, plain.split("-")))


def projects_of(entry: Entry) -> set[str]:
    """What an entry is about, normalized; where it does not say, what its path may name."""
    if entry.project:
        return {entry.project}
    if not entry.event.startswith("guarded"):
        return set()
    return {normalized(part) for part in entry.origin.path.split("/")} - {""}


class Found(NamedTuple):
    """Some entries, newest first. before: what the next look begins below, 0 at the end of the
    trail. back_to: how far this look went, where there is more; seconds since the epoch."""

    entries: list[Entry]
    before: int = 0
    back_to: float = 0.0


async def newest(
    trail: Trail,
    wanted: Wanted,
    *,
    now: float,
    before: int = 0,
    limit: int = 50,
    scan: int = SCANNED,
) -> Found:
    """The newest that are wanted, below the number `before` (0: from the end on)."""
    entries: list[Entry] = []
    end = before - 1 if before else await _end(trail)
    if len(wanted.users) == 1 and wanted.events and not wanted.events & OF_FILES:
        (user,) = wanted.users
        copies = [one for one in await trail.of_user(user, 0.0) if one.number <= end]
        entries = [one for one in copies if wanted.takes(one)][: limit + 1]
        if len(entries) > limit:
            return Found(entries[:limit], entries[limit - 1].number)
        older = await first_at(trail, now - SHOWN_FOR + _DAY) - 1
        end = min(end, copies[-1].number - 1 if copies else older)
    begin = 1
    if wanted.since is not None:
        begin = await first_at(trail, wanted.since - _APART)
    if wanted.until is not None:
        end = min(end, await first_at(trail, wanted.until + _APART) - 1)
    return await _look_back(trail, wanted, entries, (begin, end), limit, scan)


async def _look_back(
    trail: Trail,
    wanted: Wanted,
    entries: list[Entry],
    numbers: tuple[int, int],
    limit: int,
    scan: int,
) -> Found:
    begin, end = numbers
    perhaps = wanted.perhaps()
    floor, back_to = end - scan, 0.0
    while end >= begin and end > floor:
        low = max(begin - 1, floor, end - PAGE)
        read = await trail.store.read(LOG, after=low, limit=end - low)
        page = [one for one in read if one[0] <= end]  # others follow where older ones were removed
        for number, raw in reversed(page):
            entry = wanted.read(raw) if perhaps(raw) else None
            if entry is not None:
                entries.append(entry)
                if len(entries) >= limit:
                    more = number > max(begin, page[0][0]) or low >= begin
                    return Found(entries, number if more else 0)
        if not page or page[0][0] > low + 1:  # older ones were removed
            return Found(entries)
        end, back_to = low, _time(page[0][1])
    return Found(entries, end + 1, back_to) if end >= begin else Found(entries)


async def pages(trail: Trail, wanted: Wanted) -> AsyncIterator[list[Entry]]:
    """All that are wanted, oldest first."""
    after = 0
    if wanted.since is not None:
        after = await first_at(trail, wanted.since - _APART) - 1
    last = await _end(trail)
    if wanted.until is not None:
        last = min(last, await first_at(trail, wanted.until + _APART) - 1)
    perhaps = wanted.perhaps()
    while after < last:
        page = await trail.store.read(LOG, after=after, limit=min(PAGE, last - after))
        if not page:
            return
        after = page[-1][0]
        read = (wanted.read(raw) for _, raw in page if perhaps(raw))
        found = [entry for entry in read if entry is not None]
        if found:
            yield found


async def first_at(trail: Trail, moment: float) -> int:
    """The number of the first entry that is not before a moment, by halving; one above the last
    where all are."""
    first = await trail.store.read(LOG, limit=1)
    if not first:
        return 1
    low, high = first[0][0], await _end(trail) + 1
    while low < high:
        middle = (low + high) // 2
        page = await trail.store.read(LOG, after=middle - 1, limit=1)
        if page and _time(page[0][1]) >= moment:
            high = middle
        else:
            low = middle + 1
    return low


async def _end(trail: Trail) -> int:
    last = await trail.store.last(LOG)
    return last[0] if last else 0


def _time(raw: bytes) -> float:
    try:
        return parse(raw).time
    except NotAuthentic:
        return 0.0
