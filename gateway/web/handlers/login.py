"""The first step: name and password, which only the upstream judges."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.http.origin import at_home
from gateway.core.login.models import Begun, Held, Passed, Session, Step
from gateway.core.phrases import _
from gateway.core.typed import one_time_code, split_code
from gateway.core.urls import ENROL, INVITE, LOGIN, OVERVIEW, PREFIX, VERIFY
from gateway.web.context import Ask, Kit, with_query
from gateway.web.handlers import second_factor
from gateway.web.rendering import moment
from gateway.web.responses import WEBAUTHN, PageResponse, see_other
from gateway.web.responses import cookies as set_cookies

_DONE: Final = {
    "cancelled": _("The set-up was cancelled. Nothing has changed."),
}
PASSKEY: Final = f"{PREFIX}/passkey"
PASSKEY_OPTIONS: Final = f"{PREFIX}/webauthn/login"


async def show(kit: Kit, ask: Ask) -> PageResponse:
    """The form; `?next=` says where to go afterwards, `?user=` who. A set-up that this browser has
    begun is offered to go on with, and somebody who is logged in is told so."""
    await _check_invitation(kit, ask)
    pending = await kit.flow.entering.pending(kit.cookie(ask, cookies.PENDING))
    begun = pending is not None and bool(await kit.flow.unfinished.begun(pending))
    waits = pending.user if pending is not None and begun else ""
    session = await _session(kit, ask)
    return form(kit, ask, ask.asked("user"), waits=waits, session=session)


async def _session(kit: Kit, ask: Ask) -> Session | None:
    return await kit.flow.earned.session(kit.cookie(ask, cookies.SESSION))


def at(*, tail: str = "", user: str = "", next: str = "") -> str:
    """The address of the form, with what is known already. tail: of an invitation."""
    return with_query(f"{INVITE}/{tail}" if tail else LOGIN, user=user, next=next)


def back(ask: Ask) -> str:
    return at(tail=ask.tail, user=ask.value("user"), next=ask.next())


async def _check_invitation(kit: Kit, ask: Ask) -> None:
    """Raises Refusal: `invite_used`, `invite_invalid`."""
    if not ask.tail:
        return
    found = await kit.flow.entering.invitation(ask.tail)
    if found is None:
        raise Refusal(Slug.INVITE_INVALID)
    if found.used:
        raise Refusal(Slug.INVITE_USED, when=moment(found.used))


async def submit(kit: Kit, ask: Ask) -> PageResponse:
    """Ask the upstream, then go on to the second factor, its enrolment, or straight through."""
    await _check_invitation(kit, ask)
    user, password = ask.value("user"), ask.form.get("password", "")
    missing = _("The user name") if not user else "" if password else _("The password")
    if missing:
        refusal = Refusal(Slug.FIELD_MISSING, what=missing)
        return form(kit, ask, user, refusal, session=await _session(kit, ask))
    try:
        held, code = await _checked(kit, ask, user, password)
        held = replace(held, goto=ask.next() or OVERVIEW)
        begun = await kit.flow.entering.begin(
            user,
            held,
            ask.caller,
            device_cookie=kit.cookie(ask, cookies.DEVICE),
            invitation=ask.tail,
        )
    except Refusal as refusal:
        if refusal.slug in (Slug.PASSWORD_INVALID, Slug.UNUSABLE_NAME):
            return form(kit, ask, user, refusal, session=await _session(kit, ask))
        raise
    await kit.flow.unfinished.take_over(kit.cookie(ask, cookies.PENDING), begun)
    if begun.step is Step.VERIFY and code:
        return await _with_code(kit, ask, begun, code)
    return await _go_on(kit, ask, begun, user)


async def _checked(kit: Kit, ask: Ask, user: str, password: str) -> tuple[Held, str]:
    """What the password earns, and the code typed behind it as on a command line, "" for none.

    Raises:
        Refusal: `password_invalid`, `throttled`, `upstream_…`.
    """
    split = split_code(password)
    tries = [(password, ""), *([split] if split else [])]
    for secret, code in tries:
        async with await kit.flow.proofs.trying(user, secret, ask.caller) as attempt:
            held = await kit.checker.check(user, secret, ask.facts)
            if held is not None:
                await attempt.right()
                return held, code
            await attempt.wrong()
    raise Refusal(Slug.PASSWORD_INVALID)


async def _with_code(kit: Kit, ask: Ask, begun: Begun, code: str) -> PageResponse:
    """Both steps in one; a wrong code leaves the login waiting for another."""
    pending = set_cookies(kit.jar.set(cookies.PENDING, begun.cookie))
    waiting = await kit.flow.entering.pending(begun.cookie)
    try:
        if waiting is None:
            raise Refusal(Slug.PENDING_EXPIRED)
        kind = "totp" if one_time_code(code) else "recovery"
        passed = await kit.flow.entering.prove(waiting, kind, code, ask.caller)
    except Refusal as refusal:
        if waiting is None or not second_factor.again(refusal):
            raise
        again = replace(ask, form={}, bound_to=begun.cookie)
        return second_factor.form(kit, again, waiting, refusal).plus(*pending)
    return await kit.passed(ask, passed)


async def _go_on(kit: Kit, ask: Ask, begun: Begun, user: str) -> PageResponse:
    if begun.step is Step.PASSED:
        assert begun.held is not None, "a login that passed says what it earned"
        return await kit.passed(ask, Passed(begun.cookie, begun.held, user))
    return see_other(
        VERIFY if begun.step is Step.VERIFY else ENROL,
        *set_cookies(kit.jar.set(cookies.PENDING, begun.cookie)),
    )


def form(
    kit: Kit,
    ask: Ask,
    user: str = "",
    error: Refusal | None = None,
    *,
    waits: str = "",
    session: Session | None = None,
) -> PageResponse:
    """The login page; a passkey signs in without a name, except on an invitation.

    Args:
        waits: whose set-up has begun in this browser and can go on.
        session: of who is logged in already.
    """
    return kit.page(
        ask,
        "login.html",
        error=error,
        script="" if ask.tail else WEBAUTHN,
        passkey="" if ask.tail else PASSKEY,
        options=PASSKEY_OPTIONS,
        action=f"{INVITE}/{ask.tail}" if ask.tail else LOGIN,
        next=ask.next(),
        user=user,
        invited=bool(ask.tail),
        waits=waits,
        session=session,
        session_cookie=kit.cookie(ask, cookies.SESSION) if session else "",
        said=_DONE.get(ask.asked("done"), "") if ask.facts.safe else "",
        elsewhere="" if at_home(ask.facts, kit.config.public_url) else ask.facts.first("host"),
        home=kit.config.public_url,
    )
