"""A refusal as a page. Every word but the button's comes from `gateway.core.errors`."""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts
from gateway.core.urls import ENROL, LOGIN, login_for
from gateway.web.context import error_fields, safe_next
from gateway.web.ports import PagesConfig
from gateway.web.rendering import render
from gateway.web.responses import Reply, as_json

_LOG_IN: Final = frozenset(
    {"second_factor_required", "second_factor_stale", "otp_required", "password_invalid"}
)
_START_AGAIN: Final = frozenset({"pending_expired", "otp_invalid", "mixed_credentials"})


def page(config: PagesConfig, facts: Facts | None, refusal: Refusal) -> Reply:
    """The page for a refusal. facts: None where the request's head could not be read."""
    body = render(
        "refusal.html",
        config.base,
        issuer=config.issuer,
        session=None,
        title=refusal.message.title,
        text=refusal.text,
        slug=refusal.slug,
        act=_act(facts, refusal.slug),
    )
    return Reply(refusal.status, body, fields=error_fields(refusal))


def for_script(refusal: Refusal) -> Reply:
    """The refusal for our own script, which shows the sentence."""
    body = {"message": refusal.text, "slug": refusal.slug}
    return as_json(refusal.status, body).plus(*error_fields(refusal))


def _act(facts: Facts | None, slug: str) -> tuple[str, str] | None:
    """The one thing to do next: the words on the button and where it leads."""
    if slug in _LOG_IN:
        back = safe_next(facts.target) if facts is not None and facts.safe else ""
        return ("Log in", login_for(back) if back else LOGIN)
    if slug in _START_AGAIN:
        return ("Log in again", LOGIN)
    if slug == "not_enrolled":
        return ("Set up a second factor", ENROL)
    return None
