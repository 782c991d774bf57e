"""What a signed-in person sees and changes: factors, sessions, remembered devices.

Every change of a factor needs a proof within `limits.step_up` (Refusal `step_up_required`) and
ends the person's other sessions, remembered devices and verified credentials; the acting
session goes on under the new cookie value that is returned. Knows no pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.core.accounts.records import (
    RECOVERY_CODES,
    Account,
    Device,
    Recovery,
    WebauthnKey,
    usable_label,
)
from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.login.in_request import renewed
from gateway.core.login.models import Caller, Enrolment, Held, Session
from gateway.core.login.services import Services
from gateway.core.notices.events import Notice
from gateway.core.upstream import Issued
from gateway.core.wording import device_again, device_name

__all__ = ["DeviceRow", "FactorRow", "Manage", "Overview", "SessionRow"]


class Manage:
    def __init__(self, parts: Services) -> None:
        self._services = parts

    async def overview(self, session: Session, *, device_cookie: str = "") -> Overview:
        """Everything the security page shows. device_cookie: marks the current device."""
        user_id = session.user_id
        account = await self._services.accounts.get(user_id) or Account(user_id, session.user)
        sessions = await self._services.sessions.of(user_id)
        devices = await self._services.devices.of(user_id, account.epoch)
        here = self._services.devices.id_in(device_cookie, user_id)
        held = {name for one in sessions for name in one.holds}
        logins = await self._services.credentials.live(user_id, but=held, epoch=account.epoch)
        return Overview(
            factors=factor_rows(account),
            recovery_left=len(account.recovery.codes),
            recovery_used=_used(account),
            recovery_made=account.recovery.made,
            recovery_confirmed=account.recovery.confirmed,
            sessions=tuple(session_row(one, one.id == session.id) for one in sessions),
            devices=tuple(
                DeviceRow(
                    one.id,
                    device_again(one.name),
                    one.address,
                    one.added,
                    one.used,
                    one.expires,
                    one.id == here,
                )
                for one in devices
            ),
            logins=len(logins),
            required_from=None if account.protected else self._services.limits.refused_from,
        )

    async def rename(self, session: Session, kind: str, id: str, name: str, caller: Caller) -> str:
        """Raises Refusal: `name_taken`, `unusable_label`, `no_such_factor`, `throttled`."""
        self._services.sessions.check_fresh(session)
        await self._services.throttle.change(session.user_id)

        def work(account: Account) -> tuple[Account, Device]:
            device = _device(account, kind, id)
            others = [one for one in account.devices if one is not device]
            named = replace(device, name=usable_label(name, others))
            return _with(account, device, named), named

        named = await self._change(session, work)
        await self._record(Event.FACTOR_RENAMED, session, caller, f"{kind} {named.name}")
        return await renewed(self._services, session, session.epoch)

    async def remove(self, session: Session, kind: str, id: str, caller: Caller) -> str:
        """Raises Refusal: `last_factor` (required here), `no_such_factor`."""

        def work(account: Account) -> tuple[Account, Device]:
            device = _device(account, kind, id)
            left = _with(account, device, None).bumped()
            if not left.protected:
                if self._services.limits.enrolment is not Enrolment.OPTIONAL:
                    raise Refusal(Slug.LAST_FACTOR)
                left = replace(left, recovery=Recovery(), last="")
            return left, device

        device = await self._change(session, work)
        label = f"{kind} {device.name}"
        await self._record(Event.FACTOR_REMOVED, session, caller, label)
        await self._services.notifier.notify(
            Notice.FACTOR_REMOVED, session.user_id, caller.origin, detail=label
        )
        return await renewed(self._services, session, session.epoch + 1)

    async def end_session(self, session: Session, id: str, caller: Caller) -> None:
        """End one of the person's sessions by its row id (no step-up needed)."""
        for one in await self._services.sessions.of(session.user_id):
            if one.id == id:
                await self._end(one, caller)

    async def end_others(self, session: Session, caller: Caller) -> None:
        """End every login but this one: sessions, and what logins without one have earned (a
        command line's)."""
        for one in await self._services.sessions.of(session.user_id):
            if one.id != session.id:
                await self._end(one, caller)
        left = await self._services.credentials.live(
            session.user_id, but=session.holds, epoch=session.epoch
        )
        why = "all others were ended"
        await self._services.tokens.end_logins(session.user_id, caller.origin, why=why)
        if left:
            await self._services.credentials.end(session.user_id, left)
            await self._record(Event.SESSION_ENDED, session, caller, detail=_without_browser(left))

    async def forget_device(self, session: Session, id: str, caller: Caller) -> None:
        """End a remembered device of the person by its row id (no step-up needed)."""
        if await self._services.devices.forget(session.user_id, id):
            await self._record(Event.DEVICE_FORGOTTEN, session, caller)

    async def remember(self, session: Session, caller: Caller) -> str:
        """Remember this device: the device cookie's value, "" where that is off.

        Raises:
            Refusal: `step_up_required`, `throttled`, `no_such_factor` for a person without one.
        """
        self._services.sessions.check_fresh(session)
        if not self._services.devices.allowed:
            return ""
        if not session.factor:
            raise Refusal(Slug.NO_SUCH_FACTOR)
        await self._services.throttle.change(session.user_id)
        cookie = await self._services.devices.add(
            session.user_id,
            caller.origin,
            epoch=session.epoch,
            proved_at=session.proved_at,
            factor=session.factor,
            held=self._earned(session),
        )
        await self._record(Event.DEVICE_REMEMBERED, session, caller)
        return cookie

    # -- how -------------------------------------------------------------------------------

    async def _change(
        self, session: Session, work: Callable[[Account], tuple[Account, Device]]
    ) -> Device:
        self._services.sessions.check_fresh(session)

        def checked(account: Account) -> tuple[Account, Device]:
            if account.epoch != session.epoch:
                raise Refusal(Slug.PENDING_EXPIRED)
            return work(account)

        return await self._services.accounts.change(
            session.user_id, session.user, checked, now=self._services.clock()
        )

    async def _end(self, session: Session, caller: Caller) -> None:
        await self._services.end_session(session, caller.origin, device_name(session.user_agent))

    async def _record(
        self, event: Event, session: Session, caller: Caller, factor: str = "", detail: str = ""
    ) -> None:
        await self._services.audit.record(
            event, session.user_id, caller.origin, factor=factor, detail=detail
        )

    def _earned(self, session: Session) -> Held:
        """What this session's login earned, as far as the session knows."""
        upstream = session.upstream
        if upstream is None:
            return Held()
        token = Issued(upstream, None)
        verified = self._services.credentials.names(session.user_id, (token,))[0] in session.holds
        return Held(issued=(token,) if verified else (), session=upstream)


