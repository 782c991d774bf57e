"""What an administrator does for people: enrol, invite, reset, unlock, look.

Used by the command line, on the machine that has the store and the keys, and by the pages of
administrators.

Who has no second factor: the question of an administrator before one is required.

Bringing what is sealed in accounts under the active key after a rotation.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from gateway.core.accounts.factor import Adoptable, Factor, Issuable, Sealing
from gateway.core.accounts.records import (
    Account,
    Invitation,
    Recovery,
    decoded,
    load,
    usable_label,
)
from gateway.core.accounts.repository import Accounts
from gateway.core.audit.events import Event, Origin
from gateway.core.crypto.signing import token
from gateway.core.errors import Refusal, Slug
from gateway.core.login.browser import invitation_digest
from gateway.core.login.self_service import FactorRow
from gateway.core.login.services import Services
from gateway.core.notices.events import Notice
from gateway.core.publishing.accounts import PublisherAccounts
from gateway.core.store import PAGE, ItemsOf, Record, StoreUnavailable
from gateway.core.urls import INVITE
from gateway.core.user_id import user_id as id_of

_ORIGIN = Origin(user_agent="index-gateway user")
BY_ADMIN: Final = "ended by the administrator"
_AHEAD: Final = 2  # pages of people that are asked for while one is worked on
_AT_ONCE: Final = 64  # writes that share a transaction of SQLite

T = TypeVar("T")


class Person(NamedTuple):
    """One account, as an administrator sees it.

    wrong_codes: in the last 30 days, from networks new to the person. invited_until: 0 for no
    live invitation. sessions, devices: live ones. enrolled, last_used: 0 for never.
    """

    id: str
    user: str
    factors: tuple[FactorRow, ...]
    recovery_left: int
    enrolled: float
    last_used: float
    wrong_codes: int
    invited_until: float
    sessions: int = 0
    devices: int = 0

    @property
    def protected(self) -> bool:
        return bool(self.factors)


@dataclass(frozen=True, slots=True)
class NewFactor:
    """What `enrol` hands out, once."""

    uri: str = field(repr=False)
    secret: str = field(repr=False)
    codes: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewInvitation:
    link: str = field(repr=False)
    expires: float


@dataclass(frozen=True, slots=True)
class Reset:
    """gone: how many factors there were. invitation: the only way in from now on."""

    gone: int
    invitation: NewInvitation


class Admin:
    """Every method may raise Refusal: `unusable_name`, and `no_such_person` where it needs one.

    Args:
        origin: where it is asked from.
        by: the administrator's user id, which stands in the trail; "" for the command line.
    """

    def __init__(self, parts: Services, origin: Origin = _ORIGIN, by: str = "") -> None:
        self._services = parts
        self._origin = origin
        self._by = by

    async def people(self, *, logins: bool = True) -> AsyncIterator[list[Person]]:
        """Everybody who logged in here or was invited, and was not removed since, by id.

        In pages, so that the first come at once and no list of all is kept; the next ones are asked
        for while one is worked on.

        Args:
            logins: count sessions and devices; else they are 0.
        """
        asked = deque[asyncio.Future[_Seen]]()
        try:
            async for ids in self._services.accounts.pages():
                asked.append(self._look(ids, logins=logins))
                if len(asked) > _AHEAD:
                    yield self._persons(await asked.popleft())
            while asked:
                yield self._persons(await asked.popleft())
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def show(self, user: str) -> Person:
        account = await self._known(user)
        (person,) = self._persons(await self._look([account.id], logins=True))
        return person

    async def enrol(self, user: str, device: str = "phone") -> NewFactor:
        """Give somebody a TOTP secret and recovery codes, in force at once.

        Raises:
            Refusal: `already_enrolled`, `unusable_label`.
        """
        user_id, now = id_of(user), self._services.clock()
        totp, recovery = self._services.factors["totp"], self._services.factors["recovery"]
        assert isinstance(totp, Adoptable)
        assert isinstance(recovery, Issuable)
        account = await self._services.accounts.get(user_id) or Account(user_id, user)
        label = usable_label(device, ())
        offer = totp.offer(account, label, self._services.random)
        added = totp.adopt(account, label, offer.state, now=now, id=token(self._services.random, 9))
        codes = recovery.issue(user_id, self._services.random)

        def work(present: Account) -> tuple[Account, None]:
            if present.protected:
                raise Refusal(Slug.ALREADY_ENROLLED, user=user)
            changed = replace(
                present.bumped().with_device(added),
                recovery=Recovery(recovery.digests(user_id, codes), now),
                invitation=None,
                invited_only=False,
                enrolled=present.enrolled or now,
            )
            return changed, None

        await self._services.accounts.change(user_id, user, work, now=now)
        await self._services.sweep(user_id)
        await self._record(Event.ENROLLED, user_id, f"totp {label}")
        await self._record(Event.RECOVERY_CODES_MADE, user_id)
        return NewFactor(offer.shown, offer.state, codes)

    async def invite(self, user: str, reason: str = "") -> NewInvitation:
        """A link with which this person may set up the first factor; an earlier one is void.

        Raises:
            Refusal: `already_enrolled`.
        """
        user_id = id_of(user)
        invitation, made = await self._invitation(user_id)

        def work(account: Account) -> tuple[Account, None]:
            if account.protected:
                raise Refusal(Slug.ALREADY_ENROLLED, user=user)
            return replace(account, invitation=invitation), None

        await self._services.accounts.change(user_id, user, work, now=self._services.clock())
        await self._record(Event.INVITED, user_id, why=reason)
        await self._tell(Notice.INVITED, user_id, reason)
        return made

    async def reset(self, user: str, reason: str, *, seen: int | None = None) -> Reset:
        """Take away every factor of a person who has lost them, and invite to set up another.

        Sessions, remembered devices, verified credentials and API tokens end with them. From the
        same write on nothing but the invitation, this one or a later, lets the person in: somebody
        who tries a stolen password all the time must not be the first to set up a factor.

        Args:
            seen: the account's epoch when it was decided on; None whatever has happened since.

        Raises:
            Refusal: `changed_meanwhile`, by the person or by another administrator.
        """
        known = await self._known(user)
        invitation, made = await self._invitation(known.id)

        def work(account: Account) -> tuple[Account, int]:
            if seen not in (None, account.epoch):
                raise Refusal(Slug.CHANGED_MEANWHILE, user=user)
            return account.bared(invitation), len(account.devices)

        gone = await self._services.accounts.change(
            known.id, user, work, now=self._services.clock()
        )
        await self._services.throttle.forget(known.id)
        await self._services.sweep(known.id)
        await self._services.index_tokens.forget(known.id)
        await self._services.tokens.revoke_all(known.id, self._origin, why="factors reset")
        await self._record(Event.RESET, known.id, why=reason)
        await self._record(Event.INVITED, known.id)
        await self._tell(Notice.RESET, known.id, reason, link=made.link)
        return Reset(gone, made)

    async def end_logins(self, user: str, reason: str) -> None:
        """End everywhere a person is logged in: sessions, remembered devices, verified credentials
        and what command lines were given. Factors and API tokens stay."""
        known = await self._known(user)

        def work(account: Account) -> tuple[Account, None]:
            return account.bumped(), None

        await self._services.accounts.change(known.id, user, work, now=self._services.clock())
        await self._record(Event.LOGINS_ENDED, known.id, why=reason)
        await self._services.sweep(known.id, changed=BY_ADMIN)
        await self._services.index_tokens.forget(known.id)
        await self._services.tokens.end_logins(known.id, self._origin, why=BY_ADMIN)
        await self._tell(Notice.LOGINS_ENDED, known.id, reason)

    async def remove(self, user: str) -> int:
        """Forget a person who has left, though not the audit trail; how many factors there were.

        Whoever comes by that name afterwards needs an invitation, as after a reset.
        """
        known, now = await self._known(user), self._services.clock()

        def work(account: Account) -> tuple[Account, int]:
            return account.forgotten(now), len(account.devices)

        gone = await self._services.accounts.change(known.id, user, work, now=now)
        await self._services.accounts.unlist(known.id, known.handle)
        await self._services.throttle.forget(known.id)
        await self._services.sweep(known.id)
        await self._services.index_tokens.forget(known.id)
        await self._services.tokens.revoke_all(known.id, self._origin, why="person removed")
        await PublisherAccounts(self._services.store, self._services.ring).forget(known.id)
        await self._record(Event.REMOVED, known.id)
        return gone

    async def _invitation(self, user_id: str) -> tuple[Invitation, NewInvitation]:
        """A fresh invitation: what is stored of it, and what the person gets."""
        secret = token(self._services.random)
        expires = self._services.clock() + self._services.limits.invitation
        stored = Invitation(invitation_digest(self._services, user_id, secret), expires)
        await self._services.invitations.remember(secret, user_id, expires)
        return stored, NewInvitation(
            f"{self._services.limits.public_url}{INVITE}/{secret}", expires
        )

    async def unlock(self, user: str, reason: str = "") -> int:
        """Forget a person's wrong codes; how many counts there were."""
        user_id = id_of(user)
        forgotten = await self._services.throttle.forget(user_id)
        await self._record(Event.UNLOCKED, user_id, why=reason)
        if forgotten:
            await self._tell(Notice.UNLOCKED, user_id, reason)
        return forgotten

    async def _known(self, user: str) -> Account:
        account = await self._services.accounts.get(id_of(user))
        if account is None or account.removed:
            raise Refusal(Slug.NO_SUCH_PERSON, user=user)
        return account

    async def _record(self, event: Event, user_id: str, factor: str = "", *, why: str = "") -> None:
        await self._services.audit.record(
            event, user_id, self._origin, factor=factor, detail=self._said(why)
        )

    async def _tell(self, notice: Notice, user_id: str, why: str, *, link: str = "") -> None:
        await self._services.notifier.notify(
            notice, user_id, self._origin, detail=self._said(why), link=link
        )

    def _said(self, why: str) -> str:
        """A reason, behind who it is that gives it, so that no reason looks like another name."""
        if not self._by:
            return why
        return f"by {self._by}: {why}" if why else f"by {self._by}"

    def _look(self, ids: Sequence[str], *, logins: bool) -> asyncio.Future[_Seen]:
        """Ask the store for at most a page of people."""
        services = self._services

        async def nothing() -> ItemsOf:
            return {}

        return asyncio.gather(
            services.accounts.records(ids),
            services.throttle.tries_of(ids),
            services.sessions.stored(ids) if logins else nothing(),
            services.devices.stored(ids) if logins else nothing(),
        )

    def _persons(self, seen: _Seen) -> list[Person]:
        records, tries, sessions, devices = seen
        epochs, now = dict[str, int](), self._services.clock()
        try:
            found = []
            for one in decoded(record.value for record in records if record):
                if not one["removed"]:
                    found.append(_person(one, now, tries))
                    epochs[one["id"]] = one["epoch"]
        except (KeyError, TypeError) as broken:
            raise StoreUnavailable("an account cannot be read") from broken
        live = self._services.sessions.counted(sessions, epochs)
        kept = self._services.devices.counted(devices, epochs)
        if not (live or kept):
            return found
        return [
            one._replace(sessions=live.get(one.id, 0), devices=kept.get(one.id, 0))
            if one.id in live or one.id in kept
            else one
            for one in found
        ]


