"""What happened on a person's account lately, in words: a few lines, a page by days, a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from gateway.core.audit.entry import Entry
from gateway.core.audit.events import Event
from gateway.core.audit.export import as_csv, as_json
from gateway.core.login.models import Session
from gateway.core.login.sessions import CHANGED
from gateway.core.phrases import _
from gateway.core.urls import PREFIX
from gateway.core.wording import device_name
from gateway.web import rendering
from gateway.web.context import Ask, Kit, SessionHandler
from gateway.web.responses import PageResponse, download

ACTIVITY: Final = f"{PREFIX}/activity"
SHOWN_DAYS: Final = 90
PAGE: Final = 50
_ON_OVERVIEW: Final = 4

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
    Event.LOGINS_ENDED: _("Logged out everywhere by the administrator"),
    Event.FROZEN: _("Stopped by the administrator"),
    Event.UNFROZEN: _("No longer stopped by the administrator"),
    Event.SESSION_ENDED: _("Session ended"),
    Event.DEVICE_REMEMBERED: _("Device remembered"),
    Event.DEVICE_FORGOTTEN: _("Device no longer remembered"),
    Event.COMMAND_LINE_APPROVED: _("Command-line login approved"),
    Event.COMMAND_LINE_DENIED: _("Command-line login denied"),
    Event.COMMAND_LINE_REPORTED: _("Command-line login denied and reported"),
    Event.GUARDED_ACT: _("Change made with the second factor"),
    Event.GUARDED_REFUSED: _("Change refused for want of a second factor"),
    Event.TOKEN_MADE: _("API token made"),
    Event.TOKEN_USED: _("API token used"),
    Event.TOKEN_REFUSED: _("API token refused"),
    Event.TOKEN_REVOKED: _("API token revoked"),
    Event.TOKEN_NEEDS_RENEWAL: _("API token that the index no longer accepts"),
    Event.UPLOAD_BY_PASSWORD: _("Upload with a password, where a token is wanted"),
    Event.TOKEN_LEAKED: _("API token found in the open, and revoked"),
    Event.TOKEN_KEPT: _("API token kept after a changed password"),
    Event.PUBLISHER_REFUSED: _("Job of a trusted publisher refused"),
    Event.NOTICE_GIVEN_UP: _("A notice could not be delivered"),
    Event.NOT_RECORDED: _("More of the same, which is left out here"),
}
"""Every event a person can be the subject of, as they would say it."""
OTHERS: Final = {
    Event.UPLOAD: _("Uploaded"),
    Event.UPLOAD_REFUSED: _("Upload refused by the index"),
    Event.UPLOAD_FAILED: _("Upload failed"),
    Event.DOWNLOAD: _("Downloaded"),
    Event.LEAK_REPORT_REFUSED: _("Report of leaked tokens refused"),
    Event.RETENTION: _("Old entries removed"),
    Event.KEYS_ROTATED: _("Keys rotated"),
    Event.STORE_RESTORED: _("Backup restored"),
}
"""What is about files, or about nobody: only in the trail of administrators."""
_SAID: Final[Mapping[str, str]] = MappingProxyType(
    {str(event): words for event, words in (WORDS | OTHERS).items()}
)

ALARMING: Final = frozenset(
    map(
        str,
        {
            Event.COMMAND_LINE_DENIED,
            Event.FACTOR_REFUSED,
            Event.THROTTLED,
            Event.GUARDED_REFUSED,
            Event.TOKEN_REFUSED,
            Event.PUBLISHER_REFUSED,
            Event.COMMAND_LINE_REPORTED,
            Event.TOKEN_LEAKED,
            Event.NOT_RECORDED,
        },
    )
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One choice of the filter: its words and the events it shows."""

    words: str
    events: frozenset[str]


