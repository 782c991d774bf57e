"""Making an API token: a form behind a recent second factor, and the one page that shows it.

The form asks for the password again, since that is what the token stands for. A factor that was
recent when the form was opened does until it is sent: to think of a scope takes its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Session
from gateway.core.phrases import _
from gateway.core.tokens.models import Listed
from gateway.core.tokens.records import LastUse, Scope, refused, scope_of
from gateway.core.upstream import Action, Credential
from gateway.web.context import Ask, Kit, with_query
from gateway.web.handlers.token_lines import lines_for
from gateway.web.handlers.tokens import NEW, WHERE, config_of, give_back, row_of
from gateway.web.responses import CODES, PageResponse

_DAY: Final = 86400
OFFERED: Final = (7, 30, 90)
_OTHER: Final = "other"
_REMEMBERED: Final = ["name", "upload", "read", "indexes", "projects", "networks", "days", "other"]
_LONGEST: Final = 1500  # of an address that is quoted in another one
_BETWEEN: Final = re.compile(r"[\s,;]+")
_NUMBER: Final = re.compile(r"[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TypedToken:
    """The form as it was filled in, but for the password.

    days: one of those offered, or "other"; other: how many then.
    """

    name: str = ""
    upload: bool = False
    read: bool = False
    manage: bool = False
    indexes: str = ""
    projects: str = ""
    networks: str = ""
    days: str = "90"
    other: str = ""

    @property
    def actions(self) -> list[str]:
        given = {Action.UPLOAD: self.upload, Action.READ: self.read, Action.MANAGE: self.manage}
        return [action for action, ticked in given.items() if ticked]

    def scope(self) -> Scope:
        """What it may do, wherever. Raises Refusal `token_request`."""
        if not self.actions:
            raise refused(_("nothing is ticked that it may do"))
        return scope_of(self.actions)

    def lifetime(self) -> float:
        """Raises Refusal `token_request`."""
        text = self.other if self.days == _OTHER else self.days
        if not _NUMBER.fullmatch(text):
            raise refused(_("how many days it lives is not said as a whole number"))
        return int(text) * float(_DAY)


class _Wrong(Exception):
    """What was typed into a field does not do."""

    def __init__(self, field: str, refusal: Refusal) -> None:
        super().__init__(field)
        self.field = field
        self.refusal = refusal


def back(ask: Ask) -> str:
    """The form with what was typed there, as far as an address holds it; never what does harm."""
    typed = {name: ask.value(name) for name in _REMEMBERED}
    found = with_query(NEW, **typed)
    return found if len(found) < _LONGEST else NEW


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    offered = _offered(kit)
    if ask.asked("days"):
        indexed = config_of(kit).indexed
        return _form(kit, ask, session, _typed(ask.asked, indexed=indexed))
    usual = TypedToken(upload=True, days=str(offered[-1]) if offered else _OTHER)
    return _form(kit, ask, session, usual)


async def make(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Judge everything else first, then the password, so that it is typed twice at most."""
    kit.flow.services.sessions.check_fresh(session, within=kit.flow.limits.enrolling)
    config, tokens = config_of(kit), kit.flow.tokens
    typed = _typed(ask.value, indexed=config.indexed)
    try:
        scope, lifetime = await _wanted(kit, session, typed)
        await kit.flow.services.throttle.change(session.user_id)
        password = await _password(kit, ask, session)
    except _Wrong as wrong:
        return _form(kit, ask, session, typed, wrong)
    held = None if config.by_service else Credential(session.user, password)
    try:
        made = await tokens.make(
            *(session.user, typed.name, scope, lifetime, held, ask.caller.origin),
            scoped=config.scoped,
        )
    except Refusal as refusal:
        if refusal.slug == Slug.TOKEN_REQUEST:  # another tab was faster
            return _form(kit, ask, session, typed, _Wrong("name", refusal))
        raise
    await give_back(kit, session, held)
    index = made.token.scope.indexes[0] if made.token.scope.indexes else f"{session.user}/INDEX"
    places = config.addresses(index if config.indexed else "")
    return kit.page(
        ask,
        "token_made.html",
        session=session,
        script=CODES,
        text=made.text,
        row=row_of(Listed(made.token, LastUse()), kit.clock()),
        blocks=lines_for(scope.actions, made.text, kit.config.public_url, places),
        anywhere=config.indexed and not scope.indexes,
    )


async def _wanted(kit: Kit, session: Session, typed: TypedToken) -> tuple[Scope, float]:
    """Raises _Wrong for the first field that does not do."""
    tokens, upload = kit.flow.tokens, [str(Action.UPLOAD)]
    indexes, projects, networks = map(_parts, (typed.indexes, typed.projects, typed.networks))
    tries: Mapping[str, Callable[[], object]] = {
        "upload": lambda: tokens.check_scope(typed.scope()),
        "indexes": lambda: scope_of(upload, indexes),
        "projects": lambda: scope_of(upload, (), projects),
        "networks": lambda: scope_of(upload, (), (), networks),
        "days": lambda: tokens.check_lifetime(typed.lifetime()),
    }
    try:
        await tokens.usable_name(session.user_id, typed.name)
    except Refusal as refusal:
        raise _Wrong("name", refusal) from None
    for field, work in tries.items():
        try:
            work()
        except Refusal as refusal:
            raise _Wrong(field, refusal) from None
    return scope_of(typed.actions, indexes, projects, networks), typed.lifetime()


async def _password(kit: Kit, ask: Ask, session: Session) -> str:
    """What was typed, if the index takes it. Raises _Wrong, and Refusal as at a login."""
    password = ask.form.get("password", "")
    if not password:
        raise _Wrong("password", Refusal(Slug.FIELD_MISSING, what=_("The password")))
    async with await kit.flow.proofs.trying(session.user, password, ask.caller) as attempt:
        if await kit.checker.right(Credential(session.user, password)) is not None:
            await attempt.right()
            return password
        await attempt.wrong()
    raise _Wrong("password", Refusal(Slug.PASSWORD_INVALID))


def _typed(value: Callable[[str], str], *, indexed: bool) -> TypedToken:
    return TypedToken(
        name=value("name"),
        upload=value("upload") == "yes",
        read=value("read") == "yes",
        manage=value("manage") == "yes",
        indexes=value("indexes") if indexed else "",
        projects=value("projects"),
        networks=value("networks"),
        days=value("days"),
        other=value("other"),
    )


def _parts(text: str) -> list[str]:
    return [part for part in _BETWEEN.split(text) if part]


def _offered(kit: Kit) -> list[int]:
    most = kit.flow.tokens.limits.max_age
    return [days for days in OFFERED if days * _DAY <= most]


def _form(
    kit: Kit, ask: Ask, session: Session, typed: TypedToken, wrong: _Wrong | None = None
) -> PageResponse:
    config, limits = config_of(kit), kit.flow.tokens.limits
    now = kit.clock()
    return kit.page(
        ask,
        "token_new.html",
        session=session,
        error=wrong.refusal if wrong else None,
        wrong=wrong.field if wrong else "",
        where=WHERE,
        here=NEW,
        typed=typed,
        offered=[(days, now + days * _DAY) for days in _offered(kit)],
        most=int(limits.max_age // _DAY),
        may_manage=limits.manage,
        indexed=config.indexed,
        example=f"{session.user}/dev",
    )
