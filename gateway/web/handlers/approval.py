"""Approving one command-line login from a browser where the same person is logged in."""

from __future__ import annotations

import re
from typing import Final

from gateway.core import wording
from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Session, Waiting
from gateway.core.typed import plain
from gateway.core.urls import APPROVE
from gateway.core.wording import time_left
from gateway.web.context import Ask, Kit
from gateway.web.responses import PageResponse, see_other

_NUMBER: Final = re.compile(r"[1-9][0-9]")


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Who asks, from where; the person types the number that stands in their own terminal."""
    return await _form(kit, ask, session)


async def submit(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Let the next try by that client pass, once; a wrong number denies it."""
    here = f"{APPROVE}/{ask.tail}"
    if (await _waiting(kit, ask, session)).approved:
        return see_other(here)
    denied = ask.value("deny") in ("yes", "report")
    number = "" if denied else plain(ask.value("number"))
    if not denied and not _NUMBER.fullmatch(number):
        return await _form(kit, ask, session, Refusal(Slug.NUMBER_UNREADABLE))
    report = ask.value("deny") == "report"
    await kit.flow.approving.approve(session, ask.tail, number, ask.caller, report=report)
    return see_other(here)


async def _form(kit: Kit, ask: Ask, session: Session, error: Refusal | None = None) -> PageResponse:
    waiting = await _waiting(kit, ask, session)
    return kit.page(
        ask,
        "approve.html",
        session=session,
        error=error,
        waiting=waiting,
        client=wording.device_name(waiting.user_agent),
        left=time_left(waiting.expires - kit.clock()),
        seconds=max(0, int(waiting.expires - kit.clock())),
        here=f"{APPROVE}/{ask.tail}",
    )


async def _waiting(kit: Kit, ask: Ask, session: Session) -> Waiting:
    waiting = await kit.flow.approving.waiting(session, ask.tail)
    if waiting is None:
        raise Refusal(Slug.APPROVAL_GONE)
    return waiting
