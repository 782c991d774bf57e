"""What a person who is logged in sees and changes: factors, sessions, remembered devices."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import quote

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.login.models import Enrolment, Session, Waiting
from gateway.core.login.self_service import FactorRow, Overview
from gateway.core.phrases import _
from gateway.core.urls import LOGIN, LOGOUT, OVERVIEW, PREFIX
from gateway.core.wording import device_name, time_left
from gateway.web.context import Ask, Kit, with_query
from gateway.web.handlers import activity, enrolment, second_factor, tokens
from gateway.web.handlers.activity import ACTIVITY
from gateway.web.handlers.enrolment import RECOVERY
from gateway.web.handlers.sessions import END_OTHERS, SESSIONS
from gateway.web.responses import PageResponse, see_other
from gateway.web.responses import cookies as set_cookies

FACTOR: Final = f"{PREFIX}/factor"
RENAME: Final = f"{PREFIX}/rename"
REMOVE: Final = f"{PREFIX}/remove"
FORGET: Final = f"{PREFIX}/devices/forget"
REMEMBER: Final = f"{PREFIX}/devices/remember"

WHERE: Final = {
    "ACTIVITY": ACTIVITY,
    "FACTOR": FACTOR,
    "RECOVERY": RECOVERY,
    "SESSIONS": SESSIONS,
    "END_OTHERS": END_OTHERS,
    "FORGET": FORGET,
    "REMEMBER": REMEMBER,
}
"""The same for the template."""

# What was just done, said on the overview afterwards. The address carries only the key.
DONE: Final = {
    "factor": _("Your second factor is switched on. Your other sessions were logged out."),
    "added": _("“{name}” was added. Your other sessions were logged out."),
    "codes": _("Your new recovery codes are confirmed."),
    "renamed": _("The device has its new name."),
    "removed": _("The device is removed. Your other sessions were logged out."),
    "forgotten": _("The device is no longer remembered."),
    "remembered": _("This device is remembered."),
    "already": _("You are logged in already."),
    "cancelled": _("The set-up was cancelled. Nothing has changed."),
}


_ENDS_OTHERS: Final = frozenset({"factor", "added", "codes", "removed"})


def done(key: str) -> str:
    """Where to go after a change, with word of it."""
    return f"{OVERVIEW}?done={key}"


async def overview(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    seen = await kit.flow.manage.overview(session, device_cookie=kit.cookie(ask, cookies.DEVICE))
    due = seen.required_from
    unsaved = await kit.flow.unfinished.unsaved(session)
    said = DONE.get(ask.asked("done"))
    newest = max(seen.factors, key=lambda row: row.added).name if seen.factors else ""
    api_tokens = None
    if kit.config.tokens is not None:
        found = [row for row in await tokens.rows(kit, session) if row.live]
        api_tokens = {"live": len(found), "left": len([row for row in found if row.undecided])}
    return kit.page(
        ask,
        "overview.html",
        session=session,
        administers=session.user_id in kit.config.admins,
        api_tokens=api_tokens,
        waiting=[_waiting(kit, one) for one in await kit.flow.approving.all_waiting(session)],
        new_token=tokens.NEW,
        where=WHERE,
        add=enrolment.ADD,
        seen=seen,
        code_used=await _code_used(kit, session, seen),
        unsaved=unsaved,
        begun=await kit.flow.unfinished.begun(session),
        next=ask.next(),
        sessions=sorted(seen.sessions, key=lambda row: (not row.current, -row.last_seen)),
        said=said.filled(name=newest) if said else "",
        ended=await activity.ended(kit, session) if ask.asked("done") in _ENDS_OTHERS else (),
        activity=await activity.latest(kit, session),
        due_in=time_left(due - kit.clock()) if due is not None and due > kit.clock() else "",
        remembers=kit.flow.limits.remember > 0,
        remembered=any(row.current for row in seen.devices),
    )


def _waiting(kit: Kit, one: Waiting) -> dict[str, object]:
    left = max(0.0, one.expires - kit.clock())
    return {
        "id": one.id,
        "client": device_name(one.user_agent),
        "address": one.address,
        "left": time_left(left),
        "seconds": int(left),
        "expires": one.expires,
    }


async def _code_used(kit: Kit, session: Session, seen: Overview) -> float:
    """When a recovery code was last used, 0.0 where none was."""
    if not seen.recovery_used:
        return 0.0
    return await activity.last_code_used(kit, session, seen.recovery_made)


async def factor(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """One device: its name, and the way to remove it."""
    typed = ask.asked("name") or None
    return await _factor(kit, ask, session, await _row(kit, session, ask.tail), typed=typed)


def back(ask: Ask) -> str:
    """The page of the device that a form is about."""
    id = quote(ask.value("id"), safe="")
    return with_query(f"{FACTOR}/{id}", name=ask.value("name")) if id else OVERVIEW


async def rename(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    row, name = await _row(kit, session, ask.value("id")), ask.value("name")
    try:
        if not name:
            raise Refusal(Slug.FIELD_MISSING, what=_("The name"))
        cookie = await kit.flow.manage.rename(session, row.kind, row.id, name, ask.caller)
    except Refusal as refusal:
        if refusal.slug in (Slug.NAME_TAKEN, Slug.UNUSABLE_LABEL, Slug.FIELD_MISSING):
            return await _factor(kit, ask, session, row, refusal, typed=name)
        raise
    return _renewed(kit, "renamed", cookie)


async def remove(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    row = await _row(kit, session, ask.value("id"))
    try:
        cookie = await kit.flow.manage.remove(session, row.kind, row.id, ask.caller)
    except Refusal as refusal:
        if refusal.slug == Slug.LAST_FACTOR:
            return await _factor(kit, ask, session, row, refusal)
        raise
    return _renewed(kit, "removed", cookie)


async def recovery_form(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """What new recovery codes mean, and the factor they are made for."""
    return await _recovery_form(kit, ask, session)


async def recovery(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Make new codes in place of the old ones, for a factor shown in the same form.

    One shown a moment ago for something else does not do: the codes outlive everything that a
    session can be used for.
    """
    try:
        cookie = await second_factor.prove(kit, ask, session)
    except Refusal as refusal:
        if second_factor.again(refusal):
            return await _recovery_form(kit, ask, session, refusal)
        raise
    renewed = await kit.flow.earned.session(cookie)
    try:
        if renewed is None:
            raise Refusal(Slug.PENDING_EXPIRED)
        made = await kit.flow.enrolling.recovery(renewed, ask.caller)
    except Refusal as refusal:  # the session goes on under its new id all the same
        again = await _recovery_form(
            kit, replace(ask, bound_to=cookie), renewed or session, refusal
        )
        return again.plus(*set_cookies(kit.jar.set(cookies.SESSION, cookie)))
    return await enrolment.after(kit, ask, renewed, made)


