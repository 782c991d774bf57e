"""Where a person is logged in: since when, by which factor, from where, and the way to end it."""

from __future__ import annotations

from typing import Final

from gateway.core.login.models import BY_DEVICE, Session
from gateway.core.phrases import _
from gateway.core.urls import PREFIX
from gateway.web.context import Ask, Kit
from gateway.web.rendering import FACTORS
from gateway.web.responses import PageResponse, see_other

SESSIONS: Final = f"{PREFIX}/sessions"
END_SESSION: Final = f"{PREFIX}/sessions/end"
END_OTHERS: Final = f"{PREFIX}/sessions/end-others"

BY: Final = {**FACTORS, BY_DEVICE: _("remembered device"), "": _("password alone")}
"""How a session was begun, by its factor."""

_DONE: Final = {
    "session": _("The session has ended."),
    "others": _("All other logins have ended, those of a command line too."),
}


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    seen = await kit.flow.manage.overview(session)
    return kit.page(
        ask,
        "sessions.html",
        session=session,
        sessions=sorted(seen.sessions, key=lambda row: (not row.current, -row.last_seen)),
        logins=seen.logins,
        by=BY,
        places={row.id: kit.place(row.address) for row in seen.sessions},
        end=END_SESSION,
        end_others=END_OTHERS,
        said=_DONE.get(ask.asked("done"), ""),
    )


async def end_session(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    await kit.flow.manage.end_session(session, ask.value("id"), ask.caller)
    kit.index_logins.forget()
    return see_other(f"{SESSIONS}?done=session")


async def end_others(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    await kit.flow.manage.end_others(session, ask.caller)
    kit.index_logins.forget()
    return see_other(f"{SESSIONS}?done=others")
