"""People as the pages of administrators list them: a page at a time, however many there are.

A look reads so many records at most and says where it stopped. Knows the services of logins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.core.accounts.records import Account, load
from gateway.core.administration import invited_until
from gateway.core.errors import Refusal, Slug
from gateway.core.login.self_service import FactorRow, SessionRow, factor_rows, session_row
from gateway.core.login.services import Services
from gateway.core.store import PAGE
from gateway.core.user_id import user_id as id_of

SCANNED: Final = 20_000
"""People that one look for those without a factor goes through at most."""
_BARE: Final = b'"totp":[],"webauthn":[]'
"""How the record of somebody without a factor reads (`records.dump`): one without this need not
be taken apart. Nobody can have it in a name, where quotation marks are escaped."""


class RosterRow(NamedTuple):
    """One person. created, enrolled, last_used: 0 for never or unknown. invited_until: 0 for no
    live invitation. invited_only: the factors were reset; nothing but an invitation lets them in.
    wrong_codes: in 30 days, from networks new to the person. epoch: see `Account`."""

    id: str
    user: str
    factors: tuple[FactorRow, ...]
    recovery_left: int
    created: float
    enrolled: float
    last_used: float
    invited_until: float
    invited_only: bool
    wrong_codes: int
    epoch: int

    @property
    def protected(self) -> bool:
        return bool(self.factors)


@dataclass(frozen=True, slots=True)
class RosterPage:
    """after: the name the next page comes behind, "" at the end. looked_at: how many people."""

    rows: tuple[RosterRow, ...]
    after: str
    looked_at: int


@dataclass(frozen=True, slots=True)
class PersonSeen:
    """One person, with where they are logged in. devices: remembered ones. logins: live ones
    without a browser session. tokens: live API tokens."""

    row: RosterRow
    sessions: tuple[SessionRow, ...]
    devices: int
    logins: int
    tokens: int

    @property
    def anywhere(self) -> bool:
        return bool(self.sessions or self.devices or self.logins)


class Roster:
    def __init__(self, services: Services) -> None:
        self._services: Final = services

    async def page(
        self, *, begins: str = "", bare: bool = False, after: str = "", limit: int = 50
    ) -> RosterPage:
        """People by id.

        Args:
            begins: only those whose id begins so.
            bare: only those without a second factor.
            after: where the last page stopped.
        """
        found: list[Account] = []
        looked_at, size = 0, PAGE if bare else limit + 1
        at = after
        ids = [begins] if begins and not after else []
        while looked_at < SCANNED:
            more = await self._services.accounts.ids(after=at or begins, limit=size)
            ids += more
            inside = [id for id in ids if id.startswith(begins)]
            for account in await self._accounts(inside, bare=bare):
                if len(found) == limit:
                    return RosterPage(await self._rows(found), found[-1].id, looked_at)
                found.append(account)
            looked_at += len(inside)
            if len(more) < size or len(inside) < len(ids):
                return RosterPage(await self._rows(found), "", looked_at)
            at, ids = more[-1], []
        return RosterPage(await self._rows(found), at, looked_at)

    async def one(self, user: str) -> PersonSeen:
        """Raises Refusal: `no_such_person`, `unusable_name`."""
        services, user_id = self._services, id_of(user)
        account = await services.accounts.get(user_id)
        if account is None or account.removed:
            raise Refusal(Slug.NO_SUCH_PERSON, user=user)
        (row,) = await self._rows([account])
        sessions = await services.sessions.of(user_id)
        held = {name for one in sessions for name in one.holds}
        logins = await services.credentials.live(user_id, but=held, epoch=account.epoch)
        now = services.clock()
        return PersonSeen(
            row,
            tuple(session_row(one, current=False) for one in sessions),
            len(await services.devices.of(user_id, account.epoch)),
            len(logins),
            sum(one.token.live(now) for one in await services.tokens.of(user_id)),
        )

    async def _accounts(self, ids: Sequence[str], *, bare: bool) -> list[Account]:
        """At most `PAGE` and one of them, without those who were removed."""
        records = [
            record
            for at in range(0, len(ids), PAGE)
            for record in await self._services.accounts.records(ids[at : at + PAGE])
        ]
        found = [load(one.value) for one in records if one and (not bare or _BARE in one.value)]
        return [one for one in found if not one.removed and not (bare and one.protected)]

    async def _rows(self, accounts: Sequence[Account]) -> tuple[RosterRow, ...]:
        tries = await self._services.throttle.tries_of([one.id for one in accounts])
        now = self._services.clock()
        return tuple(_row(one, tries, now) for one in accounts)


def _row(account: Account, tries: Mapping[str, int], now: float) -> RosterRow:
    factors = factor_rows(account)
    return RosterRow(
        account.id,
        account.user,
        factors,
        len(account.recovery.codes),
        account.created,
        account.enrolled,
        max((one.used for one in factors), default=0.0),
        invited_until(account, now),
        account.invited_only,
        tries.get(account.id, 0),
        account.epoch,
    )