async def _recovery_form(
    kit: Kit, ask: Ask, session: Session, error: Refusal | None = None
) -> PageResponse:
    kinds = await kit.flow.at_once.kinds(session)
    if not kinds:
        raise Refusal(Slug.NO_SUCH_FACTOR)
    choices = second_factor.choose(ask, kinds, error)
    seen = await kit.flow.manage.overview(session)
    return kit.page(
        ask,
        "recovery.html",
        session=session,
        error=second_factor.for_kind(choices.kind, error),
        script=choices.script,
        choices=choices,
        seen=seen,
        code_used=await _code_used(kit, session, seen),
        here=RECOVERY,
        options=second_factor.STEP_UP_OPTIONS,
    )


async def forget(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    await kit.flow.manage.forget_device(session, ask.value("id"), ask.caller)
    return see_other(done("forgotten"))


async def remember(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Remember the device this browser runs on."""
    cookie = await kit.flow.manage.remember(session, ask.caller)
    kept = int(kit.flow.limits.remember)
    return see_other(
        done("remembered"), *set_cookies(kit.jar.set(cookies.DEVICE, cookie, max_age=kept))
    )


async def logout_form(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """The address opened as it is: a button, because looking at a page changes nothing."""
    return kit.page(ask, "logout.html", session=session, here=LOGOUT)


async def logout(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """End the session here and the index's own, and forget their cookies."""
    earned = await kit.flow.earned.end(kit.cookie(ask, cookies.SESSION), ask.caller)
    gone = dict.fromkeys((*earned, *await kit.index_logins.end(ask.facts)))
    return see_other(LOGIN, *set_cookies(*gone, kit.jar.clear(cookies.SESSION)))


async def logged_out(kit: Kit, ask: Ask) -> PageResponse:
    """Nobody is logged in, or no longer; the index may still have a cookie of its own here."""
    page = kit.page(ask, "logout.html", here=LOGOUT)
    gone = () if ask.facts.safe else await kit.index_logins.end(ask.facts)
    return page.plus(*set_cookies(*gone))


async def _row(kit: Kit, session: Session, id: str) -> FactorRow:
    seen = await kit.flow.manage.overview(session)
    for row in seen.factors:
        if row.id == id:
            return row
    raise Refusal(Slug.NO_SUCH_FACTOR)


async def _factor(
    kit: Kit,
    ask: Ask,
    session: Session,
    row: FactorRow,
    error: Refusal | None = None,
    *,
    typed: str | None = None,
) -> PageResponse:
    """typed: the name that was typed, None for none."""
    seen = await kit.flow.manage.overview(session)
    required = kit.flow.limits.enrolment is not Enrolment.OPTIONAL
    return kit.page(
        ask,
        "factor.html",
        session=session,
        error=error,
        row=row,
        name=row.name if typed is None else typed,
        name_wrong=error is not None and typed is not None,
        last=len(seen.factors) == 1,
        kept=len(seen.factors) == 1 and required,
        add=enrolment.ADD,
        rename=RENAME,
        remove=REMOVE,
    )


def _renewed(kit: Kit, key: str, cookie: str) -> PageResponse:
    return see_other(done(key), *set_cookies(kit.jar.set(cookies.SESSION, cookie)))
