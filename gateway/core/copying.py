"""Everything that a store holds, as rows that any other store can take: backups and moves.

Knows the store's port; what the records mean is known to those who write them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from gateway.core.clock import Clock
from gateway.core.store import Append, Key, Put, Store, StoreUnavailable

_SOON: Final = 3600.0
_AT_ONCE: Final = 100


class RecordRow(NamedTuple):
    """A live record. expires: seconds since the epoch, None for never."""

    key: Key
    value: bytes
    expires: float | None


class CountRow(NamedTuple):
    """The events of one bucket of a counter, which ends at `until` and is kept until `expires`."""

    key: Key
    until: float
    events: int
    expires: float


class LogRow(NamedTuple):
    """A log, before its entries. after: the number below its first one."""

    log: str
    after: int


class EntryRow(NamedTuple):
    log: str
    number: int
    entry: bytes


Row: TypeAlias = RecordRow | CountRow | LogRow | EntryRow


@runtime_checkable
class Copyable(Store, Protocol):
    """A store whose whole content can be read and written. Not for the way of a request."""

    def rows(self) -> AsyncIterator[Sequence[Row]]:
        """All that is live, in pages; entries behind the row of their log, in order.

        What is written meanwhile may be missing. Raises StoreUnavailable.
        """
        ...

    async def add_counts(self, rows: Sequence[CountRow]) -> None: ...

    async def begin_log(self, log: str, after: int) -> None:
        """Have the first entry of a log that is not there yet follow the number `after`."""
        ...


class Restored(NamedTuple):
    """What a backup brought. records: brought back; ended: removed, such as sessions; changed:
    whose record was another one; followed: the log was left, as it goes on from the backup's."""

    records: int
    ended: int
    changed: tuple[str, ...]
    followed: bool


@dataclass(frozen=True, slots=True)
class Restoring:
    """Which kinds of records come back from a backup; those not named stay as they are.

    back: come back. ended: are removed. log, with_log: the log, and what belongs to it, that come
    back where the one that is there does not go on from them. mended, mend: the kind whose records
    are made anew by `mend` where they have changed since the backup.
    """

    back: tuple[str, ...]
    ended: tuple[str, ...]
    log: str
    with_log: tuple[str, ...]
    mended: str
    mend: Callable[[bytes], bytes]


@runtime_checkable
class Backed(Copyable, Protocol):
    """A store in a file, from which backups are made while it is in use."""

    async def backup(self, target: str) -> None:
        """Write the state of one moment to a new file.

        Raises:
            StoreUnavailable: with what is wrong. OSError: the file cannot be made.
        """
        ...

    async def restore(self, source: str, plan: Restoring) -> Restored:
        """Bring a backup back in one step that running gateways do not notice.

        Raises:
            StoreUnavailable: with what is wrong; nothing was changed.
        """
        ...


@dataclass(slots=True)
class Inventory:
    """What was seen of a store: how many rows of which kind, and one number for all of them.

    Rows that end within an hour are counted, and left out of the number.
    """

    counts: Counter[str] = field(default_factory=Counter)
    digest: int = 0

    def add(self, row: Row, now: float) -> None:
        match row:
            case RecordRow(key, _, expires):
                self.counts[key.kind] += 1
                lasting = expires is None or expires > now + _SOON
            case CountRow():
                self.counts["(counts)"] += 1
                lasting = False
            case LogRow():
                return
            case EntryRow(log):
                self.counts[f"(log {log})"] += 1
                lasting = True
        if lasting:
            found = hashlib.sha256(repr(tuple(row)).encode()).digest()
            self.digest = (self.digest + int.from_bytes(found)) % (1 << 256)


async def inventory(store: Copyable, clock: Clock) -> Inventory:
    """Look at everything in a store.

    Raises:
        StoreUnavailable
    """
    found = Inventory()
    now = clock()
    async for rows in store.rows():
        for row in rows:
            found.add(row, now)
    return found


async def is_empty(store: Copyable) -> bool:
    async for rows in store.rows():
        if rows:
            return False
    return True


async def copy(source: Copyable, target: Copyable, clock: Clock) -> Inventory:
    """Write all of one store into another one, which is empty.

    Returns:
        What was read. It is in the target once `inventory` of both gives that again: a source
        that gateways still write to gives something else.

    Raises:
        StoreUnavailable
    """
    found = Inventory()
    now = clock()
    async for rows in source.rows():
        for row in rows:
            found.add(row, now)
        for log in (row for row in rows if isinstance(row, LogRow)):
            await target.begin_log(log.log, log.after)
        steps = [step for row in rows if (step := _step(row)) is not None]
        for at in range(0, len(steps), _AT_ONCE):
            some = steps[at : at + _AT_ONCE]
            if len(await target.transact(some)) < len(some):
                raise StoreUnavailable("the target is not empty, or a log has a gap")
        await target.add_counts([row for row in rows if isinstance(row, CountRow)])
    return found


def _step(row: Row) -> Put | Append | None:
    match row:
        case RecordRow(key, value, expires):
            return Put(key, value, expires)
        case EntryRow(log, number, entry):
            return Append(log, entry, number - 1)
        case _:
            return None
