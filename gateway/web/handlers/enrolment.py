"""Setting up an authenticator app and recovery codes, within a login or on a session.

The same steps under two addresses: /+auth/enrol for a login that has no second factor yet,
/+auth/add for a person who is logged in. Recovery codes are answered to the form that earned
them and never again: they are stored only as keyed hashes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import quote

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.http.facts import Field
from gateway.core.login.enrolment import Enrolled, TotpOffer
from gateway.core.login.models import Pending, Session
from gateway.core.urls import ENROL, OVERVIEW, PREFIX
from gateway.web import rendering
from gateway.web.context import SEEN, SENT, Ask, Kit
from gateway.web.responses import CODES, PageResponse, see_other
from gateway.web.responses import cookies as set_cookies

ADD: Final = f"{PREFIX}/add"
RECOVERY: Final = f"{PREFIX}/recovery"
_USUAL_NAME: Final = "Authenticator app"
_START_AGAIN: Final = frozenset({Slug.NAME_TAKEN, Slug.UNUSABLE_LABEL, Slug.TOO_MANY_FACTORS})
_CODE_AGAIN: Final = frozenset({Slug.OTP_INVALID, Slug.CLOCK_OFF})


def base(who: Pending | Session) -> str:
    """Under which address this person's set-up runs."""
    return ENROL if isinstance(who, Pending) else ADD


async def show(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """The secret on offer, or the page that starts an offer."""
    offer = await kit.flow.enrolling.offered(who)
    return _start(kit, ask, who) if offer is None else _offer(kit, ask, who, offer)


async def start(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """Offer a new secret under the name the person chose."""
    name = ask.value("name")
    if not name:
        return _start(kit, ask, who, name, Refusal(Slug.FIELD_MISSING, what="The name"))
    try:
        await kit.flow.enrolling.totp(who, name)
    except Refusal as refusal:
        if refusal.slug in _START_AGAIN:
            return _start(kit, ask, who, name, refusal)
        raise
    return see_other(base(who))


async def confirm(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """A code from the app shows that the secret arrived there."""
    code = ask.value("code")
    try:
        if not code:
            raise Refusal(Slug.FIELD_MISSING, what="The code")
        enrolled = await kit.flow.enrolling.confirm_totp(who, code, ask.caller)
    except Refusal as refusal:
        offer = await kit.flow.enrolling.offered(who)
        if offer is not None and refusal.slug in _CODE_AGAIN | {Slug.FIELD_MISSING}:
            return _offer(kit, ask, who, offer, refusal)
        if refusal.slug == Slug.ENROLMENT_EXPIRED:
            return _start(kit, ask, who, error=refusal)
        raise
    return await after(kit, ask, who, enrolled)


async def codes_anew(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """Fresh codes for a person who lost the page before finishing.

    Who has a factor to show makes new ones by it; at the first set-up there is none yet.
    """
    if isinstance(who, Session) and await kit.flow.at_once.kinds(who):
        return see_other(RECOVERY)
    return await after(kit, ask, who, await kit.flow.enrolling.shown_again(who))


async def finish_form(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """The last step without the codes: a reload shows them no second time."""
    if not await kit.flow.enrolling.unfinished(who):
        return see_other(ENROL if isinstance(who, Pending) else OVERVIEW)
    return await _codes(kit, ask, who, ())


async def finish(kit: Kit, ask: Ask, who: Pending | Session) -> PageResponse:
    """One code typed, or the tick that they are saved, completes the set-up."""
    try:
        enrolled = await kit.flow.enrolling.finish(
            who, ask.caller, code=ask.value("code"), saved=ask.value("saved") == "yes"
        )
    except Refusal as refusal:
        if refusal.slug == Slug.RECOVERY_UNCONFIRMED:
            return await _codes(kit, ask, who, (), refusal)
        raise
    return await after(kit, ask, who, enrolled)


async def after(kit: Kit, ask: Ask, who: Pending | Session, enrolled: Enrolled) -> PageResponse:
    """What a step led to: codes to show, a login that is complete, or a session renewed."""
    if enrolled.passed is not None:
        return await kit.passed(ask, enrolled.passed)
    renewed: tuple[Field, ...] = ()
    if enrolled.cookie:
        renewed = set_cookies(kit.jar.set(cookies.SESSION, enrolled.cookie))
        ask = replace(ask, bound_to=enrolled.cookie)
    if enrolled.codes:
        replaced = enrolled.kind == "recovery"
        shown = await _codes(kit, ask, who, enrolled.codes, replaced=replaced)
        return shown.plus(*renewed)
    what = "codes" if enrolled.kind == "recovery" else "factor"
    return see_other(f"{OVERVIEW}?done={what}", *renewed)


def _session(who: Pending | Session) -> Session | None:
    return who if isinstance(who, Session) else None


def _start(
    kit: Kit,
    ask: Ask,
    who: Pending | Session,
    name: str = _USUAL_NAME,
    error: Refusal | None = None,
) -> PageResponse:
    return kit.page(
        ask,
        "enrol_start.html",
        session=_session(who),
        error=error,
        who=who,
        base=base(who),
        name=name,
        first=isinstance(who, Pending),
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
        session=_session(who),
        error=error,
        base=base(who),
        offer=offer,
        qr=rendering.svg(offer.uri, "QR code for your authenticator app"),
    )


async def _codes(
    kit: Kit,
    ask: Ask,
    who: Pending | Session,
    codes: tuple[str, ...],
    error: Refusal | None = None,
    *,
    replaced: bool = False,
) -> PageResponse:
    """replaced: there were codes before, which have ended."""
    has_factor = isinstance(who, Session) and bool(await kit.flow.at_once.kinds(who))
    text = "\n".join(
        [f"Recovery codes for {who.user} at {kit.config.issuer}", "Each works once.", "", *codes]
    )
    return kit.page(
        ask,
        "codes.html",
        session=_session(who),
        error=error,
        script=CODES if codes else "",
        base=base(who),
        who=who,
        codes=codes,
        replaced=replaced,
        anew=RECOVERY if has_factor else "",
        file="data:text/plain;charset=utf-8," + quote(text + "\n"),
    )


STEPS: Final = (
    ("", show, confirm),
    ("/start", None, start),
    ("/recovery", finish_form, finish),
    ("/codes", None, codes_anew),
)
"""The steps by the end of their address: what GET and what POST does."""

FRESH: Final = {"": SEEN, "/start": SENT, "/recovery": frozenset[str](), "/codes": SENT}
"""On a session: which of them take a recent second factor."""
