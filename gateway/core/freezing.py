"""What an administrator stops and lets go on: recorded, and told to the administrators.

Used by the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.core.audit.events import Event, Origin
from gateway.core.errors import Refusal
from gateway.core.freezes import NAMED, Freeze, Frozen
from gateway.core.login.services import Services
from gateway.core.notices.events import Notice
from gateway.core.tokens.projects import is_name, normalised
from gateway.core.user_id import user_id as id_of

_ORIGIN: Final = Origin(user_agent="index-gateway freeze")


class Unclear(Exception):
    """What was named can mean several things, or nothing; the text says what to write."""


class Freezing:
    """admins: the ids of those who are told."""

    def __init__(self, services: Services, admins: Iterable[str] = ()) -> None:
        self._services: Final = services
        self._admins: Final = tuple(admins)

    async def meant(self, text: str) -> tuple[Frozen, str]:
        """What `uploads`, `user:alice` or `alice` names.

        Raises:
            Unclear
        """
        kind, mark, name = text.partition(":")
        if not mark:
            if text in set(Frozen) - NAMED:
                return Frozen(text), ""
            return await self._bare(text)
        if kind not in NAMED or not name:
            raise Unclear(f"{text!r}: write user:NAME, project:NAME or token:ID")
        if kind == Frozen.TOKEN:
            return Frozen.TOKEN, name
        if kind == Frozen.PROJECT:
            if not is_name(name):
                raise Unclear(f"{name!r} is no name of a project")
            return Frozen.PROJECT, normalised(name)
        try:
            return Frozen.USER, id_of(name)
        except Refusal as refusal:
            raise Unclear(refusal.text) from None

    async def _bare(self, text: str) -> tuple[Frozen, str]:
        """A name alone: of a person or of a token, if the gateway knows one of them by it."""
        try:
            account = await self._services.accounts.get(id_of(text))
        except Refusal:
            account = None
        person = account is not None and not account.removed
        token = False
        async for page in self._services.tokens.pages():
            token = token or any(one.token.id == text for one in page)
        if person != token:
            return (Frozen.USER, id_of(text)) if person else (Frozen.TOKEN, text)
        both = "a person and a token" if person else "no person here and no token"
        raise Unclear(
            f"{text!r} is {both}: write user:{text}, project:{text} or token:{text}, or one of "
            "uploads, logins, deletions, all"
        )

    async def freeze(self, what: Frozen, name: str, *, lasts: float, reason: str) -> Freeze:
        made = await self._services.freezes.put(what, name, lasts=lasts, reason=reason)
        await self._told(Event.FROZEN, Notice.FROZEN, [made])
        return made

    async def unfreeze(self, keys: Iterable[str] | None) -> Sequence[Freeze]:
        """Let go on what these keys name, None for all; what was frozen of it."""
        lifted = await self._services.freezes.lift(keys)
        await self._told(Event.UNFROZEN, Notice.UNFROZEN, lifted)
        return lifted

    async def now(self) -> Sequence[Freeze]:
        await self._services.freezes.look()
        return self._services.freezes.live

    async def _told(self, event: Event, notice: Notice, freezes: Sequence[Freeze]) -> None:
        services = self._services
        for one in freezes:
            said = f"{one.key} until {one.end}: {one.reason}"
            await services.audit.record(
                event,
                one.name if one.what is Frozen.USER else "",
                _ORIGIN,
                detail=said,
                project=one.name if one.what is Frozen.PROJECT else "",
            )
            for admin in self._admins:
                await services.notifier.notify(notice, admin, _ORIGIN, detail=said)
