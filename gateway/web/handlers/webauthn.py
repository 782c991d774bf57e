"""Security keys and passkeys: what the script asks for, and the answers it sends as forms.

The script only carries options to the browser's API and puts the answer into a form; the
answer comes in like every other form, with the same token and the same checks.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.http.path import parse_target
from gateway.core.login.models import Pending, Session
from gateway.core.phrases import _
from gateway.core.urls import OVERVIEW, PREFIX, own
from gateway.web.context import Ask, Kit, with_query
from gateway.web.handlers import enrolment, login
from gateway.web.responses import WEBAUTHN, PageResponse, as_json

OPTIONS: Final = f"{PREFIX}/webauthn"
ENROL_OPTIONS: Final = f"{OPTIONS}/enrol"
ADD_OPTIONS: Final = f"{OPTIONS}/add"


async def ask_options(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """Options for navigator.credentials.get(), with a fresh challenge."""
    return _options(await kit.flow.at_once.ask(who, "webauthn"))


async def create_options(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """Options for navigator.credentials.create()."""
    name = ask.value("name")
    if not name:
        raise Refusal(Slug.FIELD_MISSING, what=_("The name"))
    return _options(await kit.flow.enrolling.webauthn(who, name))


async def passkey_options(kit: Kit, ask: Ask) -> PageResponse:
    """Options for a sign-in without a user name, and the ticket its answer comes back with."""
    ticket, options = kit.flow.passkeys.ask()
    return _options(options, ticket=ticket)


async def passkey(kit: Kit, ask: Ask) -> PageResponse:
    """Sign in with a passkey alone."""
    try:
        passed = await kit.flow.passkeys.login(
            ask.value("ticket"),
            ask.value("code"),
            ask.caller,
            device_cookie=kit.cookie(ask, cookies.DEVICE),
            goto=ask.next() or OVERVIEW,
        )
    except Refusal as refusal:
        if refusal.slug in (Slug.OTP_INVALID, Slug.KEY_REFUSED):
            return login.form(kit, ask, error=Refusal(Slug.KEY_REFUSED))
        raise
    session = await kit.flow.earned.session(passed.session_cookie)
    away = not own(parse_target(passed.held.goto).path)
    if session is not None and session.upstream is None and away:
        # The overview says why the page asked for cannot be had this way.
        passed = replace(passed, held=replace(passed.held, goto=OVERVIEW))
    return await kit.passed(ask, passed)


async def add_form(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """The page that registers a key."""
    return _form(kit, ask, who)


def back(ask: Ask) -> str:
    """Where the script leads on whom it was told to show a second factor first."""
    return with_query(f"{enrolment.ADD}/key", name=ask.value("name"))


async def add(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """The browser's answer to `create_options`."""
    try:
        enrolled = await kit.flow.enrolling.confirm_webauthn(who, ask.value("code"), ask.caller)
    except Refusal as refusal:
        if refusal.slug == Slug.KEY_REFUSED:
            return _form(kit, ask, who, refusal)
        return await enrolment.ended(kit, ask, who, refusal)
    return await enrolment.after(kit, ask, who, enrolled)


def _form(kit: Kit, ask: Ask, who: Pending | Session, error: Refusal | None = None) -> PageResponse:
    return kit.page(
        ask,
        "key_add.html",
        **enrolment.frame(ask, who),
        error=error,
        script=WEBAUTHN,
        name=ask.asked("name") if ask.facts.safe else ask.value("name"),
        options=ADD_OPTIONS if isinstance(who, Session) else ENROL_OPTIONS,
    )


def _options(options: str, **more: str) -> PageResponse:
    return as_json(200, {"options": json.loads(options), **more})
