"""The second step of a login: any factor the person has, the last used offered first."""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Refusal
from gateway.core.http import cookies
from gateway.core.login.flow import Pending
from gateway.core.urls import LOGIN, VERIFY
from gateway.web.context import Ask, Kit
from gateway.web.handlers import factor_form
from gateway.web.responses import Reply, see_other
from gateway.web.responses import cookies as set_cookies

CANCEL: Final = f"{VERIFY}/cancel"


async def show(kit: Kit, ask: Ask, pending: Pending) -> Reply:
    """The form for one kind of factor; `?use=` chooses another."""
    return form(kit, ask, pending)


async def submit(kit: Kit, ask: Ask, pending: Pending) -> Reply:
    """Judge the answer. A wrong one shows the form again; the pending login stays."""
    kind, answer = ask.value("kind"), ask.value("code")
    try:
        factor_form.check(kind, answer)
        passed = await kit.flow.prove(
            kit.cookie(ask, cookies.PENDING),
            kind,
            answer,
            ask.caller,
            remember=ask.value("remember") == "yes",
        )
    except Refusal as refusal:
        if refusal.slug in factor_form.AGAIN:
            return form(kit, ask, pending, refusal)
        raise
    return await kit.passed(ask, passed)


async def cancel(kit: Kit, ask: Ask, pending: Pending) -> Reply:
    """Forget this login; what is left of it ends by itself."""
    return see_other(LOGIN, *set_cookies(kit.jar.clear(cookies.PENDING)))


def form(kit: Kit, ask: Ask, pending: Pending, error: Refusal | None = None) -> Reply:
    """The page that asks for the second factor."""
    choices = factor_form.choose(ask, pending.kinds or factor_form.KINDS[:1])
    return kit.page(
        ask,
        "verify.html",
        error=error,
        script=choices.script,
        pending=pending,
        choices=choices,
        here=VERIFY,
        options=factor_form.VERIFY_OPTIONS,
        cancel=CANCEL,
        remember_days=int(kit.flow.limits.remember // 86400),
    )
