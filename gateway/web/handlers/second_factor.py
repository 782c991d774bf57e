"""The second step of a login, and the form that asks for a factor, at logins and step-ups alike.

Any factor the person has will do; the last used is offered first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.login.models import Pending, Session, Step
from gateway.core.phrases import _
from gateway.core.urls import LOGIN, PREFIX, VERIFY
from gateway.web.context import Ask, Kit, safe_next, with_query
from gateway.web.responses import WEBAUTHN, PageResponse, see_other
from gateway.web.responses import cookies as set_cookies


async def show(kit: Kit, ask: Ask, pending: Pending) -> PageResponse:
    """The form for one kind of factor; `?use=` chooses another."""
    return form(kit, ask, pending)


async def submit(kit: Kit, ask: Ask, pending: Pending) -> PageResponse:
    """Judge the answer. A wrong one shows the form again; the pending login stays."""
    kind, answer = ask.value("kind"), ask.value("code")
    try:
        check(kind, answer)
        remember = ask.value("remember") == "yes"
        passed = await kit.flow.entering.prove(pending, kind, answer, ask.caller, remember=remember)
    except Refusal as refusal:
        if again(refusal):
            return form(kit, ask, pending, refusal)
        raise
    # Another tab's login may have taken this one's place; the form says where it was to lead.
    if ask.next() and passed.held.goto == pending.goto:
        passed = replace(passed, held=replace(passed.held, goto=ask.next()))
    return await kit.passed(ask, passed)


async def cancel(kit: Kit, ask: Ask, pending: Pending) -> PageResponse:
    """End this login, and what was begun within it."""
    await kit.flow.entering.cancel(pending)
    await kit.flow.unfinished.drop(pending)
    target = f"{LOGIN}?done=cancelled" if pending.step is Step.ENROL else LOGIN
    return see_other(target, *set_cookies(kit.jar.clear(cookies.PENDING)))


def back(ask: Ask) -> str:
    return with_query(VERIFY, use=ask.value("kind"), next=ask.next())


def form(kit: Kit, ask: Ask, pending: Pending, error: Refusal | None = None) -> PageResponse:
    """The page that asks for the second factor."""
    choices = choose(ask, pending.kinds or KINDS[:1], error)
    return kit.page(
        ask,
        "verify.html",
        error=for_kind(choices.kind, error),
        script=choices.script,
        pending=pending,
        choices=choices,
        here=VERIFY,
        next=ask.next() or safe_next(pending.goto),
        options=VERIFY_OPTIONS,
        remember_days=int(kit.flow.limits.remember // 86400),
    )


KINDS: Final = ("totp", "webauthn", "recovery")

# Where the WebAuthn script gets its options, by the page the form is on.
VERIFY_OPTIONS: Final = f"{PREFIX}/webauthn/verify"
STEP_UP_OPTIONS: Final = f"{PREFIX}/webauthn/confirm"

_AGAIN: Final = frozenset({Slug.OTP_INVALID, Slug.FIELD_MISSING, Slug.KEY_REFUSED})


def again(refusal: Refusal) -> bool:
    """Whether the form is shown again, since this answer was wrong or another one may do."""
    return refusal.slug in _AGAIN or "instead" in refusal.detail


def for_kind(kind: str, error: Refusal | None) -> Refusal | None:
    """The refusal as it is said of this kind of factor: a key has no one-time code."""
    wrong_key = error is not None and error.slug == Slug.OTP_INVALID and kind == "webauthn"
    return Refusal(Slug.KEY_REFUSED) if wrong_key else error


@dataclass(frozen=True, slots=True)
class Choices:
    """kind: the factor the form asks for. others: what the person can use instead."""

    kind: str
    others: tuple[str, ...]

    @property
    def script(self) -> str:
        return WEBAUTHN if self.kind == "webauthn" else ""


def choose(ask: Ask, kinds: tuple[str, ...], error: Refusal | None = None) -> Choices:
    """The factor asked for: by `?use=` or the form just sent, else the one used last; another
    one where that has to wait.

    Args:
        kinds: what the person has, the last used first.
    """
    asked = ask.asked("use") if ask.facts.safe else ask.value("kind")
    kind = asked if asked in kinds else kinds[0]
    if error is not None and "instead" in error.detail:
        kind = next(other for other in kinds if other != kind)
    return Choices(kind, tuple(other for other in kinds if other != kind))


def check(kind: str, answer: str) -> None:
    """Raises Refusal: `bad_form` for an unknown kind, `field_missing` for no answer."""
    if kind not in KINDS:
        raise Refusal(Slug.BAD_FORM, why=_("it names no factor that is known here"))
    if not answer:
        raise Refusal(Slug.FIELD_MISSING, what=_("The code"))


async def prove(kit: Kit, ask: Ask, session: Session) -> str:
    """Judge the factor that was shown; the session goes on under the cookie returned.

    Raises:
        Refusal: those of `again`, `throttled`, `bad_form`, `pending_expired`.
    """
    kind, answer = ask.value("kind"), ask.value("code")
    check(kind, answer)
    return await kit.flow.at_once.step_up(session, kind, answer, ask.caller)