def _without_browser(names: Sequence[str]) -> str:
    return f"{len(names)} without a session, as of a command line"


def _device(account: Account, kind: str, id: str) -> Device:
    for one in account.devices:
        if one.kind == kind and one.id == id:
            return one
    raise Refusal(Slug.NO_SUCH_FACTOR)


def _with(account: Account, old: Device, new: Device | None) -> Account:
    """The account with one device replaced, or taken out."""
    kept = [new if one is old else one for one in account.devices]
    devices = [one for one in kept if one is not None]
    bare = replace(account, totp=(), webauthn=())
    for one in devices:
        bare = bare.with_device(one)
    return bare


class FactorRow(NamedTuple):
    """kind: "totp" or "webauthn". used: 0 for never. passkey: can sign in without a name. model:
    what a key calls itself, "" where it does not."""

    kind: str
    id: str
    name: str
    added: float
    used: float
    passkey: bool = False
    model: str = ""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """factor: as in `Session`."""

    id: str
    device: str
    address: str
    created: float
    last_seen: float
    current: bool
    factor: str = ""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    id: str
    device: str
    address: str
    added: float
    used: float
    expires: float
    current: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """required_from: when a person without a factor is refused; None: never, or has one.
    logins: live ones without a session of ours, as of a command line.
    recovery_confirmed: False while new codes wait for word that they are saved."""

    factors: tuple[FactorRow, ...]
    recovery_left: int
    recovery_used: int
    recovery_made: float
    recovery_confirmed: bool
    sessions: tuple[SessionRow, ...]
    devices: tuple[DeviceRow, ...]
    logins: int = 0
    required_from: float | None = None


def _used(account: Account) -> int:
    """How many of a person's recovery codes are gone."""
    made = RECOVERY_CODES if account.recovery.made else 0
    return max(0, made - len(account.recovery.codes))


def factor_rows(account: Account) -> tuple[FactorRow, ...]:
    """A person's devices, the oldest first."""
    rows = [
        FactorRow(
            one.kind,
            one.id,
            one.name,
            one.added,
            one.used,
            isinstance(one, WebauthnKey) and one.passkey,
            one.model if isinstance(one, WebauthnKey) else "",
        )
        for one in account.devices
    ]
    return tuple(sorted(rows, key=lambda row: row.added))


def session_row(one: Session, current: bool) -> SessionRow:
    return SessionRow(
        one.id,
        device_name(one.user_agent),
        one.address,
        one.created,
        one.last_seen,
        current,
        one.factor,
    )
