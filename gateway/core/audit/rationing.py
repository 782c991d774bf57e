"""How much of one thing the audit trail takes.

What takes a second factor, an administrator's command or a change of an account is recorded
each time. What somebody can cause at will without one is rationed here, so that nobody fills the
store or buries something under a thousand lines; wrong second factors are limited where they
are judged (`gateway.core.throttle.limits`). Beyond a limit one entry, `not_recorded`, says so.

Every share has a scope of its own, and a claimed name counts apart from a proven one (a refusal
that takes a proof has another slug), so who floods one scope hides only in that one.
Knows the store and the clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.core.audit.events import Event, Origin
from gateway.core.clock import Clock
from gateway.core.store import Count, Key, Store
from gateway.core.throttle.limits import Tier, network
from gateway.core.wording import in_words

_HOUR: Final = 3600
_DAY: Final = 86400


class Ration(NamedTuple):
    """How many entries of an event at most, by whom they are about and where they came from.

    here: one person from one network. person, place, all: over all networks, all people, both;
    None for no such limit.
    """

    here: Tier
    person: Tier
    place: Tier | None = None
    all: Tier | None = None


_STRANGERS: Final = Ration(Tier(20, _HOUR), Tier(100, _DAY), Tier(100, _DAY), Tier(2000, _DAY))
# With the password only, but a whole company may come from one network.
_PASSWORD: Final = Ration(Tier(60, _HOUR), Tier(300, _DAY))
# Two entries for a person, an index and a day.
_COUNTED: Final = Ration(Tier(100, _DAY), Tier(100, _DAY), Tier(500, _DAY), Tier(2000, _DAY))

RATIONS: Final = MappingProxyType(
    {
        Event.GUARDED_REFUSED: _STRANGERS,
        Event.THROTTLED: _STRANGERS,
        Event.TOKEN_REFUSED: _STRANGERS,
        Event.PUBLISHER_REFUSED: _STRANGERS,
        Event.UPLOAD_REFUSED: _STRANGERS,
        Event.UPLOAD_FAILED: _STRANGERS,
        Event.LEAK_REPORT_REFUSED: _STRANGERS,
        Event.LOGIN_WITHOUT_FACTOR: _PASSWORD,
        Event.SESSION_ENDED: _PASSWORD,
        Event.UPLOAD_BY_PASSWORD: _COUNTED,
    }
)


class Rations:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store: Final = store
        self._clock: Final = clock

    async def spent(
        self, event: Event, user: str, origin: Origin, detail: str
    ) -> tuple[str | None, list[Count]]:
        """Whether an entry is one too many.

        Returns:
            None: record it, and count it by these steps. Else do not; a text is what to record
            instead, once.
        """
        ration = RATIONS.get(event)
        if ration is None:
            return None, []
        what = f"{event} {detail}" if event is Event.GUARDED_REFUSED else str(event)
        shares = list(_shares(ration, what, user, _place(origin)))
        # Only read here: what is refused at will shall cost no write.
        counted = await self._store.transact([Count(key, tier.window, 0) for key, tier in shares])
        for (key, tier), count in zip(shares, counted, strict=True):
            if count >= tier.limit:
                return await self._say(key, tier, event), []
        return None, [Count(key, tier.window) for key, tier in shares]

    async def _say(self, key: Key, tier: Tier, event: Event) -> str:
        said = Key("told", "", key.name)
        now = self._clock()
        if await self._store.get(said) or not await self._store.claim(
            said, expires=now + tier.window
        ):
            return ""
        return f"more than {tier.limit} of {event} in {in_words(tier.window)}: the rest is left out"


def _shares(ration: Ration, what: str, user: str, place: str) -> Iterator[tuple[Key, Tier]]:
    yield _key(what, "here", user, place), ration.here
    if user:
        yield _key(what, "person", user), ration.person
    if ration.place is not None:
        yield _key(what, "place", place), ration.place
    if ration.all is not None:
        yield _key(what, "all"), ration.all


def _key(*words: str) -> Key:
    return Key("audit-ration", "", "/".join(words))


def _place(origin: Origin) -> str:
    try:
        return network(ip_address(origin.address))
    except ValueError:
        return ""
