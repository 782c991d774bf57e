"""Sessions: what a browser holds after a login is complete.

The cookie names the record and carries the part that opens the upstream credential sealed in
it. An id lives until the next step up, so a session that was fixed or overheard before is not
the one that comes after.

A record outlives its session for a while, so that the end of each is recorded, by whom or what
ever it came (`sweep`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.core.accounts.repository import Accounts
from gateway.core.audit.events import AuditSink, Event, Origin
from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.crypto.signing import Tickets, token
from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import BY_DEVICE, FlowLimits, Held, Session
from gateway.core.login.sealing import seal, unseal
from gateway.core.store import ItemsOf, Key, Put, Record, Store
from gateway.core.upstream import Credential
from gateway.core.wording import in_words

LINGER: Final = 86400.0
"""Seconds a record stays after its end, at most."""
IDLE: Final = "not used for too long"
OVER: Final = "its time was over"
CHANGED: Final = "a factor or the password changed"
CROWDED: Final = "more sessions than allowed"

_TOUCH: Final = 60  # seconds between two writes of "last seen"
_PURPOSE: Final = "session"


class Opening(NamedTuple):
    """A session about to be opened: the cookie's value, its record, and itself."""

    cookie: str
    record: Put
    session: Session


class Sessions:
    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        accounts: Accounts,
        clock: Clock,
        random: Random,
        limits: FlowLimits,
        audit: AuditSink,
    ) -> None:
        self._store = store
        self._ring = ring
        self._accounts = accounts
        self._clock = clock
        self._random = random
        self._limits = limits
        self._audit = audit
        self._tickets = Tickets(ring, clock, "session", limits.absolute)

    def opening(
        self,
        user: str,
        user_id: str,
        origin: Origin,
        *,
        epoch: int,
        proved_at: float,
        factor: str,
        upstream: Credential | None,
        holds: tuple[str, ...] = (),
        created: float | None = None,
    ) -> Opening:
        """A new session, not written yet. Once it is, `opened` has to know."""
        now = self._clock()
        session = Session(
            id=token(self._random),
            user=user,
            user_id=user_id,
            proved_at=proved_at,
            factor=factor,
            created=now if created is None else created,
            last_seen=now,
            upstream=upstream,
            epoch=epoch,
            address=origin.address,
            user_agent=origin.user_agent,
            holds=holds,
        )
        part = token(self._random, 32)
        held = Held(session=upstream)
        sealed = seal(self._ring, _PURPOSE, _identity(user_id, session.id), part, held)
        expires = self._expires(session.created, now) + LINGER
        record = Put(_key(session), _dump(session, sealed), expires)
        return Opening(self._tickets.make(user_id, session.id, part), record, session)

    async def opened(self, opening: Opening) -> None:
        """Beyond the limit the longest unused ends."""
        session = opening.session
        await self.sweep(session.user_id, keep=session.id, epoch=session.epoch)

    def named(self, cookie: str) -> str:
        """Whose session a cookie was made for, whether or not it still lives; "" for nobody's."""
        parts = self._tickets.read(cookie) if cookie else None
        return parts[0] if parts is not None and len(parts) == 3 else ""

    async def get(self, cookie: str) -> Session | None:
        """The live session behind a cookie, or None."""
        parts = self._tickets.read(cookie) if cookie else None
        if parts is None or len(parts) != 3:
            return None
        user_id, id, part = parts
        key = Key("session", user_id, id)
        record = await self._store.get(key)
        if record is None:
            return None
        session, sealed = _load(user_id, id, record.value)
        if not await self._alive(session):
            return None
        try:
            held = unseal(self._ring, _PURPOSE, _identity(user_id, id), part, sealed)
        except SealBroken:
            return None
        await self._touch(key, record, session, sealed)
        return replace(session, upstream=held.session)

    def is_fresh(self, session: Session, *, within: float | None = None) -> bool:
        """Whether a second factor was shown on it within `limits.step_up`, or so many seconds."""
        allowed = self._limits.step_up if within is None else within
        return self._clock() - session.proved_at <= allowed and session.factor != BY_DEVICE

    def check_fresh(self, session: Session, *, within: float | None = None) -> None:
        """Raises Refusal `step_up_required` where the proof of a session is too old for changes,
        or none was shown: a remembered device brings that of an earlier login."""
        if not self.is_fresh(session, within=within):
            raise Refusal(Slug.STEP_UP_REQUIRED, max_age=in_words(self._limits.step_up))

    async def replace(
        self, session: Session, *, proved_at: float, factor: str, epoch: int
    ) -> Opening | None:
        """The same session under a new id; None where it ended meanwhile."""
        if not await self._store.delete(_key(session)):
            return None
        opening = self.opening(
            session.user,
            session.user_id,
            Origin(address=session.address, user_agent=session.user_agent),
            epoch=epoch,
            proved_at=proved_at,
            factor=factor,
            upstream=session.upstream,
            holds=session.holds,
            created=session.created,
        )
        await self._store.transact([opening.record])
        await self.opened(opening)
        return opening

    async def end(self, user_id: str, id: str) -> bool:
        return await self._store.delete(Key("session", user_id, id))

    async def of(self, user_id: str) -> list[Session]:
        """The live sessions of a person, last used first, without upstream credentials."""
        items = await self._store.items("session", user_id)
        found = [_load(user_id, name, record.value)[0] for name, record in items]
        epoch = await self._accounts.epoch(user_id) if found else 0
        now = self._clock()
        live = [one for one in found if one.epoch == epoch and self._in_time(one, now)]
        return sorted(live, key=lambda one: one.last_seen, reverse=True)

    async def stored(self, ids: Sequence[str]) -> ItemsOf:
        """What the store has of at most a page of people; `counted` tells how many are live."""
        return await self._store.items_of("session", ids)

    def counted(self, found: ItemsOf, epochs: Mapping[str, int]) -> dict[str, int]:
        """How many are live, by people, whose epochs these are."""
        now, counts = self._clock(), dict.fromkeys(found, 0)
        for user_id, items in found.items():
            for _, record in items:
                data = json.loads(record.value.decode())
                live = now < self._expires(data["created"], data["seen"])
                counts[user_id] += live and data["epoch"] == epochs.get(user_id)
        return counts

    async def sweep(
        self, user_id: str, *, keep: str = "", epoch: int | None = None, changed: str = CHANGED
    ) -> None:
        """End what is over, and the longest unused beyond the limit; record each.

        Args:
            keep: the id of one that is not too many.
            epoch: the person's, where it was just read.
            changed: why those of an earlier epoch ended.
        """
        items = await self._store.items("session", user_id)
        found = [_load(user_id, name, record.value)[0] for name, record in items]
        if epoch is None:
            epoch = await self._accounts.epoch(user_id) if found else 0
        reasons = [(one, changed if one.epoch < epoch else self._over(one, epoch)) for one in found]
        live = sorted((one for one, why in reasons if not why), key=lambda one: one.last_seen)
        crowd = [one for one in live if one.id != keep][: max(0, len(live) - self._limits.sessions)]
        ended = [(one, why) for one, why in reasons if why] + [(one, CROWDED) for one in crowd]
        for one, why in ended:
            if await self.end(user_id, one.id):
                origin = Origin(address=one.address, user_agent=one.user_agent)
                await self._audit.record(Event.SESSION_ENDED, user_id, origin, detail=why)

    def _over(self, session: Session, epoch: int) -> str:
        """Why a session is over, "" while it is not."""
        if session.epoch < epoch:
            return CHANGED
        now = self._clock()
        if self._in_time(session, now):
            return ""
        return OVER if now >= session.created + self._limits.absolute else IDLE

    async def _alive(self, session: Session) -> bool:
        if not self._in_time(session, self._clock()):
            return False
        return session.epoch == await self._accounts.epoch(session.user_id)

    def _in_time(self, session: Session, now: float) -> bool:
        return now < self._expires(session.created, session.last_seen)

    def _expires(self, created: float, seen: float) -> float:
        return min(created + self._limits.absolute, seen + self._limits.idle)

    async def _touch(self, key: Key, record: Record, session: Session, sealed: str) -> None:
        now = self._clock()
        if now - session.last_seen < _TOUCH:
            return
        # Lost against another request of the same session: that one has written it.
        await self._store.put(
            key,
            _dump(session, sealed, seen=now),
            expires=self._expires(session.created, now) + LINGER,
            if_version=record.version,
        )


def _key(session: Session) -> Key:
    return Key("session", session.user_id, session.id)


def _identity(user_id: str, id: str) -> str:
    return f"{id}/{user_id}"


def _dump(session: Session, sealed: str, *, seen: float | None = None) -> bytes:
    data = {
        "user": session.user,
        "epoch": session.epoch,
        "created": session.created,
        "seen": session.last_seen if seen is None else seen,
        "proved": session.proved_at,
        "factor": session.factor,
        "address": session.address,
        "agent": session.user_agent,
        "holds": session.holds,
        "sealed": sealed,
    }
    return json.dumps(data, separators=(",", ":")).encode()


def _load(user_id: str, id: str, value: bytes) -> tuple[Session, str]:
    data = json.loads(value.decode())
    session = Session(
        id=id,
        user=data["user"],
        user_id=user_id,
        proved_at=data["proved"],
        factor=data["factor"],
        created=data["created"],
        last_seen=data["seen"],
        epoch=data["epoch"],
        address=data["address"],
        user_agent=data["agent"],
        holds=tuple(data["holds"]),
    )
    return session, data["sealed"]
