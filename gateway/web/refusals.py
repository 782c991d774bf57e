"""Refusals as pages: what happened, and the way on.

Every word of a refusal but that on a button comes from `gateway.core.errors`. No way on leads to
the address that just failed, unless the same may work in a moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.http.facts import Facts
from gateway.core.http.origin import opened, origin_of
from gateway.core.http.request_id import at_hand
from gateway.core.phrases import Catalogue, _
from gateway.core.urls import ADMIN, ENROL, LOGIN, OVERVIEW, PASSWORD, login_for, own, without_base
from gateway.web.context import Kit, error_fields, local, page_path, safe_next
from gateway.web.csrf import FIELD
from gateway.web.rendering import render
from gateway.web.responses import PageResponse, as_json


@dataclass(frozen=True, slots=True)
class Way:
    """Where a request that was refused may go on; "" where nothing is known.

    back: the page its form was on, with what was typed. login: where its login begins anew.
    """

    back: str = ""
    login: str = ""


NOWHERE: Final = Way()


@dataclass(frozen=True, slots=True)
class NextStep:
    """One thing to do next: the words on the button, and where it leads."""

    label: str
    target: str


@dataclass(frozen=True, slots=True)
class _Named:
    """Whose session a browser shows, as far as its cookie tells."""

    user: str


_LOG_IN: Final = frozenset(
    {
        Slug.CREDENTIAL_ENDED,
        Slug.SECOND_FACTOR_REQUIRED,
        Slug.SECOND_FACTOR_STALE,
        Slug.OTP_REQUIRED,
        Slug.PASSWORD_INVALID,
    }
)
_LOG_IN_AGAIN: Final = frozenset({Slug.PENDING_EXPIRED, Slug.OTP_INVALID, Slug.MIXED_CREDENTIALS})
_START_AGAIN: Final = frozenset(
    {
        Slug.BAD_FORM,
        Slug.BODY_TOO_LARGE,
        Slug.CHANGED_MEANWHILE,
        Slug.CLOCK_OFF,
        Slug.CSRF,
        Slug.ENROLMENT_EXPIRED,
    }
)
_TRY_AGAIN: Final = frozenset(
    {
        Slug.CROWDED,
        Slug.INTERNAL,
        Slug.REQUEST_TIMEOUT,
        Slug.STORE_UNAVAILABLE,
        Slug.THROTTLED,
        Slug.UPSTREAM_BROKEN,
        Slug.UPSTREAM_TIMEOUT,
        Slug.UPSTREAM_UNREACHABLE,
    }
)
_OVERVIEW: Final = frozenset(
    {Slug.NO_SUCH_FACTOR, Slug.NO_SUCH_TOKEN, Slug.TOO_MANY_FACTORS, Slug.APPROVAL_GONE}
)
_LOGGED_OUT: Final = _LOG_IN | _LOG_IN_AGAIN


def page(
    kit: Kit, facts: Facts | None, refusal: Refusal, language: Catalogue, way: Way = NOWHERE
) -> PageResponse:
    """The page for a refusal. facts: None where the request's head could not be read."""
    # No form for what a page's script has fetched: it would read the form's token.
    shown = facts is not None and opened(facts) and refusal.slug not in _LOGGED_OUT
    cookie = kit.jar.read(facts, cookies.SESSION) if facts is not None else ""
    user = kit.flow.services.sessions.named(cookie) if shown else ""
    body = render(
        "refusal.html",
        kit.config.base,
        language,
        kit.config.look,
        issuer=kit.config.issuer,
        session=_Named(user) if user else None,
        token=lambda action: kit.tokens.make(cookie, action),
        token_field=FIELD,
        page_path=page_path(facts),
        title=refusal.message.title,
        text=refusal.said(language),
        slug=refusal.slug,
        request=at_hand(),
        act=_act(facts, refusal.slug, way if way.back else replace(way, back=_form_of(kit, facts))),
        others=_others(facts, refusal.slug, signed_in=bool(user)),
    )
    said_in = ("content-language", language.code)
    return PageResponse(refusal.status, body, fields=(said_in, *error_fields(refusal)))


def for_script(refusal: Refusal, language: Catalogue, goto: str = "") -> PageResponse:
    """The refusal for our own script, which shows the sentence or goes on to another page."""
    more = {"goto": goto, "request": at_hand()}
    body = {"message": refusal.said(language), "slug": refusal.slug}
    body |= {name: value for name, value in more.items() if value}
    return as_json(refusal.status, body).plus(*error_fields(refusal))


def _form_of(kit: Kit, facts: Facts | None) -> str:
    """The page that a form of the index was on, as far as the browser says; "" for unknown."""
    if facts is None or facts.safe:
        return ""
    home = origin_of(kit.config.public_url)
    target = (facts.first("referer") or "").removeprefix(home)
    return local(without_base(kit.config.base, target)) if target.startswith("/") else ""


def _act(facts: Facts | None, slug: Slug, way: Way) -> NextStep | None:
    """The one thing to do next."""
    seen = facts is not None and facts.safe
    if slug in _LOG_IN:
        back = safe_next(facts.target) if facts is not None and seen else ""
        return NextStep(_("Log in"), login_for(back) if back else LOGIN)
    if slug in _LOG_IN_AGAIN:
        return NextStep(_("Log in again"), way.login or LOGIN)
    if slug == Slug.INVITE_USED:
        return NextStep(_("Log in"), LOGIN)
    if slug == Slug.NOT_ENROLLED:
        return NextStep(_("Set up a second factor"), ENROL)
    if slug in (Slug.APPROVAL_DENIED, Slug.APPROVAL_REPORTED):
        return NextStep(_("Change password"), PASSWORD)
    if slug in _OVERVIEW:
        return NextStep(_("Security overview"), OVERVIEW)
    if slug in _START_AGAIN and way.back and not seen:
        return NextStep(_("Start again"), way.back)
    if slug in _TRY_AGAIN:
        again = facts.target if facts is not None and seen else way.back
        return NextStep(_("Try again"), again) if again else None
    return None


def _others(facts: Facts | None, slug: Slug, *, signed_in: bool) -> list[NextStep]:
    """Where else there is to go."""
    path = facts.path if facts is not None else ""
    found = []
    # A page that there is for some people only may be one that they see once they have logged in.
    if slug == Slug.NOT_FOUND and not signed_in and facts is not None and facts.safe:
        found.append(NextStep(_("Log in"), login_for(safe_next(facts.target) or OVERVIEW)))
    if signed_in and path.startswith(f"{ADMIN}/") and slug != Slug.NOT_FOUND:
        found.append(NextStep(_("People"), f"{ADMIN}/"))
    if signed_in and path != OVERVIEW.rstrip("/") and own(path):
        found.append(NextStep(_("Security overview"), OVERVIEW))
    if path != "/":
        found.append(NextStep(_("Back to the index"), "/"))
    elif not signed_in:
        found.append(NextStep(_("Log in"), LOGIN))
    else:
        found.append(NextStep(_("Security overview"), OVERVIEW))
    return found
