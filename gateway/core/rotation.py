"""Bringing what is sealed in accounts under the active key after a rotation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.core.accounts.factor import Factor, Sealing
from gateway.core.accounts.records import Account
from gateway.core.accounts.repository import Accounts


@dataclass(frozen=True, slots=True)
class Resealed:
    """accounts: looked at. changed: had something under an older key."""

    accounts: int
    changed: int


async def reseal(accounts: Accounts, factors: Mapping[str, Factor], *, now: float) -> Resealed:
    """Seal every secret of every account under the active key.

    May be cut off and done again at any time, and done beside running gateways: each account
    is one conditional write. What lives shorter than a session (pending logins, sessions,
    remembered devices) is sealed with a part that only cookies have, and stays readable under
    the older keys, which are kept.

    Raises:
        SealBroken: a secret that none of the keys opens.
    """
    sealing = [factor for factor in factors.values() if isinstance(factor, Sealing)]
    ids = await accounts.ids()
    changed = 0
    for user_id in ids:
        account = await accounts.get(user_id)
        if account is None or _fresh(sealing, account) == account:
            continue

        def work(present: Account) -> tuple[Account, None]:
            return _fresh(sealing, present), None

        await accounts.change(user_id, account.user, work, now=now)
        changed += 1
    return Resealed(len(ids), changed)


def _fresh(sealing: Iterable[Sealing], account: Account) -> Account:
    for factor in sealing:
        account = factor.resealed(account)
    return account
