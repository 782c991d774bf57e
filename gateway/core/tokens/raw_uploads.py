"""Who still uploads in ways that a rule of policy `token` would refuse, were it enforced.

Counted per person, index and day (UTC), so that a job which uploads all day leaves one record and
two entries in the trail: the first of a day at once, and how many there were once it is over.
Knows the store and the trail; knows no request.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gateway.core.audit.events import AuditSink, Event, Origin
from gateway.core.clock import Clock
from gateway.core.store import PAGE, Count, Key, Put, Store, StoreUnavailable

DAYS: Final = 30
"""For so many days `check --uploads` looks back."""
MOST_A_DAY: Final = 2000
"""Records of one day: where the index lets strangers upload, anybody makes up names."""

_DAY: Final = 86400
_KEPT: Final = (DAYS + 2) * _DAY
_ROUNDS: Final = 50
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class RawUpload:
    """Uploads of one person to one index in one day.

    user: a user id, "" where nobody was named, or more than one.
    index: USER/INDEX, "" where there is one alone.
    carried: what came with the last one: "password", "index_token" (one of the index's own, made
        without a second factor) or "nothing". slug: of the refusal it would have met by the rule.
    day: since the epoch. first, last: seconds since the epoch. told: the trail has the count.
    """

    user: str
    index: str
    day: int
    count: int
    first: float
    last: float
    address: str
    client: str
    rule: str
    carried: str
    slug: str
    told: bool = False

    def plus(self, other: RawUpload) -> RawUpload:
        """Both together, the later one's circumstances with them."""
        first, last = (self, other) if other.last >= self.last else (other, self)
        count = self.count + other.count
        return replace(last, count=count, first=min(first.first, last.first), told=False)


def day_of(moment: float) -> int:
    return int(moment // _DAY)


class RawUploadLedger:
    """Every method may raise StoreUnavailable."""

    def __init__(self, store: Store, audit: AuditSink, clock: Clock) -> None:
        self._store: Final = store
        self._audit: Final = audit
        self._clock: Final = clock

    async def add(self, seen: RawUpload) -> None:
        """Count what was seen since the last time."""
        key = _key(seen)
        for _ in range(_ROUNDS):
            record = await self._store.get(key)
            if record is None:
                if await self._begun(key, seen):
                    return
            elif await self._store.put(
                key,
                _dump(_load(record.value).plus(seen)),
                expires=_until(seen),
                if_version=record.version,
            ):
                return
        raise StoreUnavailable("a count moves on faster than it can be written")

    async def _begun(self, key: Key, seen: RawUpload) -> bool:
        begun = Count(Key("raw-uploads", "", str(seen.day)), _DAY)
        [today] = await self._store.transact([begun])
        if today > MOST_A_DAY:
            return True
        made = Put(key, _dump(seen), _until(seen), if_version=0)
        detail = f"{_place(seen)} with {_with(seen)}: the first of the day ({seen.slug})"
        done = await self._audit.record(
            Event.UPLOAD_BY_PASSWORD, seen.user, _origin(seen), detail=detail, first=(made,)
        )
        return done is not None

    async def close_days(self) -> None:
        """Tell the trail how many there were on days that are over."""
        today = day_of(self._clock())
        async for key, value, version in self._all():
            seen = _load(value)
            if seen.told or seen.day >= today:
                continue
            told = Put(key, _dump(replace(seen, told=True)), _until(seen), if_version=version)
            detail = f"{_place(seen)} with {_with(seen)}: {seen.count} on {_date(seen.day)}"
            await self._audit.record(
                Event.UPLOAD_BY_PASSWORD, seen.user, _origin(seen), detail=detail, first=(told,)
            )

    async def begin(self, rules: Iterable[str]) -> None:
        """Remember since when these rules are counted for; of others it is forgotten."""
        wanted = set(rules)
        for name in await self._store.names("raw-upload-since", ""):
            if name not in wanted:
                await self._store.delete(Key("raw-upload-since", "", name))
        for name in wanted:
            value = str(self._clock()).encode()
            await self._store.put(Key("raw-upload-since", "", name), value, if_version=0)

    async def since(self, rules: Iterable[str]) -> float | None:
        """Since when all of these rules are counted for; None where one is not yet."""
        found = await self._store.get_many([Key("raw-upload-since", "", name) for name in rules])
        times = [float(record.value) for record in found if record is not None]
        return max(times) if times and len(times) == len(found) else None

    async def of_late(self) -> list[RawUpload]:
        """What was seen in the last `DAYS` days, one for each person and index; the most first."""
        oldest = day_of(self._clock()) - DAYS
        found: dict[tuple[str, str], RawUpload] = {}
        async for _, value, _ in self._all():
            seen = _load(value)
            if seen.day > oldest:
                who = seen.user, seen.index
                found[who] = found[who].plus(seen) if who in found else seen
        return sorted(found.values(), key=lambda one: (-one.count, one.user, one.index))

    async def _all(self) -> AsyncIterator[tuple[Key, bytes, int]]:
        after: str | None = None
        while names := await self._store.names("raw-upload", "", after=after, limit=PAGE):
            keys = [Key("raw-upload", "", name) for name in names]
            for key, record in zip(keys, await self._store.get_many(keys), strict=True):
                if record is not None:
                    yield key, record.value, record.version
            after = names[-1]


def _key(seen: RawUpload) -> Key:
    return Key("raw-upload", "", f"{seen.day}|{seen.user}|{seen.index}")


def _until(seen: RawUpload) -> float:
    return seen.day * _DAY + _KEPT


def _place(seen: RawUpload) -> str:
    return f"upload to {seen.index}" if seen.index else "upload"


def _with(seen: RawUpload) -> str:
    return {"password": "a password", "index_token": "a token made without a second factor"}.get(
        seen.carried, "no credential"
    )


def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * _DAY, UTC):%Y-%m-%d}"


def _origin(seen: RawUpload) -> Origin:
    return Origin(seen.address, seen.client, rule=seen.rule)


def _dump(seen: RawUpload) -> bytes:
    return json.dumps({**asdict(seen), "format": _FORMAT}, separators=(",", ":")).encode()


def _load(value: bytes) -> RawUpload:
    data = json.loads(value)
    if data.pop("format") != _FORMAT:
        raise StoreUnavailable("a count was stored by a later version of the gateway")
    return RawUpload(**data)
