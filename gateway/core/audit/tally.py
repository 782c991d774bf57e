"""How many events of which kind there were on each day: counted once and kept beside the trail.

One record says what was counted and up to which entry; each look goes on from there. It carries a
keyed hash, and the hash of the entry it ends with: where that is no longer in the trail (another
store, a backup), all is counted anew. Knows the log.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from gateway.core.audit.entry import NotAuthentic, parse
from gateway.core.audit.events import Event
from gateway.core.audit.finding import first_at
from gateway.core.audit.trail import LOG, Trail
from gateway.core.phrases import Phrase, _
from gateway.core.store import PAGE, Key

TALLY: Final = Key("audit", "", "tally")
DAYS: Final = 30
_PURPOSE: Final = "audit tally"
_EVENT: Final = b',"event":"'


@dataclass(frozen=True, slots=True)
class Series:
    """Events that are counted together. words: what they are called."""

    words: Phrase
    events: frozenset[str]


def _series(words: Phrase, *events: str) -> Series:
    return Series(words, frozenset(events))


KINDS: Final[Mapping[str, Series]] = MappingProxyType(
    {
        "logins": _series(_("Logins"), Event.LOGIN, Event.LOGIN_WITHOUT_FACTOR),
        "refusals": _series(
            _("Refusals"),
            Event.FACTOR_REFUSED,
            Event.THROTTLED,
            Event.GUARDED_REFUSED,
            Event.TOKEN_REFUSED,
            Event.UPLOAD_REFUSED,
            Event.PUBLISHER_REFUSED,
            Event.COMMAND_LINE_DENIED,
        ),
        "uploads": _series(_("Uploads"), Event.UPLOAD),
    }
)
"""What is drawn."""


@dataclass(frozen=True, slots=True)
class Day:
    """date: ISO 8601, in UTC. counts: by the names of events."""

    date: str
    counts: Mapping[str, int]

    def of(self, kind: str) -> int:
        return sum(self.counts.get(one, 0) for one in KINDS[kind].events)


@dataclass(slots=True)
class _Counted:
    """upto, mac: number and hash of the last entry that was counted."""

    upto: int = 0
    mac: str = ""
    days: dict[str, Counter[str]] = field(default_factory=dict)


async def daily(trail: Trail, now: float, days: int = DAYS) -> list[Day]:
    """The last days in UTC, oldest first, today's (so far) among them.

    What was counted is kept, so the next look reads only what is new.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    dates = [(today - timedelta(away)).isoformat() for away in range(days - 1, -1, -1)]
    record = await trail.store.get(TALLY)
    counted = _read(trail, record.value) if record else None
    if counted is None or not await _there(trail, counted):
        midnight = datetime.fromisoformat(dates[0]).replace(tzinfo=UTC).timestamp()
        counted = _Counted(upto=await first_at(trail, midnight) - 1)
    if await _go_on(trail, counted):
        counted.days = {day: found for day, found in counted.days.items() if day >= dates[0]}
        version = record.version if record else 0
        await trail.store.put(TALLY, _written(trail, counted), if_version=version)
    return [Day(date, counted.days.get(date, {})) for date in dates]


async def _there(trail: Trail, counted: _Counted) -> bool:
    """Whether the entry that it ends with is in the trail."""
    page = await trail.store.read(LOG, after=counted.upto - 1, limit=1)
    try:
        return bool(page) and page[0][0] == counted.upto and parse(page[0][1]).mac == counted.mac
    except NotAuthentic:
        return False


async def _go_on(trail: Trail, counted: _Counted) -> bool:
    """Count what is new; whether there was anything."""
    raw = b""
    while page := await trail.store.read(LOG, after=counted.upto, limit=PAGE):
        for counted.upto, raw in page:
            # The spelling of an entry is fixed, and no quotation mark stands within a text.
            begin = raw.find(_EVENT) + len(_EVENT)
            day, event = raw[7:17].decode("ascii", "replace"), raw[begin : raw.find(b'"', begin)]
            counted.days.setdefault(day, Counter())[event.decode("ascii", "replace")] += 1
    if raw:
        try:
            counted.mac = parse(raw).mac
        except NotAuthentic:
            counted.mac = ""  # counted anew by the next look
    return bool(raw)


def _written(trail: Trail, counted: _Counted) -> bytes:
    text = json.dumps([counted.upto, counted.mac, counted.days], sort_keys=True)
    return json.dumps({"counted": text, "mac": trail.ring.digest(_PURPOSE, text)}).encode()


def _read(trail: Trail, raw: bytes) -> _Counted | None:
    """None for a record that no gateway with one of these keys has written."""
    try:
        fields = json.loads(raw)
        text, mac = str(fields["counted"]), str(fields["mac"]).encode("utf-8", "replace")
        wanted = trail.ring.digests(_PURPOSE, text)
        if not any(hmac.compare_digest(one.encode(), mac) for one in wanted):
            return None
        upto, last, days = json.loads(text)
        return _Counted(upto, last, {day: Counter(found) for day, found in days.items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
