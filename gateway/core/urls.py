"""The gateway's own addresses, once. Everything under `PREFIX` and `OIDC`, and `LEAKS`, is answered
here; `FRONT` in a browser, where the configuration says so."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

FRONT: Final = "/"
PREFIX: Final = "/+auth"
OVERVIEW: Final = "/+auth/"
LOGIN: Final = "/+auth/login"
LOGOUT: Final = "/+auth/logout"
VERIFY: Final = "/+auth/verify"
CANCEL: Final = "/+auth/verify/cancel"
ENROL: Final = "/+auth/enrol"
PASSWORD: Final = "/+auth/password"  # noqa: S105 - a path
STEP_UP: Final = "/+auth/confirm"
APPROVE: Final = "/+auth/approve"
INVITE: Final = "/+auth/invite"
TOKENS: Final = "/+auth/tokens"
API_TOKENS: Final = "/+auth/api/tokens"
API_LOGIN: Final = "/+auth/api/login"
API_LOGIN_POLL: Final = "/+auth/api/login/poll"
CONNECT: Final = "/+auth/connect"
BURN: Final = "/+auth/api/tokens/burn"
OIDC: Final = "/_/oidc"
OIDC_AUDIENCE: Final = "/_/oidc/audience"
OIDC_MINT: Final = frozenset({"/_/oidc/mint-token", "/_/oidc/github/mint-token"})
LEAKS: Final = "/_/secrets/disclose-token"
READ: Final = "/+auth/read"
ADMIN: Final = "/+auth/admin"
HEALTH: Final = "/+auth/health"
READY: Final = "/+auth/ready"
LANGUAGE: Final = "/+auth/language"
STATIC: Final = "/+auth/static"


def base_of(public_url: str) -> str:
    """The path of the address people use, without a slash at its end; "" for a host's root."""
    return urlsplit(public_url).path.rstrip("/")


def below(base: str, target: str) -> str:
    """A local target as browsers have it, from one as the rules have it."""
    return base + target if target.startswith("/") else target


def without_base(base: str, target: str) -> str:
    """The other way round; "" for a target that lies elsewhere on the host."""
    if not base:
        return target
    inside = target.removeprefix(base)
    if inside == target:
        return ""
    return inside if inside.startswith("/") else "/" + inside if inside[:1] in ("", "?") else ""


def own(path: str) -> bool:
    """Whether a canonical path is one of the gateway's own."""
    return path in (PREFIX, LEAKS) or path.startswith((PREFIX + "/", OIDC + "/"))


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