_Seen: TypeAlias = tuple[list[Record | None], dict[str, int], ItemsOf, ItemsOf]


def _person(account: Mapping[str, Any], now: float, tries: Mapping[str, int]) -> Person:
    """From an account as it is stored: making all its parts would take most of a long list."""
    id, invitation = account["id"], account["invitation"]
    factors = [_factor("totp", one) for one in account["totp"]]
    factors += [_factor("webauthn", one) for one in account["webauthn"]]
    factors.sort(key=attrgetter("added"))
    return Person(
        id,
        account["user"],
        tuple(factors),
        len(account["recovery"]["codes"]),
        account["enrolled"],
        max([one.used for one in factors], default=0.0),
        tries.get(id, 0),
        invitation["expires"] if invitation and invitation["expires"] > now else 0.0,
    )


def _factor(kind: str, device: Mapping[str, Any]) -> FactorRow:
    id, name, added, used = device["id"], device["name"], device["added"], device["used"]
    passkey, model = device.get("passkey", False), device.get("model", "")
    return FactorRow(kind, id, name, added, used, passkey, model)


def invited_until(account: Account, now: float) -> float:
    """When a live invitation ends; 0 for none."""
    invitation = account.invitation
    return invitation.expires if invitation and invitation.expires > now else 0.0


