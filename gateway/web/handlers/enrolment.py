"""Setting up an authenticator app and recovery codes, within a login or on a session.

The same steps under two addresses: /+auth/enrol for a login that has no second factor yet,
/+auth/add for a person who is logged in. Every step answers a form by leading to a page that can
be looked at again: a reload, the way back, another tab lose nothing.
"""

from __future__ import annotations

from typing import Final, TypedDict
from urllib.parse import quote

from gateway.core import urls
from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.http.facts import Field
from gateway.core.login.enrolment import Enrolled, TotpOffer
from gateway.core.login.models import Pending, Session
from gateway.core.login.unfinished import UnsavedCodes
from gateway.core.phrases import _, say
from gateway.core.urls import ENROL, OVERVIEW, PREFIX, step_up_for
from gateway.web import rendering
from gateway.web.context import SEEN, SENT, Ask, Kit, with_query
from gateway.web.responses import CODES, PageResponse, see_other
from gateway.web.responses import cookies as set_cookies

ADD: Final = f"{PREFIX}/add"
CANCEL: Final = f"{ADD}/cancel"
RECOVERY: Final = f"{PREFIX}/recovery"
_USUAL_NAME: Final = _("Authenticator app")
_START_AGAIN: Final = frozenset({Slug.NAME_TAKEN, Slug.UNUSABLE_LABEL, Slug.TOO_MANY_FACTORS})
_CODE_AGAIN: Final = frozenset(
    {Slug.OTP_INVALID, Slug.CLOCK_OFF, Slug.FIELD_MISSING, Slug.OFFER_REPLACED}
)


def base(who: Pending | Session) -> str:
    """Under which address this person's set-up runs."""
    return ENROL if isinstance(who, Pending) else ADD


def back(ask: Ask) -> str:
    """The page that a form of the set-up is on."""
    page = ask.facts.path.removesuffix("/start")
    return with_query(page, name=ask.value("name"), next=ask.next())


