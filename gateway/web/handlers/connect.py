"""Giving a command line a token for some hours: the person types its number, and picks nothing."""

from __future__ import annotations

import re
from typing import Final

from gateway.core import wording
from gateway.core.errors import Refusal, Slug
from gateway.core.login.grants import WaitingGrant
from gateway.core.login.models import Session
from gateway.core.typed import plain
from gateway.core.upstream import Action
from gateway.core.urls import CONNECT
from gateway.core.wording import in_words, time_left
from gateway.web.context import Ask, Kit
from gateway.web.handlers.tokens import config_of
from gateway.web.responses import PageResponse, see_other

_NUMBER: Final = re.compile(r"[1-9][0-9]")


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Who asks for what, from where."""
    return await _form(kit, ask, session)


async def submit(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    here = f"{CONNECT}/{ask.tail}"
    if (await _waiting(kit, ask)).state == "approved":
        return see_other(here)
    denied = ask.value("deny") in ("yes", "report")
    number = "" if denied else plain(ask.value("number"))
    if not denied and not _NUMBER.fullmatch(number):
        return await _form(kit, ask, session, Refusal(Slug.NUMBER_UNREADABLE))
    await kit.flow.granting.answer(
        session,
        ask.tail,
        number,
        ask.caller,
        by_service=config_of(kit).by_service,
        report=ask.value("deny") == "report",
    )
    return see_other(here)


async def _form(kit: Kit, ask: Ask, session: Session, error: Refusal | None = None) -> PageResponse:
    config, waiting = config_of(kit), await _waiting(kit, ask)
    if not config.by_service and session.upstream is None:
        error = error or Refusal(Slug.LOGIN_BY_PASSWORD)
    return kit.page(
        ask,
        "connect.html",
        session=session,
        error=error,
        waiting=waiting,
        client=wording.device_name(waiting.user_agent),
        elsewhere=waiting.address != ask.caller.origin.address,
        uploads=Action.UPLOAD in waiting.actions,
        lives=in_words(waiting.lifetime),
        left=time_left(waiting.expires - kit.clock()),
        seconds=max(0, int(waiting.expires - kit.clock())),
        here=f"{CONNECT}/{ask.tail}",
    )


async def _waiting(kit: Kit, ask: Ask) -> WaitingGrant:
    waiting = await kit.flow.granting.waiting(ask.tail)
    if waiting is None or waiting.state == "denied":
        raise Refusal(Slug.APPROVAL_GONE)
    return waiting
