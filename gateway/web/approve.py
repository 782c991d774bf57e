"""Approving one command-line login from a browser where the same person is logged in."""

from __future__ import annotations

from gateway.core import agents
from gateway.core.addresses import APPROVE
from gateway.core.durations import time_left
from gateway.core.errors import Refusal
from gateway.core.flow import Session, Waiting
from gateway.web.kit import Ask, Kit
from gateway.web.reply import Reply, see_other


async def show(kit: Kit, ask: Ask, session: Session) -> Reply:
    """Who asks, from where; the person compares it with what they just did."""
    waiting = await _waiting(kit, ask, session)
    return kit.page(
        ask,
        "approve.html",
        session=session,
        waiting=waiting,
        client=agents.device_name(waiting.user_agent),
        left=time_left(waiting.expires - kit.clock()),
        here=f"{APPROVE}/{ask.tail}",
    )


async def submit(kit: Kit, ask: Ask, session: Session) -> Reply:
    """Let the next try by that client pass, once."""
    waiting = await _waiting(kit, ask, session)
    if not waiting.approved:
        await kit.flow.approve(session, ask.tail, ask.caller)
    return see_other(f"{APPROVE}/{ask.tail}")


async def _waiting(kit: Kit, ask: Ask, session: Session) -> Waiting:
    waiting = await kit.flow.waiting(session, ask.tail)
    if waiting is None:
        raise Refusal("approval_gone")
    return waiting