def _kind(words: str, *events: Event) -> Kind:
    return Kind(words, frozenset(map(str, events)))


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "alarming": Kind(_("Worth a look"), ALARMING),
        "logins": _kind(
            _("Logins"), Event.LOGIN, Event.LOGIN_WITHOUT_FACTOR, Event.STEP_UP, Event.SESSION_ENDED
        ),
        "factors": _kind(
            _("Factors, codes and password"),
            Event.ENROLLED,
            Event.FACTOR_ADDED,
            Event.FACTOR_RENAMED,
            Event.FACTOR_REMOVED,
            Event.RECOVERY_CODES_MADE,
            Event.RECOVERY_CODE_USED,
            Event.PASSWORD_CHANGED,
            Event.DEVICE_REMEMBERED,
            Event.DEVICE_FORGOTTEN,
        ),
        "changes": _kind(_("Changes of packages"), Event.GUARDED_ACT, Event.GUARDED_REFUSED),
        "terminal": _kind(
            _("Command line"),
            Event.COMMAND_LINE_APPROVED,
            Event.COMMAND_LINE_DENIED,
            Event.COMMAND_LINE_REPORTED,
        ),
        "tokens": _kind(
            _("API tokens"),
            Event.TOKEN_MADE,
            Event.TOKEN_USED,
            Event.TOKEN_REFUSED,
            Event.TOKEN_REVOKED,
            Event.TOKEN_LEAKED,
            Event.UPLOAD_BY_PASSWORD,
            Event.TOKEN_NEEDS_RENEWAL,
        ),
        "admin": _kind(
            _("By the administrator"),
            Event.INVITED,
            Event.RESET,
            Event.REMOVED,
            Event.UNLOCKED,
            Event.LOGINS_ENDED,
            Event.FROZEN,
            Event.UNFROZEN,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One entry as the pages show it.

    about: what it concerned, "" where there is no more. place: address and country. user: whose
    it is. detail: what else was recorded.
    """

    when: float
    what: str
    act: str
    factor: str
    device: str
    place: str
    alarming: bool
    user: str
    detail: str

    @property
    def about(self) -> str:
        return self.act or self.factor

    @property
    def where(self) -> str:
        return where(self.device, self.place)


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """The last 90 days, newest first, by days; `?show=` chooses a kind, `?page=` goes on."""
    kind = _chosen(ask)
    found = _of_kind(await lines_of(kit, session), kind)
    pages = max(1, -(-len(found) // PAGE))
    page = min(pages, _number(ask.chosen("page")))
    rows = [row for _, row in found[PAGE * (page - 1) : PAGE * page]]
    return kit.page(
        ask,
        "activity.html",
        session=session,
        days=by_days(rows),
        shown_days=SHOWN_DAYS,
        kinds={name: one.words for name, one in KINDS.items()},
        kind=kind,
        here=ACTIVITY,
        count=len(found),
        page=page,
        pages=pages,
        newer=_address(ACTIVITY, kind, page - 1) if page > 1 else "",
        older=_address(ACTIVITY, kind, page + 1) if page < pages else "",
        files=[(_FILE_NAMES[name], _address(f"{ACTIVITY}.{name}", kind)) for name in FILES],
    )


def saved(name: str) -> SessionHandler:
    """The same as a file, in the chosen kind. name: one of `FILES`."""
    content_type, form = FILES[name]

    async def answer(kit: Kit, ask: Ask, session: Session) -> PageResponse:
        found = _of_kind(await lines_of(kit, session), _chosen(ask))
        return download(f"activity.{name}", content_type, form(_at_once(e for e, _ in found)))

    return answer


FILES: Final = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "json": ("application/json", as_json),
}
"""The kinds of file: content type, and how entries are written."""
_FILE_NAMES: Final = {"csv": _("CSV"), "json": _("JSON")}


async def latest(kit: Kit, session: Session) -> list[ActivityRow]:
    """The newest few, for the overview."""
    return [row for _, row in (await lines_of(kit, session))[:_ON_OVERVIEW]]


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
            row_of(kit, one).where
            for one in found
            if one.event == Event.SESSION_ENDED and one.detail == CHANGED and one.time >= changed
        )
    )


async def last_code_used(kit: Kit, session: Session, made: float) -> float:
    """When one of the recovery codes made then was last used; 0.0 where the trail has lost it."""
    found = await kit.activity.of_user(session.user_id, made)
    return max((one.time for one in found if one.event == Event.RECOVERY_CODE_USED), default=0.0)


async def lines_of(kit: Kit, session: Session) -> list[tuple[Entry, ActivityRow]]:
    return await lines_of_user(kit, session.user_id)


async def lines_of_user(kit: Kit, user_id: str) -> list[tuple[Entry, ActivityRow]]:
    since = kit.clock() - SHOWN_DAYS * 86400
    found = await kit.activity.of_user(user_id, since)
    return [(entry, row_of(kit, entry, own=_own_typo(entry, found))) for entry in found]


def by_days(rows: Iterable[ActivityRow]) -> list[tuple[str, list[ActivityRow]]]:
    """The rows in their order, under the days (UTC) they are of."""
    return [
        (rendering.day(86400 * number), list(found))
        for number, found in groupby(rows, lambda row: int(row.when // 86400))
    ]


async def _at_once(entries: Iterable[Entry]) -> AsyncIterator[list[Entry]]:
    yield list(entries)


def _chosen(ask: Ask) -> str:
    kind = ask.chosen("show")
    return kind if kind in KINDS else ""


def _of_kind(
    found: Sequence[tuple[Entry, ActivityRow]], kind: str
) -> Sequence[tuple[Entry, ActivityRow]]:
    if not kind:
        return found
    if kind == "alarming":
        return [(entry, row) for entry, row in found if row.alarming]
    return [(entry, row) for entry, row in found if entry.event in KINDS[kind].events]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 6 else 1


def _address(path: str, kind: str, page: int = 1) -> str:
    said = {"show": kind, "page": "" if page == 1 else str(page)}
    query = urlencode({name: value for name, value in said.items() if value})
    return f"{path}?{query}" if query else path


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


def row_of(kit: Kit, entry: Entry, *, own: bool = False) -> ActivityRow:
    """An event of a newer version of the gateway is shown by its name.

    Args:
        own: it was the person's own mistake.
    """
    origin = entry.origin
    what = _SAID.get(entry.event, entry.event)
    if entry.event == Event.FACTOR_REFUSED:
        what = _WRONG.get(entry.detail, what)
    return ActivityRow(
        when=entry.time,
        what=what,
        act=_act(entry),
        factor=rendering.factor(entry.factor),
        device=device_name(origin.user_agent) if origin.user_agent else "",
        place=kit.place(origin.address),
        alarming=entry.event in ALARMING and not own,
        user=entry.user,
        detail=entry.detail,
    )


def where(device: str, place: str) -> str:
    """A device and its place, as far as each is known."""
    if device and place:
        return _("{device}, {address}", device=device, address=place)
    return device or place


def _act(entry: Entry) -> str:
    """What was done to which path, or the project and version that passed."""
    if entry.event.startswith("guarded_"):
        return f"{entry.origin.method} {entry.origin.path}".strip()
    version = entry.transfer.version if entry.transfer else ""
    return f"{entry.project} {version}".strip()
