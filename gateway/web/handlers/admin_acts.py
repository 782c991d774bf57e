"""What administrators do for a person: each act is asked about once more, with a reason.

The work is that of the commands (`gateway.core.administration`); who did it, and why, stands in the
trail, and the person is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.core.administration import Admin, NewInvitation
from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Session
from gateway.core.phrases import Phrase, _
from gateway.core.roster import Roster, RosterRow
from gateway.core.user_id import user_id
from gateway.web.context import Ask, ForAdmin, Kit, with_query
from gateway.web.handlers.admin import END, INVITE, RESET, UNLOCK, WHERE, person_at
from gateway.web.responses import CODES, PageResponse, see_other

LONGEST: Final = 300
_AGAIN: Final = frozenset(
    {Slug.FIELD_MISSING, Slug.REASON_TOO_LONG, Slug.UNUSABLE_NAME, Slug.ALREADY_ENROLLED}
)

Work: TypeAlias = Callable[[Admin, str, str, int], Awaitable[NewInvitation | str]]
"""Does it to a person, for a reason; what is shown once, or the word of what is done. Last the
epoch of the person's account when the question was shown."""


@dataclass(frozen=True, slots=True)
class AdminAct:
    """title, button: its words. reasoned: a reason must be given. others: not for oneself.
    known: only for people who have been here."""

    path: str
    title: Phrase
    button: Phrase
    work: Work
    reasoned: bool = False
    others: bool = False
    known: bool = True


async def _invite(admin: Admin, user: str, reason: str, seen: int) -> NewInvitation:
    return await admin.invite(user, reason)


async def _reset(admin: Admin, user: str, reason: str, seen: int) -> NewInvitation:
    return (await admin.reset(user, reason, seen=seen)).invitation


async def _end(admin: Admin, user: str, reason: str, seen: int) -> str:
    await admin.end_logins(user, reason)
    return "ended"


async def _unlock(admin: Admin, user: str, reason: str, seen: int) -> str:
    await admin.unlock(user, reason)
    return "unlocked"


ACTS: Final = (
    AdminAct(INVITE, _("Invite"), _("Make the invitation"), _invite, known=False),
    AdminAct(
        RESET,
        _("Reset second factors"),
        _("Reset second factors"),
        _reset,
        reasoned=True,
        others=True,
    ),
    AdminAct(
        END, _("Log out everywhere"), _("Log out everywhere"), _end, reasoned=True, others=True
    ),
    AdminAct(UNLOCK, _("Forget wrong codes"), _("Forget wrong codes"), _unlock),
)


def route(act: AdminAct) -> ForAdmin:
    async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
        user = ask.chosen("user")
        if act.known and not user:  # the list is where they are chosen
            return see_other(WHERE["PEOPLE"])
        if act.path == RESET and not (await Roster(kit.flow.services).one(user)).row.protected:
            return see_other(person_at(user, done="gone"))  # another administrator was first
        return await _form(kit, ask, session, act, user, ask.chosen("reason"))

    async def submit(kit: Kit, ask: Ask, session: Session) -> PageResponse:
        return await _done(kit, ask, session, act)

    def back(ask: Ask) -> str:
        return with_query(act.path, user=ask.value("user"), reason=ask.value("reason"))

    return ForAdmin(get=show, post=submit, acts=True, back=back)


async def _done(kit: Kit, ask: Ask, session: Session, act: AdminAct) -> PageResponse:
    user, reason = ask.value("user"), " ".join(ask.value("reason").split())
    try:
        if not user:
            raise Refusal(Slug.FIELD_MISSING, what=_("The name"))
        if act.reasoned and not reason:
            raise Refusal(Slug.FIELD_MISSING, what=_("The reason"))
        if len(reason) > LONGEST:
            raise Refusal(Slug.REASON_TOO_LONG, limit=str(LONGEST))
        if act.others and user_id(user) == session.user_id:
            raise Refusal(Slug.OWN_ACCOUNT)
        admin = Admin(kit.flow.services, ask.caller.origin, session.user_id)
        found = await act.work(admin, user, reason, _epoch(ask.value("seen")))
    except Refusal as refusal:
        if refusal.slug in _AGAIN and (user or not act.known):
            return await _form(kit, ask, session, act, user, reason, refusal)
        raise
    if isinstance(found, str):
        return see_other(person_at(user, done=found))
    return kit.page(
        ask,
        "admin_link.html",
        session=session,
        where=WHERE,
        script=CODES,
        user=user,
        made=found,
        was_reset=act.path == RESET,
    )


def _epoch(seen: str) -> int:
    """Where a form says none, one that no account is at."""
    return int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else -1


async def _form(
    kit: Kit,
    ask: Ask,
    session: Session,
    act: AdminAct,
    user: str,
    reason: str,
    error: Refusal | None = None,
) -> PageResponse:
    """The question, with who it is about and what will happen."""
    row = await _known(kit, act, user) if user else None
    asked_name = not user or (error is not None and error.slug == Slug.UNUSABLE_NAME)
    return kit.page(
        ask,
        "admin_act.html",
        session=session,
        where=WHERE,
        act=act,
        row=row,
        user=row.user if row else user,
        asks_name=asked_name,
        reason=reason,
        longest=LONGEST,
        own=row is not None and row.id == session.user_id,
        administers=row is not None and row.id in kit.config.admins,
        error=error,
        wrong_name=error is not None and asked_name,
        wrong_reason=error is not None and not asked_name and error.slug != Slug.ALREADY_ENROLLED,
    )


async def _known(kit: Kit, act: AdminAct, user: str) -> RosterRow | None:
    """The person, None for somebody new. Raises Refusal `no_such_person`."""
    try:
        return (await Roster(kit.flow.services).one(user)).row
    except Refusal as refusal:
        if act.known or refusal.slug not in (Slug.NO_SUCH_PERSON, Slug.UNUSABLE_NAME):
            raise
        return None
