"""Who has no second factor: the question of an administrator before one is required."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.accounts.repository import Accounts
from gateway.core.errors import Refusal
from gateway.core.user_id import user_id


@dataclass(frozen=True, slots=True)
class Lacking:
    """Somebody without a second factor.

    seen: has logged in here, or was invited. invited_until: 0 for no live invitation.
    """

    user: str
    seen: bool
    invited_until: float = 0.0


async def lacking(accounts: Accounts, names: Iterable[str], *, now: float) -> tuple[Lacking, ...]:
    """Everybody without a factor, by name.

    Args:
        names: the index server's users, as far as it tells; those with an account here are
            looked at in any case. Who was removed is left out.
    """
    people = {id_or_name(name): name for name in names}
    for known in await accounts.ids():
        people.setdefault(known, known)
    found = []
    for id, name in sorted(people.items()):
        account = await accounts.get(id)
        if account is None:
            found.append(Lacking(name, seen=False))
        elif not account.protected and not account.removed:
            invitation = account.invitation
            live = invitation.expires if invitation and invitation.expires > now else 0.0
            found.append(Lacking(account.user, seen=True, invited_until=live))
    return tuple(found)


def id_or_name(name: str) -> str:
    """What two spellings of one person's name have in common."""
    try:
        return user_id(name)
    except Refusal:  # nobody can log in here by that name, which is worth a line, too
        return name
