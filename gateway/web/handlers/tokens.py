"""A person's API tokens: looking at them, keeping and ending them.

Ending one takes no recent factor: what may have leaked has to be ended at once. Every change is
looked up under the name of the session alone, so that nobody reaches another person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Session
from gateway.core.phrases import _, every
from gateway.core.tokens.messages import state_of
from gateway.core.tokens.models import Listed
from gateway.core.tokens.records import BY_LOGIN, Scope
from gateway.core.upstream import Action, Credential
from gateway.core.urls import PREFIX, TOKENS
from gateway.core.wording import device_name, let_in_again
from gateway.web.context import Ask, Kit, TokensConfig
from gateway.web.responses import PageResponse, see_other

NEW: Final = f"{TOKENS}/new"
REVOKE: Final = f"{TOKENS}/revoke"
REVOKE_ALL: Final = f"{TOKENS}/revoke-all"
KEEP: Final = f"{TOKENS}/keep"
KEEP_LEFT: Final = f"{TOKENS}/keep-left"
REVOKE_LEFT: Final = f"{TOKENS}/revoke-left"
TOKEN: Final = f"{PREFIX}/token"

WHERE: Final = {
    "NEW": NEW,
    "REVOKE": REVOKE,
    "REVOKE_ALL": REVOKE_ALL,
    "KEEP": KEEP,
    "KEEP_LEFT": KEEP_LEFT,
    "REVOKE_LEFT": REVOKE_LEFT,
    "TOKEN": TOKEN,
}
"""The same for the templates."""

_DONE: Final = {
    "revoked": _("The token is revoked."),
    "all": _("All your tokens are revoked."),
    "kept": _("The token stays."),
    "left": _("The tokens stay."),
    "ended": _("The tokens are revoked."),
}
_STATES: Final = {
    "live": "",
    "renew": _("make it anew"),
    "expired": _("expired"),
    "revoked": _("revoked"),
}
_ACTIONS: Final = {
    Action.UPLOAD: _("upload"),
    Action.READ: _("read"),
    Action.MANAGE: _("manage"),
}


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as the pages show it. Times in seconds since the epoch, 0 for never.

    state: what is said beside its name, "" for nothing. actions: what it may do; within: where, and
    with what.
    undecided: since when its owner has to say what becomes of it.
    """

    id: str
    name: str
    state: str
    live: bool
    refused: bool
    undecided: float
    actions: tuple[str, ...]
    within: tuple[str, ...]
    created: float
    expires: float
    revoked: float
    by_administrator: bool
    by_index_token: bool
    used: float
    used_from: str


def row_of(listed: Listed, now: float, place: Callable[[str], str] = str) -> TokenRow:
    token, use = listed.token, listed.use
    return TokenRow(
        id=token.id,
        name=let_in_again(token.name) if token.made_by == BY_LOGIN else token.name,
        state=_STATES[state_of(token, now)],
        live=token.live(now),
        refused=bool(token.refused),
        undecided=token.undecided if token.live(now) else 0.0,
        actions=tuple(_ACTIONS[action] for action in token.scope.actions),
        within=tuple(_within(token.scope)),
        created=token.created,
        expires=token.expires,
        revoked=token.revoked,
        by_administrator=token.made_by == "administrator",
        by_index_token=bool(token.index_token),
        used=use.at,
        used_from=_from(place(use.address), device_name(use.client) if use.client else ""),
    )


def _from(address: str, device: str) -> str:
    if address and device:
        return _("{address}, {device}", address=address, device=device)
    return address or device


def _within(scope: Scope) -> Iterator[str]:
    if scope.indexes:
        yield _("in {indexes}", indexes=every(*scope.indexes))
    if scope.projects:
        yield _("projects {projects}", projects=every(*scope.projects))
    if scope.networks:
        yield _("from {networks}", networks=every(*map(str, scope.networks)))


async def rows(kit: Kit, session: Session) -> list[TokenRow]:
    """A person's tokens, the newest first, ended ones at the end."""
    now = kit.clock()
    found = [row_of(one, now, kit.place) for one in await kit.flow.tokens.of(session.user_id)]
    return sorted(found, key=lambda row: not row.live)


def config_of(kit: Kit) -> TokensConfig:
    """Raises Refusal `not_found` where the index has no tokens."""
    if kit.config.tokens is None:
        raise Refusal(Slug.NOT_FOUND)
    return kit.config.tokens


def back(ask: Ask) -> str:
    """The page that a form about tokens is on."""
    return TOKENS


async def show(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    config = config_of(kit)
    found = await rows(kit, session)
    left = [row for row in found if row.undecided]
    return kit.page(
        ask,
        "tokens.html",
        session=session,
        where=WHERE,
        live=[row for row in found if row.live],
        ended=[row for row in found if not row.live],
        left=left,
        by_service=config.by_service or all(row.by_index_token for row in left),
        said=_DONE.get(ask.asked("done"), ""),
    )


async def one(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """All about one token, and the way to end it."""
    row = await _row(kit, session, ask.tail)
    by_service = config_of(kit).by_service or row.by_index_token
    return kit.page(ask, "token.html", session=session, where=WHERE, row=row, by_service=by_service)


async def revoke(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    row = await _row(kit, session, ask.value("id"))
    await kit.flow.tokens.revoke(session.user_id, row.id, ask.caller.origin)
    await give_back(kit, session)
    return _done("revoked")


async def keep(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    row = await _row(kit, session, ask.value("id"))
    await kit.flow.tokens.keep(session.user_id, row.id, ask.caller.origin)
    return _done("kept")


async def revoke_all_form(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    config_of(kit)
    live = [row for row in await rows(kit, session) if row.live]
    return kit.page(ask, "tokens_revoke.html", session=session, live=live, here=REVOKE_ALL)


async def revoke_all(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    config_of(kit)
    await kit.flow.tokens.revoke_all(session.user_id, ask.caller.origin)
    await give_back(kit, session)
    return _done("all")


async def keep_left(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """Keep all that a changed password has left."""
    config_of(kit)
    for row in await rows(kit, session):
        if row.undecided:
            await kit.flow.tokens.keep(session.user_id, row.id, ask.caller.origin)
    return _done("left")


async def revoke_left(kit: Kit, ask: Ask, session: Session) -> PageResponse:
    """End all that a changed password has left, and none that was made since."""
    config_of(kit)
    for row in await rows(kit, session):
        if row.undecided:
            await kit.flow.tokens.revoke(session.user_id, row.id, ask.caller.origin)
    await give_back(kit, session)
    return _done("ended")


async def give_back(kit: Kit, session: Session, credential: Credential | None = None) -> None:
    """Where the index has tokens of its own for these, those that have ended go."""
    scoped = config_of(kit).scoped
    if scoped is not None:
        await scoped.give_back(session.user_id, credential or session.upstream)


async def _row(kit: Kit, session: Session, id: str) -> TokenRow:
    config_of(kit)
    for row in await rows(kit, session):
        if row.id == id:
            return row
    raise Refusal(Slug.NO_SUCH_TOKEN, own=TOKENS)


def _done(key: str) -> PageResponse:
    return see_other(f"{TOKENS}?done={key}")
