"""The port behind which all state lives. Domain code is written once over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final, NamedTuple, Protocol, TypeAlias

from gateway.core.values import dataclass

PAGE: Final = 1000
"""How many records, names or owners one call is asked for at most."""
SWEPT: Final = frozenset({"device", "session"})
"""Kinds of records whose ends somebody acts on: the only ones that `ending` finds."""


class StoreUnavailable(Exception):
    """The store cannot be reached or does not answer in time; the caller fails closed."""


class Key(NamedTuple):
    """Where a record lives.

    kind: what it is ("user", "session", "credential", …), a constant of the domain code.
    owner: whose it is: a user id, or "" for records that stand alone. Records of one
        (kind, owner) can be listed together, and live in one slot of a Redis Cluster.
    name: which one; "" where an owner has just one.
    """

    kind: str
    owner: str
    name: str


@dataclass(frozen=True, slots=True)
class Record:
    """A stored value with the version that a conditional write names."""

    value: bytes
    version: int


ItemsOf: TypeAlias = Mapping[str, Sequence[tuple[str, Record]]]
"""What `Store.items_of` gives."""


@dataclass(frozen=True, slots=True)
class Put:
    """`Store.put` as a step of `Store.transact`; gives the version."""

    key: Key
    value: bytes = field(repr=False)
    expires: float | None = None
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """`Store.delete` as a step; holds where this removed a record, and gives 1."""

    key: Key
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """Writes nothing; holds where a record has that version (0: there is none), and gives it."""

    key: Key
    version: int


@dataclass(frozen=True, slots=True)
class Count:
    """`Store.count` as a step; always holds, and gives the events in the window."""

    key: Key
    window: float
    add: int = 1


@dataclass(frozen=True, slots=True)
class Append:
    """`Store.append` as a step; gives the number of the entry."""

    log: str
    entry: bytes = field(repr=False)
    after: int | None = None


StoreStep: TypeAlias = Put | Delete | Expect | Count | Append


def writes(step: StoreStep) -> bool:
    """Whether a step may change anything."""
    return not (isinstance(step, Expect) or (isinstance(step, Count) and not step.add))


class Store(Protocol):
    """Small atomic steps over records, counters and append-only logs.

    Times are seconds since the epoch by the clock the store was made with. An expired record
    is never returned, whether or not the backend has removed it yet. Every method raises
    `StoreUnavailable` when the backend fails, and returns only after an acknowledged write. What
    was acknowledged outlives a kill of the gateway, and a power cut too (of Redis: as far as its
    own persistence goes) unless it was put with `durable=False`. What is read may not be
    acknowledged yet; what is written over it is, with all before it.

    What a call costs, beside the bytes it moves: "a step" is one round trip to Redis, or a read of
    SQLite, which waits for no write: by the event loop itself where only a few rows are looked at
    (`get`, `get_many` of fewer than 20, `transact` and `count` that write nothing, `last`), else by
    its reading thread; "a write" is one round trip, or a transaction of SQLite and a share in the
    next fsync of its log. Nothing but `ending` looks at more records than it was asked for.
    """

    async def get(self, key: Key) -> Record | None:
        """Cost: a step; a second one on Redis where there is no such record."""
        ...

    async def get_many(self, keys: Sequence[Key]) -> list[Record | None]:
        """The records of at most `PAGE` keys, each as it is at some moment of the call.

        Cost: a step for all; on a Redis Cluster a command for each key, sent together.
        """
        ...

    async def transact(self, steps: Sequence[StoreStep]) -> list[int]:
        """Several steps for the price of one, in this order.

        They do what calls one after another would do that end at the first which does not hold:
        it changes nothing, those before it stay done, those behind it are not begun. SQLite and
        one Redis carry them out as one transaction; in a Cluster others may come in between
        where two steps are about different owners, and an outage may leave only the first done.
        So put what may stand alone before what may not.

        Returns:
            What each step gave that was done: fewer than `steps` where one did not hold.

        Cost: a write, whatever the steps are, and a step where none of them writes; on a Redis
        Cluster a write for each run of neighbours with one owner.
        """
        ...

    async def put(
        self,
        key: Key,
        value: bytes,
        *,
        expires: float | None = None,
        if_version: int | None = None,
        durable: bool = True,
    ) -> int | None:
        """Write a record in one atomic step.

        Args:
            expires: when it ends; None for never.
            if_version: write only over this version; 0 writes only where nothing is;
                None writes in any case.
            durable: False for what a power cut may take back, the last seconds of it: the next
                durable write saves what came before it, too.

        Returns:
            The new version (above every earlier one of this key), or None when
            `if_version` did not hold and nothing was written.

        Cost: a write; two on a Redis Cluster for the `SWEPT` kinds. Where it need not be durable,
        SQLite waits for no fsync.
        """
        ...

    async def delete(self, key: Key, *, if_version: int | None = None) -> bool:
        """Remove a record; True if this call removed it (so one of many callers wins).

        Cost: a write.
        """
        ...

    async def claim(self, key: Key, *, expires: float) -> bool:
        """Put an empty record where none is; True for exactly one caller until it expires.

        Cost: a write.
        """
        ...

    async def items(self, kind: str, owner: str) -> list[tuple[str, Record]]:
        """The live records of one (kind, owner), by name.

        Cost: a step, two on Redis, and all of them at once: not for lists that grow with people.
        """
        ...

    async def items_of(
        self, kind: str, owners: Sequence[str]
    ) -> dict[str, list[tuple[str, Record]]]:
        """`items` of at most `PAGE` owners; those who have none are left out.

        Cost: a step, two on Redis; on a Redis Cluster a command for each owner and for each
        record, sent together.
        """
        ...

    async def names(
        self, kind: str, owner: str, *, after: str | None = None, limit: int = PAGE
    ) -> list[str]:
        """A page of the names of one (kind, owner), in order, from the first one above `after`.

        Cost: a step, two on Redis, for as many names as are returned. Where some of these
        records expire, Redis reads all the names for each page.
        """
        ...

    async def ending(
        self, kind: str, *, before: float, after: str = "", limit: int = PAGE
    ) -> tuple[list[str], str]:
        """Who has live records, of a kind in `SWEPT`, that end by a moment; soonest first.

        Args:
            before: seconds since the epoch; that moment included.
            after: where the last page stopped, "" for the first one.

        Returns:
            Owners, at most `limit` (none, perhaps, though more follow, and one twice who has
            several such records), and where to go on, "" at the end.

        Cost: a step for what is due, whoever else has records. On Redis a few steps, a command
        for each owner sent together; and twice a day it looks at the names of all keys for
        owners that an older version, or a crash between two writes, left out.
        """
        ...

    async def count(self, key: Key, *, window: float, add: int = 1) -> int:
        """Add to a sliding-window counter and read it in one atomic step.

        Returns:
            Events in the last `window` seconds, those just added included. `add=0` only
            reads. Events may be summed in buckets of at least window / 60.

        Cost: a write; a step with `add=0`. At most 62 buckets are read.
        """
        ...

    async def append(self, log: str, entry: bytes, *, after: int | None = None) -> int | None:
        """Append to a log atomically.

        Args:
            after: append only if this is the number of the last entry (0 for an empty log);
                None appends in any case.

        Returns:
            The number of the new entry (1, 2, 3, … without gaps), or None when `after`
            did not hold.

        Cost: a write.
        """
        ...

    async def read(self, log: str, *, after: int = 0, limit: int = 1000) -> list[tuple[int, bytes]]:
        """Entries of a log with a number above `after`, oldest first.

        Cost: a step, for what is returned.
        """
        ...

    async def last(self, log: str) -> tuple[int, bytes] | None:
        """The newest entry of a log. Cost: a step."""
        ...

    async def trim(self, log: str, *, upto: int) -> None:
        """Remove the entries numbered up to `upto`; numbers go on.

        Cost: a write that grows with what it removes.
        """
        ...

    async def warnings(self) -> list[str]:
        """What an administrator should know, one sentence each (persistence off, say)."""
        ...

    async def close(self) -> None: ...
