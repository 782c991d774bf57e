"""Proving a second factor again before a change: any factor the person has, not the password."""

from __future__ import annotations

from gateway.core.errors import Refusal
from gateway.core.http import cookies
from gateway.core.login.models import Session
from gateway.core.urls import OVERVIEW, STEP_UP, login_for
from gateway.web.context import Ask, Kit
from gateway.web.handlers import second_factor
from gateway.web.responses import PageResponse, see_other
from gateway.web.responses import cookies as set_cookies


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """The form; `?next=` says which change comes afterwards."""
    return await _form(kit, ask, session)


async def submit(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Judge the answer; the session goes on under a new id."""
    try:
        cookie = await second_factor.prove(kit, ask, session)
    except Refusal as refusal:
        if second_factor.again(refusal):
            return await _form(kit, ask, session, refusal)
        raise
    return see_other(ask.next() or OVERVIEW, *set_cookies(kit.jar.set(cookies.SESSION, cookie)))


async def _form(kit: Kit, ask: Ask, session: Session, error: Refusal | None = None) -> PageResponse:
    kinds = await kit.flow.at_once.kinds(session)
    if not kinds:  # nothing to prove; a fresh login is the only way to a recent proof
        return see_other(login_for(OVERVIEW))
    choices = second_factor.choose(ask, kinds, error)
    return kit.page(
        ask,
        "confirm.html",
        session=session,
        error=second_factor.for_kind(choices.kind, error),
        script=choices.script,
        choices=choices,
        here=STEP_UP,
        options=second_factor.STEP_UP_OPTIONS,
        next=ask.next(),
    )