@dataclass(frozen=True, slots=True)
class Lacking:
    """Somebody without a second factor.

    seen: has logged in here, or was invited. invited_until: 0 for no live invitation.
    invited_only: whether nothing but an invitation lets them in, whoever else may do without a
        second factor (their factors were reset).
    """

    user: str
    seen: bool
    invited_until: float = 0.0
    invited_only: bool = False


async def lacking(accounts: Accounts, names: Iterable[str], *, now: float) -> tuple[Lacking, ...]:
    """Everybody without a factor, by name.

    Args:
        names: the index server's users, as far as it tells; those with an account here are
            looked at in any case. Who was removed is left out.
    """
    people = {id_or_name(name): name for name in names}
    async for ids in accounts.pages():
        for known in ids:
            people.setdefault(known, known)
    found = []
    for page in _batched(sorted(people), PAGE):
        for id, account in zip(page, await accounts.many(page), strict=True):
            if account is None:
                found.append(Lacking(people[id], seen=False))
            elif not account.protected and not account.removed:
                until = invited_until(account, now)
                found.append(Lacking(account.user, True, until, account.invited_only))
    return tuple(found)


def _batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in their order, at most so many at a time."""
    return (items[at : at + size] for at in range(0, len(items), size))


def id_or_name(name: str) -> str:
    """What two spellings of one person's name have in common."""
    try:
        return id_of(name)
    except Refusal:  # nobody can log in here by that name, which is worth a line, too
        return name


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
    looked_at = changed = 0
    async for ids in accounts.pages():
        records = await accounts.records(ids)
        old = [
            (account, record)
            for record in records
            if record and _fresh(sealing, account := load(record.value)) != account
        ]
        for some in _batched(old, _AT_ONCE):
            await asyncio.gather(
                *(
                    accounts.change(
                        account.id,
                        account.user,
                        lambda present: (_fresh(sealing, present), None),
                        now=now,
                        seen=record,
                    )
                    for account, record in some
                )
            )
        looked_at, changed = looked_at + len(ids), changed + len(old)
    return Resealed(looked_at, changed)


def _fresh(sealing: Iterable[Sealing], account: Account) -> Account:
    for factor in sealing:
        account = factor.resealed(account)
    return account
