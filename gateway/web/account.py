"""Pages of a person who is logged in: the overview and the way out."""

from __future__ import annotations

from gateway.core import cookies
from gateway.core.addresses import LOGIN
from gateway.core.flow import Session
from gateway.web.kit import Ask, Kit
from gateway.web.reply import Reply, see_other
from gateway.web.reply import cookies as set_cookies


async def overview(kit: Kit, ask: Ask, session: Session) -> Reply:
    return kit.page(ask, "overview.html", session=session)


async def logout(kit: Kit, ask: Ask, session: Session) -> Reply:
    """End the session here and forget its cookie."""
    await kit.flow.end(kit.cookie(ask, cookies.SESSION), ask.caller)
    return see_other(LOGIN, *set_cookies(kit.jar.clear(cookies.SESSION)))
