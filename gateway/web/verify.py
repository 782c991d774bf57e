"""The second step: a code from an authenticator app, or a recovery code."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from gateway.core import cookies
from gateway.core.addresses import ENROL, LOGIN, VERIFY
from gateway.core.errors import Refusal
from gateway.core.flow import Pending, Step
from gateway.web.kit import Ask, Kit
from gateway.web.reply import Reply, see_other
from gateway.web.reply import cookies as set_cookies

CANCEL: Final = f"{VERIFY}/cancel"
_KINDS: Final = ("totp", "recovery")


async def show(kit: Kit, ask: Ask, pending: Pending) -> Reply:
    """The form for one kind of factor; `?use=` chooses another."""
    if pending.step is Step.ENROL:
        return see_other(ENROL)
    asked = parse_qs(ask.facts.query).get("use", [""])[0]
    return _form(kit, ask, pending, asked if asked in _KINDS else _KINDS[0])


async def submit(kit: Kit, ask: Ask, pending: Pending) -> Reply:
    """Judge the code. A wrong one shows the form again; the pending login stays."""
    if pending.step is Step.ENROL:
        return see_other(ENROL)
    kind, code = ask.value("kind"), ask.value("code")
    if kind not in _KINDS:
        raise Refusal("bad_form", why="it names no factor that is known here")
    if not code:
        return _form(kit, ask, pending, kind, Refusal("field_missing", what="The code"))
    try:
        passed = await kit.flow.prove(
            kit.cookie(ask, cookies.PENDING),
            kind,
            code,
            ask.caller,
            remember=ask.value("remember") == "yes",
        )
    except Refusal as refusal:
        if refusal.slug == "otp_invalid":
            return _form(kit, ask, pending, kind, refusal)
        raise
    return await kit.passed(ask, passed)


async def cancel(kit: Kit, ask: Ask, pending: Pending) -> Reply:
    """Forget this login."""
    return see_other(LOGIN, *set_cookies(kit.jar.clear(cookies.PENDING)))


def _form(kit: Kit, ask: Ask, pending: Pending, kind: str, error: Refusal | None = None) -> Reply:
    return kit.page(
        ask,
        "verify.html",
        error=error,
        pending=pending,
        kind=kind,
        cancel=CANCEL,
        remember_days=int(kit.flow.limits.remember // 86400),
    )
