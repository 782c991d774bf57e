"""What administrators see of people: who has no second factor, a search, and one person."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Session
from gateway.core.phrases import _
from gateway.core.roster import Roster
from gateway.core.urls import ADMIN
from gateway.core.user_id import user_id
from gateway.web.context import Ask, Kit
from gateway.web.handlers.activity import SHOWN_DAYS, by_days, lines_of_user
from gateway.web.handlers.sessions import BY
from gateway.web.responses import PageResponse

PERSON: Final = f"{ADMIN}/person"
INVITE: Final = f"{ADMIN}/invite"
RESET: Final = f"{ADMIN}/reset"
END: Final = f"{ADMIN}/end-logins"
UNLOCK: Final = f"{ADMIN}/unlock"
AUDIT: Final = f"{ADMIN}/audit"
STATS: Final = f"{ADMIN}/stats"

WHERE: Final = {
    "PEOPLE": f"{ADMIN}/",
    "PERSON": PERSON,
    "INVITE": INVITE,
    "RESET": RESET,
    "END": END,
    "UNLOCK": UNLOCK,
    "AUDIT": AUDIT,
    "STATS": STATS,
}
"""The same for the templates."""

PAGE: Final = 50
_LATEST: Final = 10

DONE: Final = {
    "ended": _("Logged out everywhere."),
    "unlocked": _("The wrong codes are forgotten."),
    "gone": _("Nothing to reset: the second factors are gone already."),
}


def person_at(user: str, **more: str) -> str:
    """The address of a person's page. In the query, because a name may have a slash."""
    return f"{PERSON}?{urlencode({'user': user, **more}, quote_via=quote)}"


async def people(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Who has no second factor, or everybody; `?name=` looks for the beginning of a name."""
    name, after = ask.chosen("name"), ask.chosen("after")
    bare = not name and ask.chosen("show") != "all"
    try:
        begins = user_id(name) if name else ""
        seen = await Roster(kit.flow.services).page(
            begins=begins, bare=bare, after=after, limit=PAGE
        )
    except Refusal as refusal:
        if refusal.slug != Slug.UNUSABLE_NAME:
            raise
        seen = None
    typed = {"name": name, "show": "" if bare or name else "all"}
    query = {key: value for key, value in typed.items() if value}
    return kit.page(
        ask,
        "admin_people.html",
        session=session,
        where=WHERE,
        rows=seen.rows if seen else (),
        name=name,
        bare=bare,
        whole=seen is not None and not seen.after and not after,
        looked_at=seen.looked_at if seen and seen.after and len(seen.rows) < PAGE else 0,
        first=_with(query) if after else "",
        more=_with({**query, "after": seen.after}) if seen and seen.after else "",
    )


async def person(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """One person's factors and sessions, what happened lately, and what can be done."""
    seen = await Roster(kit.flow.services).one(ask.chosen("user"))
    lines = await lines_of_user(kit, seen.row.id)
    return kit.page(
        ask,
        "admin_person.html",
        session=session,
        where=WHERE,
        seen=seen,
        own=seen.row.id == session.user_id,
        administers=seen.row.id in kit.config.admins,
        by=BY,
        places={one.id: kit.place(one.address) for one in seen.sessions},
        days=by_days(row for _, row in lines[:_LATEST]),
        shown_days=SHOWN_DAYS,
        said=DONE.get(ask.chosen("done"), ""),
    )


def _with(query: dict[str, str]) -> str:
    return f"{ADMIN}/?{urlencode(query)}" if query else f"{ADMIN}/"
