"""What happened on a person's account lately, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.audit.entry import Entry
from gateway.core.audit.events import Event
from gateway.core.login.models import Session
from gateway.core.wording import device_name
from gateway.web import rendering
from gateway.web.context import Ask, Kit
from gateway.web.responses import PageResponse

SHOWN_DAYS: Final = 90
_ON_OVERVIEW: Final = 5

WORDS: Final = {
    Event.LOGIN: "Logged in",
    Event.LOGIN_WITHOUT_FACTOR: "Logged in without a second factor",
    Event.FACTOR_REFUSED: "Wrong second factor after the right password",
    Event.THROTTLED: "Stopped after too many tries",
    Event.ENROLLED: "Second factor set up",
    Event.FACTOR_ADDED: "Device added",
    Event.FACTOR_RENAMED: "Device renamed",
    Event.FACTOR_REMOVED: "Device removed",
    Event.RECOVERY_CODES_MADE: "New recovery codes made",
    Event.RECOVERY_CODE_USED: "Recovery code used",
    Event.STEP_UP: "Second factor confirmed",
    Event.PASSWORD_CHANGED: "Password changed",
    Event.INVITED: "Invited by the administrator",
    Event.RESET: "Second factors removed by the administrator",
    Event.REMOVED: "Removed by the administrator",
    Event.UNLOCKED: "Unlocked by the administrator",
    Event.SESSION_ENDED: "Session ended",
    Event.DEVICE_REMEMBERED: "Device remembered",
    Event.DEVICE_FORGOTTEN: "Device no longer remembered",
    Event.COMMAND_LINE_APPROVED: "Command-line login approved",
    Event.COMMAND_LINE_DENIED: "Command-line login denied",
    Event.GUARDED_ACT: "Change made with the second factor",
    Event.GUARDED_REFUSED: "Change refused for want of a second factor",
    Event.TOKEN_MADE: "API token made",
    Event.TOKEN_USED: "API token used",
    Event.TOKEN_REFUSED: "API token refused",
    Event.TOKEN_REVOKED: "API token revoked",
    Event.TOKEN_NEEDS_RENEWAL: "API token that the index no longer accepts",
    Event.NOTICE_GIVEN_UP: "A notice could not be delivered",
    Event.NOT_RECORDED: "More of the same, which is left out here",
}
"""Every event a person can be the subject of, as they would say it."""

_ALARMING: Final = frozenset(
    {
        Event.COMMAND_LINE_DENIED,
        Event.FACTOR_REFUSED,
        Event.THROTTLED,
        Event.GUARDED_REFUSED,
        Event.TOKEN_REFUSED,
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


async def lines(kit: Kit, session: Session) -> list[ActivityRow]:
    since = kit.clock() - SHOWN_DAYS * 86400
    found = await kit.activity.of_user(session.user_id, since)
    return [_line(entry) for entry in found]


def _line(entry: Entry) -> ActivityRow:
    """An event of a newer version of the gateway is shown by its name."""
    origin = entry.origin
    act = f"{origin.method} {origin.path}".strip() if entry.event.startswith("guarded_") else ""
    device = device_name(origin.user_agent) if origin.user_agent else ""
    known = entry.event in WORDS
    return ActivityRow(
        when=entry.time,
        what=WORDS[Event(entry.event)] if known else entry.event,
        about=act or rendering.factor(entry.factor),
        where=", ".join(part for part in (device, origin.address) if part),
        alarming=entry.event in _ALARMING,
    )