async def cancel(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Forget what was begun on a session; what is part of the account stays."""
    await kit.flow.unfinished.drop(session)
    return see_other(ask.next() or f"{OVERVIEW}?done=cancelled")


async def show(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """The secret on offer, or the page that starts an offer."""
    offer = await kit.flow.enrolling.offered(who)
    if offer is not None:
        return _offer(kit, ask, who, offer)
    waiting = await kit.flow.unfinished.unsaved(who)
    name = ask.asked("name") or None
    return _start(kit, ask, who, name, waits=waiting.device if waiting else "")


async def start(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """Offer a new secret under the name the person chose."""
    name = ask.value("name")
    if not name:
        return _start(kit, ask, who, name, Refusal(Slug.FIELD_MISSING, what=_("The name")))
    try:
        await kit.flow.enrolling.totp(who, name)
    except Refusal as refusal:
        if refusal.slug in _START_AGAIN:
            return _start(kit, ask, who, name, refusal)
        raise
    return see_other(with_query(base(who), next=ask.next()))


async def confirm(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """A code from the app shows that the secret arrived there."""
    code = ask.value("code")
    try:
        if not code:
            raise Refusal(Slug.FIELD_MISSING, what=_("The code"))
        mark = ask.value("offer")
        enrolled = await kit.flow.enrolling.confirm_totp(who, code, ask.caller, mark=mark)
    except Refusal as refusal:
        offer = await kit.flow.enrolling.offered(who)
        if offer is not None and refusal.slug in _CODE_AGAIN:
            return _offer(kit, ask, who, offer, refusal)
        return await ended(kit, ask, who, refusal)
    return await after(kit, ask, who, enrolled)


async def ended(kit: Kit, ask: Ask, who: Pending | Session, refusal: Refusal) -> PageResponse:
    """A step of a set-up that is not at this step any more: on to where it is.

    Raises:
        Refusal: the same, where it is about something else.
    """
    if refusal.slug not in (Slug.ENROLMENT_EXPIRED, Slug.FIELD_MISSING):
        raise refusal
    waiting = await kit.flow.unfinished.unsaved(who)
    if waiting is not None and waiting.device:  # the form was sent twice, or in another tab
        return see_other(with_query(f"{base(who)}/recovery", next=ask.next()))
    return _start(kit, ask, who, error=Refusal(Slug.ENROLMENT_EXPIRED))


async def finish_form(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """The last step: the codes, until somebody says that they are saved."""
    waiting = await kit.flow.unfinished.unsaved(who)
    if waiting is None:
        return see_other(ENROL if isinstance(who, Pending) else OVERVIEW)
    return _codes(kit, ask, who, waiting)


async def finish(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """One code typed, or the tick that they are saved, completes the set-up."""
    try:
        enrolled = await kit.flow.enrolling.finish(
            who, ask.caller, code=ask.value("code"), saved=ask.value("saved") == "yes"
        )
    except Refusal as refusal:
        waiting = await kit.flow.unfinished.unsaved(who)
        if waiting is not None and refusal.slug == Slug.RECOVERY_UNCONFIRMED:
            return _codes(kit, ask, who, waiting, refusal)
        return await ended(kit, ask, who, refusal)
    return await after(kit, ask, who, enrolled, first=True)


async def after(
    kit: Kit, ask: Ask, who: Pending | Session, enrolled: Enrolled, *, first: bool = False
) -> PageResponse:
    """Where a step leads: to codes to save, to where a login was meant to go, to the overview.

    Args:
        first: it was the last step of the first factor.
    """
    if enrolled.passed is not None:
        return await kit.passed(ask, enrolled.passed)
    renewed: tuple[Field, ...] = ()
    if enrolled.cookie:
        renewed = set_cookies(kit.jar.set(cookies.SESSION, enrolled.cookie))
    if enrolled.codes:
        return see_other(with_query(f"{base(who)}/recovery", next=ask.next()), *renewed)
    what = "codes" if enrolled.kind == "recovery" else "factor" if first else "added"
    came_from = ask.next() if what == "factor" else ""
    return see_other(came_from or f"{OVERVIEW}?done={what}", *renewed)


def frame(ask: Ask, who: Pending | Session) -> Frame:
    """What every step has: whose it is, where its forms lead, and the way out."""
    return {
        "session": who if isinstance(who, Session) else None,
        "pending": who if isinstance(who, Pending) else None,
        "base": base(who),
        "first": isinstance(who, Pending) or not who.factor,
        "cancel": urls.CANCEL if isinstance(who, Pending) else CANCEL,
        "next": ask.next(),
    }


class Frame(TypedDict):
    session: Session | None
    pending: Pending | None
    base: str
    first: bool
    cancel: str
    next: str


def _start(
    kit: Kit,
    ask: Ask,
    who: Pending | Session,
    name: str | None = None,
    error: Refusal | None = None,
    *,
    waits: str = "",
) -> PageResponse:
    """waits: the name of a device that was connected and whose codes are not saved yet."""
    return kit.page(
        ask,
        "enrol_start.html",
        **frame(ask, who),
        error=error,
        who=who,
        name=say(_USUAL_NAME, ask.language) if name is None else name,
        waits=waits,
    )


def _offer(
    kit: Kit,
    ask: Ask,
    who: Pending | Session,
    offer: TotpOffer,
    error: Refusal | None = None,
) -> PageResponse:
    return kit.page(
        ask,
        "enrol_totp.html",
        **frame(ask, who),
        error=error,
        offer=offer,
        qr=rendering.svg(offer.uri, say(_("QR code for your authenticator app"), ask.language)),
    )


def _codes(
    kit: Kit,
    ask: Ask,
    who: Pending | Session,
    waiting: UnsavedCodes,
    error: Refusal | None = None,
) -> PageResponse:
    here = f"{base(who)}/recovery"
    title = _("Recovery codes for {user} at {index}", user=who.user, index=kit.config.issuer)
    head = (say(title, ask.language), say(_("Each works once."), ask.language))
    text = "\n".join([*head, "", *waiting.codes])
    return kit.page(
        ask,
        "codes.html",
        **frame(ask, who),
        error=error,
        script=CODES if waiting.codes else "",
        who=who,
        waiting=waiting,
        here=here,
        again=step_up_for(here) if waiting.locked else "",
        anew=RECOVERY,
        file="data:text/plain;charset=utf-8," + quote(text + "\n"),
    )


STEPS: Final = (
    ("", show, confirm),
    ("/start", None, start),
    ("/recovery", finish_form, finish),
)
"""The steps by the end of their address: what GET and what POST does."""

FRESH: Final = {"": SEEN, "/start": SENT, "/recovery": frozenset[str]()}
"""On a session: which of them take a recent second factor."""
