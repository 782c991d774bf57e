"""The first step: name and password, which only the upstream judges."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.login.models import Begun, Held, Passed, Step
from gateway.core.phrases import _
from gateway.core.typed import one_time_code, split_code
from gateway.core.urls import ENROL, INVITE, LOGIN, OVERVIEW, PREFIX, VERIFY
from gateway.web.context import Ask, Kit
from gateway.web.handlers import second_factor
from gateway.web.responses import WEBAUTHN, PageResponse, see_other
from gateway.web.responses import cookies as set_cookies

PASSKEY: Final = f"{PREFIX}/passkey"
PASSKEY_OPTIONS: Final = f"{PREFIX}/webauthn/login"


async def show(kit: Kit, ask: Ask) -> PageResponse:
    """The form; `?next=` says where to go afterwards. A set-up that this browser has begun is
    offered to go on with."""
    pending = await kit.flow.entering.pending(kit.cookie(ask, cookies.PENDING))
    begun = pending is not None and bool(await kit.flow.unfinished.begun(pending))
    return form(kit, ask, waits=pending.user if pending is not None and begun else "")


async def submit(kit: Kit, ask: Ask) -> PageResponse:
    """Ask the upstream, then go on to the second factor, its enrolment, or straight through."""
    user, password = ask.value("user"), ask.form.get("password", "")
    missing = _("The user name") if not user else "" if password else _("The password")
    if missing:
        return form(kit, ask, user, Refusal(Slug.FIELD_MISSING, what=missing))
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
            return form(kit, ask, user, refusal)
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
    kit: Kit, ask: Ask, user: str = "", error: Refusal | None = None, *, waits: str = ""
) -> PageResponse:
    """The login page; a passkey signs in without a name, except on an invitation.

    Args:
        waits: whose set-up has begun in this browser and can go on.
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
    )
