"""Set-ups that are not finished: what they show again, and how they go on in the same browser.

What was shown once is shown again to nobody but the browser it was shown to, told by the cookie of
the login or session it was begun on, or of those that followed in that browser.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.accounts.records import Account
from gateway.core.login.browser import Entering
from gateway.core.login.drafts import DraftState, codes_of
from gateway.core.login.in_request import handed_over
from gateway.core.login.models import Begun, Pending, Session, Step
from gateway.core.login.services import Services


@dataclass(frozen=True, slots=True)
class UnsavedCodes:
    """Recovery codes that wait for `finish`.

    device: the first factor, which is switched on together with them; "" for new codes of
        somebody who has factors, which are in force already.
    codes: what to show; empty where they cannot be shown again. locked: they can, for a
        factor shown within `limits.step_up`.
    """

    device: str
    codes: tuple[str, ...] = field(default=(), repr=False)
    locked: bool = False


class Unfinished:
    def __init__(self, parts: Services, entering: Entering) -> None:
        self._services = parts
        self._drafts = parts.drafts
        self._entering = entering

    async def unsaved(self, who: Pending | Session) -> UnsavedCodes | None:
        """The recovery codes that wait for `finish`, to show them again; None where none do.

        They are shown in the browser that made them only, and to a person who has a factor only
        as long as one was shown within `limits.step_up`.
        """
        draft = await self._drafts.get(who.user_id, who.id)
        if draft is not None and draft.stage is DraftState.CODES:
            return UnsavedCodes(draft.name, draft.plain)
        account = await self._services.accounts.get(who.user_id) or Account(who.user_id, who.user)
        if account.recovery.confirmed:
            return None
        made = await self._drafts.get(who.user_id, codes_of(who))
        if made is None or not set(account.recovery.codes) <= set(made.codes):
            return UnsavedCodes("")
        assert isinstance(who, Session), "only who has a factor makes new codes"
        if self._services.sessions.is_fresh(who):
            return UnsavedCodes("", made.plain)
        return UnsavedCodes("", locked=True)

    async def go_on(self, before: str, after: str) -> None:
        """Let what was begun on a session go on under the next one of the same person.

        Args:
            before, after: the values of one browser's cookie.
        """
        old = await self._services.sessions.get(before)
        new = await self._services.sessions.get(after)
        await self._same_person(old, new)

    async def take_over(self, before: str, after: Begun) -> None:
        """The same for logins that wait. before: the value of the cookie the browser had."""
        if after.step is not Step.ENROL or not before:
            return
        old = await self._entering.pending(before)
        new = await self._entering.pending(after.cookie)
        await self._same_person(old, new)

    async def _same_person(
        self, old: Pending | Session | None, new: Pending | Session | None
    ) -> None:
        if old is not None and new is not None and old.user_id == new.user_id:
            await handed_over(self._services, old, new)

    async def drop(self, who: Pending | Session) -> None:
        """Forget the set-up that was begun; nothing of it was part of the account."""
        await self._drafts.burn(who.user_id, who.id)

    async def begun(self, who: Pending | Session) -> str:
        """The name of the device whose set-up waits to go on, "" for none."""
        draft = await self._drafts.get(who.user_id, who.id)
        # A key is asked anew: nothing that was shown would be lost.
        if draft is None or (draft.kind, draft.stage) == ("webauthn", DraftState.OFFERED):
            return ""
        return draft.name
