"""What happened on a person's account lately, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.core.audit.entry import Entry
from gateway.core.audit.events import Event
from gateway.core.login.models import Session
from gateway.core.login.sessions import CHANGED
from gateway.core.phrases import _
from gateway.core.wording import device_name
from gateway.web import rendering
from gateway.web.context import Ask, Kit
from gateway.web.responses import PageResponse

SHOWN_DAYS: Final = 90
_ON_OVERVIEW: Final = 5

WORDS: Final = {
    Event.LOGIN: _("Logged in"),
    Event.LOGIN_WITHOUT_FACTOR: _("Logged in without a second factor"),
    Event.FACTOR_REFUSED: _("Wrong second factor after the right password"),
    Event.THROTTLED: _("Stopped after too many tries"),
    Event.ENROLLED: _("Second factor set up"),
    Event.FACTOR_ADDED: _("Device added"),
    Event.FACTOR_RENAMED: _("Device renamed"),
    Event.FACTOR_REMOVED: _("Device removed"),
    Event.RECOVERY_CODES_MADE: _("New recovery codes made"),
    Event.RECOVERY_CODE_USED: _("Recovery code used"),
    Event.STEP_UP: _("Second factor confirmed"),
    Event.PASSWORD_CHANGED: _("Password changed"),
    Event.INVITED: _("Invited by the administrator"),
    Event.RESET: _("Second factors removed by the administrator"),
    Event.REMOVED: _("Removed by the administrator"),
    Event.UNLOCKED: _("Unlocked by the administrator"),
    Event.SESSION_ENDED: _("Session ended"),
    Event.DEVICE_REMEMBERED: _("Device remembered"),
    Event.DEVICE_FORGOTTEN: _("Device no longer remembered"),
    Event.COMMAND_LINE_APPROVED: _("Command-line login approved"),
    Event.COMMAND_LINE_DENIED: _("Command-line login denied"),
    Event.GUARDED_ACT: _("Change made with the second factor"),
    Event.GUARDED_REFUSED: _("Change refused for want of a second factor"),
    Event.TOKEN_MADE: _("API token made"),
    Event.TOKEN_USED: _("API token used"),
    Event.TOKEN_REFUSED: _("API token refused"),
    Event.TOKEN_REVOKED: _("API token revoked"),
    Event.TOKEN_NEEDS_RENEWAL: _("API token that the index no longer accepts"),
    Event.TOKEN_KEPT: _("API token kept after a changed password"),
    Event.PUBLISHER_REFUSED: _("Job of a trusted publisher refused"),
    Event.NOTICE_GIVEN_UP: _("A notice could not be delivered"),
    Event.NOT_RECORDED: _("More of the same, which is left out here"),
}
"""Every event a person can be the subject of, as they would say it."""

_ALARMING: Final = frozenset(
    {
        Event.COMMAND_LINE_DENIED,
        Event.FACTOR_REFUSED,
        Event.THROTTLED,
        Event.GUARDED_REFUSED,
        Event.TOKEN_REFUSED,
        Event.PUBLISHER_REFUSED,
        Event.NOT_RECORDED,
    }
)


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One entry as the pages show it. about: what it concerned, "" where there is no more."""

    when: float
    what: str
    about: str
    where: str
    alarming: bool


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """The last 90 days, newest first."""
    return kit.page(
        ask,
        "activity.html",
        session=session,
        lines=await lines(kit, session),
        days=SHOWN_DAYS,
    )


async def latest(kit: Kit, session: Session) -> list[ActivityRow]:
    """The newest few, for the overview."""
    return (await lines(kit, session))[:_ON_OVERVIEW]


_JUST: Final = 300.0  # seconds
_CHANGES: Final = frozenset(
    {Event.ENROLLED, Event.FACTOR_ADDED, Event.FACTOR_REMOVED, Event.RECOVERY_CODES_MADE}
)


async def ended(kit: Kit, session: Session) -> tuple[str, ...]:
    """The sessions that the change made just now has ended, by their devices."""
    found = await kit.activity.of_user(session.user_id, kit.clock() - _JUST)
    changed = max((one.time for one in found if one.event in _CHANGES), default=None)
    if changed is None:
        return ()
    return tuple(
        dict.fromkeys(
            ", ".join(filter(None, (device_name(one.origin.user_agent), one.origin.address)))
            for one in found
            if one.event == Event.SESSION_ENDED and one.detail == CHANGED and one.time >= changed
        )
    )


async def lines(kit: Kit, session: Session) -> list[ActivityRow]:
    since = kit.clock() - SHOWN_DAYS * 86400
    found = await kit.activity.of_user(session.user_id, since)
    return [_line(entry, own=_own_typo(entry, found)) for entry in found]


_SOON: Final = 900.0
"""Seconds within which a wrong answer followed by a right one is taken for a typo."""
_WRONG: Final = {
    "passkey alone": _("Wrong passkey"),
    "step up": _("Wrong second factor, on a session that was logged in"),
}
"""A refused factor where no password came before it, by the detail of the entry."""


def _own_typo(entry: Entry, found: Sequence[Entry]) -> bool:
    """Whether the right answer followed soon, from the same address and program."""
    return entry.event in (Event.FACTOR_REFUSED, Event.THROTTLED) and any(
        one.event in (Event.LOGIN, Event.STEP_UP)
        and 0 <= one.time - entry.time <= _SOON
        and one.origin.address == entry.origin.address
        and one.origin.user_agent == entry.origin.user_agent
        for one in found
    )


def _line(entry: Entry, *, own: bool) -> ActivityRow:
    """An event of a newer version of the gateway is shown by its name.

    Args:
        own: it was the person's own mistake.
    """
    origin = entry.origin
    what: str
    act = f"{origin.method} {origin.path}".strip() if entry.event.startswith("guarded_") else ""
    device = device_name(origin.user_agent) if origin.user_agent else ""
    what = WORDS[Event(entry.event)] if entry.event in WORDS else entry.event
    if entry.event == Event.FACTOR_REFUSED:
        what = _WRONG.get(entry.detail, what)
    return ActivityRow(
        when=entry.time,
        what=what,
        about=act or rendering.factor(entry.factor),
        where=_where(device, origin.address),
        alarming=entry.event in _ALARMING and not own,
    )


def _where(device: str, address: str) -> str:
    return (
        _("{device}, {address}", device=device, address=address)
        if device and address
        else device or address
    )
