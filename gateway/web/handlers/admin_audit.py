"""The audit trail for administrators: found by person, project, event and time, as a file, and as
bars by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import urlencode

from gateway.core.audit import finding
from gateway.core.audit.events import Event
from gateway.core.audit.export import as_csv, as_lines
from gateway.core.audit.finding import Wanted
from gateway.core.audit.tally import KINDS as COUNTED
from gateway.core.audit.tally import Day, daily
from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Session
from gateway.core.phrases import Phrase, _
from gateway.core.user_id import user_id
from gateway.web.context import Ask, Kit, SessionHandler
from gateway.web.handlers.activity import ALARMING, KINDS, OTHERS, WORDS, by_days, row_of
from gateway.web.handlers.admin import AUDIT, PERSON, WHERE
from gateway.web.responses import PageResponse, download

PAGE: Final = 50
FILES: Final = MappingProxyType(
    {
        "csv": ("text/csv; charset=utf-8", as_csv),
        "jsonl": ("application/jsonl", as_lines),
    }
)
_FILE_NAMES: Final = {"csv": _("CSV"), "jsonl": _("JSON lines")}


@dataclass(frozen=True, slots=True)
class Filter:
    """What was typed, and what it means. wrong: the fields that cannot be read."""

    typed: Mapping[str, str]
    wanted: Wanted
    wrong: tuple[str, ...] = ()

    def at(self, path: str, before: int = 0) -> str:
        query = {name: value for name, value in self.typed.items() if value}
        if before:
            query["before"] = str(before)
        return f"{path}?{urlencode(query)}" if query else path


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """The newest that fit, by days; `?before=` goes on."""
    wanted = _filter(ask)
    number = ask.chosen("before")
    before = int(number) if number.isascii() and number.isdigit() and len(number) < 16 else 0
    found = finding.Found([])
    if not wanted.wrong:
        found = await finding.newest(
            kit.activity, wanted.wanted, now=kit.clock(), before=before, limit=PAGE
        )
    return kit.page(
        ask,
        "admin_audit.html",
        session=session,
        where=WHERE,
        here=AUDIT,
        typed=wanted.typed,
        wrong=wanted.wrong,
        error=Refusal(Slug.UNREADABLE_FILTER) if wanted.wrong else None,
        events=_choices(),
        days=by_days(row_of(kit, entry) for entry in found.entries),
        people=f"{PERSON}?user=",
        first=wanted.at(AUDIT) if before else "",
        older=wanted.at(AUDIT, found.before) if found.before else "",
        back_to=found.back_to if found.before else 0.0,
        files=[(_FILE_NAMES[name], wanted.at(f"{AUDIT}.{name}")) for name in FILES],
    )


def saved(name: str) -> SessionHandler:
    """All that fit as a file, oldest first. name: one of `FILES`."""
    content_type, form = FILES[name]

    async def answer(kit: Kit, ask: Ask, session: Session) -> PageResponse:
        wanted = _filter(ask)
        if wanted.wrong:
            raise Refusal(Slug.UNREADABLE_FILTER)
        found = finding.pages(kit.activity, wanted.wanted)
        return download(f"audit.{name}", content_type, form(found))

    return answer


def _choices() -> dict[str, str]:
    """The kinds, then every event, for the filter."""
    kinds = {name: one.words for name, one in KINDS.items()}
    return {"": _("Everything")} | kinds | {str(one): _words(one) for one in Event}


def _words(event: Event) -> str:
    return WORDS.get(event) or OTHERS.get(event) or str(event)


def _filter(ask: Ask) -> Filter:
    names = ("user", "project", "event", "since", "until")
    typed = {name: ask.chosen(name) for name in names}
    event = typed["event"]
    if event not in KINDS and event not in set(Event):
        typed["event"] = event = ""
    events = frozenset({event} if event else ())
    if event in KINDS:
        events = ALARMING if event == "alarming" else KINDS[event].events
    wrong = []
    users = frozenset[str]()
    try:
        users = frozenset({user_id(typed["user"])} if typed["user"] else ())
    except Refusal:
        wrong.append("user")
    moments: dict[str, float | None] = {}
    for name, days in (("since", 0), ("until", 1)):
        moments[name] = _moment(typed[name], days)
        if typed[name] and moments[name] is None:
            wrong.append(name)
            typed[name] = ""  # a field for days shows nothing else
    wanted = Wanted(moments["since"], moments["until"], events, users, typed["project"])
    return Filter(typed, wanted, tuple(wrong))


def _moment(text: str, days: int) -> float | None:
    """The beginning of a day in UTC, or of one so many days later; None for what is no day."""
    try:
        day = date.fromisoformat(text) + timedelta(days)
    except (ValueError, OverflowError):
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


# -- by day -------------------------------------------------------------------------------------

HEIGHT: Final = 60
STEP: Final = 10


class Bar(NamedTuple):
    """A rectangle of a chart, in its own units."""

    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """One kind by day. most, busiest: the largest count, and the day that had it."""

    kind: str
    words: Phrase
    total: int
    most: int
    busiest: float
    today: int
    bars: tuple[Bar, ...]
    width: int


async def stats(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """The last 30 days as a chart for each kind, and all as a table."""
    days = await daily(kit.activity, kit.clock())
    charts = [_chart(kind, days) for kind in COUNTED]
    moments = [_moment(day.date, 0) or 0.0 for day in days]
    return kit.page(
        ask,
        "admin_stats.html",
        session=session,
        where=WHERE,
        charts=charts,
        first=moments[0],
        last=moments[-1],
        height=HEIGHT,
        rows=[(day.date, [day.of(chart.kind) for chart in charts]) for day in reversed(days)],
    )


def _chart(kind: str, days: list[Day]) -> Chart:
    counts = [day.of(kind) for day in days]
    most = max(counts)
    bars = []
    for at, count in enumerate(counts):
        tall = max(1.0, round(count * HEIGHT / most, 1)) if count else 0.0
        if tall:
            bars.append(Bar(at * STEP, round(HEIGHT - tall, 1), tall))
    busiest = _moment(days[counts.index(most)].date, 0) or 0.0
    words = COUNTED[kind].words
    return Chart(kind, words, sum(counts), most, busiest, counts[-1], tuple(bars), STEP * len(days))
