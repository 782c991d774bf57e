"""The emergency stop: what of the index is stopped, until when and why.

All of it is one record of the store, which every process looks at twice a second, so that nothing
is asked while a request waits. While the store is away what was seen last stays in force, until
its end. Knows the store and the clock; what a request is about, its callers know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from gateway.core.clock import Clock
from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import Phrase, _
from gateway.core.store import Key, Store, StoreUnavailable

LOOK_EVERY: Final = 0.5
"""Seconds between two looks of a process."""
LONGEST: Final = 90 * 86400.0
_KEY: Final = Key("freeze", "", "")
_TRIES: Final = 100
_LONGEST_REASON: Final = 200


class Frozen(StrEnum):
    """What is stopped. The last three have a name."""

    ALL = "all"
    UPLOADS = "uploads"
    LOGINS = "logins"
    DELETIONS = "deletions"
    USER = "user"
    PROJECT = "project"
    TOKEN = "token"  # noqa: S105 - the kind of a freeze


NAMED: Final = frozenset({Frozen.USER, Frozen.PROJECT, Frozen.TOKEN})


@dataclass(frozen=True, slots=True)
class Freeze:
    """name: a user id, a normalised project or the id of a token; "" for the others.
    since, until: seconds since the epoch."""

    what: Frozen
    name: str
    since: float
    until: float
    reason: str

    @property
    def key(self) -> str:
        """As the command line writes it: `uploads`, `user:alice`."""
        return f"{self.what}:{self.name}" if self.name else str(self.what)

    @property
    def end(self) -> str:
        return f"{datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%M} UTC"

    def refusal(self, now: float, *, proven: bool = True) -> Refusal:
        """What a client is told.

        Args:
            proven: whoever asks is who they say; a stranger is not told why a person is stopped.
        """
        detail = {"reason": self.reason} if self.reason and (proven or not self.name) else {}
        left = max(1, int(self.until - now + 0.999))
        what = _WORDS[self.what].filled(name=self.name)
        return Refusal(Slug.FROZEN, retry_after=left, what=what, until=self.end, **detail)


_WORDS: Final[dict[Frozen, Phrase]] = {
    Frozen.ALL: _("Uploads, logins and all other changes are stopped here"),
    Frozen.UPLOADS: _("Uploads are stopped here"),
    Frozen.LOGINS: _("Logins are stopped here"),
    Frozen.DELETIONS: _("Deletions are stopped here"),
    Frozen.USER: _("Logins and changes in the name of {name} are stopped"),
    Frozen.PROJECT: _("Uploads and deletions of {name} are stopped"),
    Frozen.TOKEN: _("Uploads and changes with this token are stopped"),
}


class Freezes:
    """One for a process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._all: tuple[Freeze, ...] = ()
        self.known = False
        """Whether the store was asked already."""

    # -- what holds now ------------------------------------------------------------------------

    @property
    def live(self) -> tuple[Freeze, ...]:
        """What was stopped when it was looked at last, and has not ended since."""
        if not self._all:
            return ()
        now = self._clock()
        return tuple(one for one in self._all if one.until > now)

    def first(self, *kinds: Frozen) -> Freeze | None:
        """A freeze of one of these kinds that have no name."""
        return next((one for one in self.live if one.what in kinds), None)

    def of(self, what: Frozen, names: Iterable[str]) -> Freeze | None:
        """A freeze of one of these names."""
        found = frozenset(names) if self._all else frozenset()
        return next((one for one in self.live if one.what is what and one.name in found), None)

    def check(self, freeze: Freeze | None, *, proven: bool = True) -> None:
        """Raises Refusal `frozen`, where there is one."""
        if freeze is not None:
            raise freeze.refusal(self._clock(), proven=proven)

    async def check_login(self, user_id: str = "") -> None:
        """Whether anybody, and this person, may log in now.

        Raises:
            Refusal: `frozen`.
        """
        await self.ensure()
        self.check(self.first(Frozen.ALL, Frozen.LOGINS))
        if user_id:
            self.check(self.of(Frozen.USER, [user_id]))

    async def check_change(self, user_id: str) -> None:
        """Whether a person who is logged in may change something of their own.

        Raises:
            Refusal: `frozen`.
        """
        await self.ensure()
        self.check(self.first(Frozen.ALL))
        self.check(self.of(Frozen.USER, [user_id]))

    async def check_person(self, user_id: str) -> None:
        """Whether an administrator may act on a page: what `all` stops is not theirs, since that is
        how a bad day is ended.

        Raises:
            Refusal: `frozen`.
        """
        await self.ensure()
        self.check(self.of(Frozen.USER, [user_id]))

    # -- looking -------------------------------------------------------------------------------

    async def ensure(self) -> None:
        """Look once, in a process that has not looked yet; it goes on where the store is away."""
        if not self.known:
            try:
                await self.look()
            except StoreUnavailable:
                return

    async def look(self) -> None:
        """Look at the store. Raises StoreUnavailable: what was seen last stays."""
        record = await self._store.get(_KEY)
        self._all = _read(record.value) if record is not None else ()
        self.known = True

    # -- changing ------------------------------------------------------------------------------

    async def put(self, what: Frozen, name: str, *, lasts: float, reason: str) -> Freeze:
        """Stop something; in place of what was said of the same before.

        Raises:
            StoreUnavailable
        """
        now = self._clock()
        plain = "".join(char if char.isprintable() else " " for char in reason).strip()
        made = Freeze(what, name, now, now + min(lasts, LONGEST), plain[:_LONGEST_REASON])
        await self._change(lambda held: (*(one for one in held if one.key != made.key), made))
        return made

    async def lift(self, keys: Iterable[str] | None) -> tuple[Freeze, ...]:
        """Let go on what these keys name, None for all of it; what was lifted.

        Raises:
            StoreUnavailable
        """
        wanted = None if keys is None else frozenset(keys)
        lifted: list[Freeze] = []

        def without(held: tuple[Freeze, ...]) -> tuple[Freeze, ...]:
            lifted[:] = [one for one in held if wanted is None or one.key in wanted]
            return tuple(one for one in held if one not in lifted)

        await self._change(without)
        return tuple(lifted)

    async def _change(self, work: Callable[[tuple[Freeze, ...]], tuple[Freeze, ...]]) -> None:
        for _try in range(_TRIES):
            record = await self._store.get(_KEY)
            now = self._clock()
            held = _read(record.value) if record is not None else ()
            fresh = work(tuple(one for one in held if one.until > now))
            version = 0 if record is None else record.version
            value = json.dumps([asdict(one) for one in fresh]).encode()
            if await self._store.put(_KEY, value, if_version=version) is not None:
                self._all, self.known = fresh, True
                return
        raise StoreUnavailable("what is frozen changes faster than it can be written")


def _read(raw: bytes) -> tuple[Freeze, ...]:
    """Raises StoreUnavailable for what is no such record: what was seen last stays."""
    try:
        return tuple(
            Freeze(
                Frozen(one["what"]),
                str(one["name"]),
                float(one["since"]),
                float(one["until"]),
                str(one["reason"]),
            )
            for one in json.loads(raw)
        )
    except (ValueError, KeyError, TypeError) as broken:
        raise StoreUnavailable("what is frozen cannot be read") from broken
