"""The language a person chose on a page; it counts more than what the browser asks for."""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.urls import OVERVIEW
from gateway.languages import NAMES
from gateway.web.context import Ask, Kit, local
from gateway.web.responses import PageResponse, see_other
from gateway.web.responses import cookies as set_cookies

_KEPT: Final = 365 * 86400


async def choose(kit: Kit, ask: Ask) -> PageResponse:
    """Remember it in this browser and go back. A GET: nothing of an account hangs on it."""
    if ask.tail not in NAMES:
        raise Refusal(Slug.NOT_FOUND)
    chosen = kit.jar.set(cookies.LANGUAGE, ask.tail, max_age=_KEPT)
    return see_other(local(ask.asked("next")) or OVERVIEW, *set_cookies(chosen))
