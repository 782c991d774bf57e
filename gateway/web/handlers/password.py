"""A person's own password: changed here where the index lets people do so, else said who can."""

from __future__ import annotations

from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.http import cookies
from gateway.core.login.models import Session
from gateway.core.phrases import _
from gateway.core.upstream import Credential
from gateway.core.urls import PASSWORD
from gateway.web.context import LOOKING, Ask, Kit
from gateway.web.handlers.activity import where
from gateway.web.handlers.sessions import SESSIONS
from gateway.web.responses import PageResponse
from gateway.web.responses import cookies as set_cookies

_LEAST: Final = 8  # characters; NIST SP 800-63B section 5.1.1.2
_AGAIN: Final = frozenset(
    {Slug.FIELD_MISSING, Slug.PASSWORD_INVALID, Slug.PASSWORD_UNUSABLE, Slug.PASSWORDS_DIFFER}
)


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """The form, or where and by whom passwords are kept; only the form takes a recent factor."""
    if _possible(kit, ask, session):
        kit.flow.services.sessions.check_fresh(session)
    return await _form(kit, ask, session)


async def submit(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Set the new password; every login ends with the old one, this session too."""
    if not _possible(kit, ask, session):
        raise Refusal(Slug.DENIED)
    # The form was opened with a recent one; to think of a password takes its time.
    within = max(LOOKING, kit.flow.limits.step_up)
    kit.flow.services.sessions.check_fresh(session, within=within)
    ends = await _ends(kit, session)
    try:
        new = _new(ask)
        await kit.flow.services.throttle.change(session.user_id)
        credential = await _checked(kit, ask, session)
        await kit.passwords.change(session, credential, new, ask.facts, ask.caller)
    except Refusal as refusal:
        if refusal.slug in _AGAIN:
            return await _form(kit, ask, session, refusal)
        raise
    gone = await kit.index_logins.gone(ask.facts)
    page = kit.page(ask, "password_changed.html", ends=ends)
    return page.plus(*set_cookies(*gone, kit.jar.clear(cookies.SESSION)))


def _possible(kit: Kit, ask: Ask, session: Session) -> bool:
    return not kit.config.look.password and kit.passwords.possible(session, ask.facts)


async def _ends(kit: Kit, session: Session) -> list[str]:
    """The sessions that a change ends beside this one, by their devices."""
    sessions = (await kit.flow.manage.overview(session)).sessions
    return [where(one.device, kit.place(one.address)) for one in sessions if not one.current]


def _new(ask: Ask) -> str:
    """Raises Refusal: `field_missing`, `password_unusable`, `passwords_differ`."""
    old, new, again = (ask.form.get(name, "") for name in ("old", "new", "again"))
    if not old or not new:
        raise Refusal(Slug.FIELD_MISSING, what=_("The password"))
    if len(new) < _LEAST or new == old:
        raise Refusal(Slug.PASSWORD_UNUSABLE)
    if new != again:
        raise Refusal(Slug.PASSWORDS_DIFFER)
    return new


async def _checked(kit: Kit, ask: Ask, session: Session) -> Credential:
    """What a login with the old password earns: a session alone must not set another.

    Raises:
        Refusal: `password_invalid`, `throttled`, `upstream_…`.
    """
    old = ask.form["old"]
    async with await kit.flow.proofs.trying(session.user, old, ask.caller) as attempt:
        held = await kit.checker.check(session.user, old, ask.facts)
        if held is None or held.session is None:
            await attempt.wrong()
            raise Refusal(Slug.PASSWORD_INVALID)
        await attempt.right()
    return held.session


async def _form(kit: Kit, ask: Ask, session: Session, error: Refusal | None = None) -> PageResponse:
    return kit.page(
        ask,
        "password.html",
        session=session,
        error=error,
        wrong=_wrong(error),
        here=PASSWORD,
        sessions=SESSIONS,
        ends=await _ends(kit, session),
        possible=_possible(kit, ask, session),
    )


def _wrong(error: Refusal | None) -> str:
    """The field a refusal is about."""
    if error is None:
        return ""
    return "old" if error.slug in (Slug.PASSWORD_INVALID, Slug.FIELD_MISSING) else "new"
