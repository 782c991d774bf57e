"""The page at `/` in place of the index's own: the way in, and how pip and twine are told of it.

It names no project, so that anybody may read it at a private index, too.
"""

from __future__ import annotations

from typing import Final

from gateway.core.http import cookies
from gateway.core.login.models import Session
from gateway.core.store import StoreUnavailable
from gateway.web.context import Ask, Kit
from gateway.web.responses import CODES, PageResponse

PACKAGES: Final = "/simple/"
"""Of pypiserver, the only index that has this page."""


async def show(kit: Kit, ask: Ask) -> PageResponse:
    """For anybody; who is logged in is told so, as long as the store says it."""
    config, session = kit.config, await _session(kit, ask)
    simple = config.public_url + PACKAGES
    return kit.page(
        ask,
        "front.html",
        script=CODES,
        session=session,
        session_cookie=kit.cookie(ask, cookies.SESSION) if session else "",
        packages=PACKAGES,
        private=config.private,
        install=f"pip install --index-url {simple} PACKAGE",
        always=f"pip config set global.index-url {simple}",
        upload=f"twine upload --repository-url {config.public_url}/ dist/*",
    )


async def _session(kit: Kit, ask: Ask) -> Session | None:
    try:
        return await kit.flow.earned.session(kit.cookie(ask, cookies.SESSION))
    except StoreUnavailable:
        return None
