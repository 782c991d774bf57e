"""The gateway's own addresses, once. Everything under `PREFIX` is answered here."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

PREFIX: Final = "/+auth"
OVERVIEW: Final = "/+auth/"
LOGIN: Final = "/+auth/login"
LOGOUT: Final = "/+auth/logout"
VERIFY: Final = "/+auth/verify"
ENROL: Final = "/+auth/enrol"
STEP_UP: Final = "/+auth/confirm"
APPROVE: Final = "/+auth/approve"
INVITE: Final = "/+auth/invite"
HEALTH: Final = "/+auth/health"
STATIC: Final = "/+auth/static"


def own(path: str) -> bool:
    """Whether a canonical path is one of the gateway's own."""
    return path == PREFIX or path.startswith(PREFIX + "/")


def overview_for(target: str) -> str:
    """The security overview, leading on to a local target ("": the front page) afterwards."""
    if target == OVERVIEW:
        return OVERVIEW
    return f"{OVERVIEW}?next={quote(target or '/', safe='/')}"


def login_for(target: str) -> str:
    """The login page, leading back to a local target afterwards."""
    return f"{LOGIN}?next={quote(target, safe='/')}"


def step_up_for(target: str) -> str:
    """The page that asks for the second factor again, leading back to a local target."""
    return f"{STEP_UP}?next={quote(target, safe='/')}"
