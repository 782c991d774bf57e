"""Saying yes or no, in a browser, to a command-line login that waits."""

from __future__ import annotations

from typing import Final

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.login.approvals import Answered
from gateway.core.login.models import Caller, Session, Waiting
from gateway.core.login.services import Services
from gateway.core.notices.events import Notice
from gateway.core.wording import device_name


class Approving:
    def __init__(self, services: Services) -> None:
        self._services: Final = services

    async def waiting(self, session: Session, id: str) -> Waiting | None:
        """The command-line login that an approval address names, if it is this person's."""
        return await self._services.approvals.find(session.user_id, id)

    async def all_waiting(self, session: Session) -> tuple[Waiting, ...]:
        """This person's command-line logins that wait now, the one that waits longest first."""
        return await self._services.approvals.waiting(session.user_id)

    async def approve(
        self, session: Session, id: str, number: str, caller: Caller, *, report: bool = False
    ) -> None:
        """Let the next try by the same client pass, once, within two minutes.

        Args:
            number: the two digits that the command line shows; "" says that it is not the
                person's own login. A wrong one denies, and the person is told.
            report: with number "": the administrator is told, too.

        Raises:
            Refusal: `step_up_required`, `approval_gone` (no such login waits), `approval_denied`,
                `approval_reported`.
        """
        self._services.sessions.check_fresh(session)
        waiting = await self.waiting(session, id)
        if waiting is None or not session.factor:
            raise Refusal(Slug.APPROVAL_GONE)
        answered = await self._services.approvals.answer(session.user_id, id, number)
        if answered is Answered.GONE:
            raise Refusal(Slug.APPROVAL_GONE)
        client = f"{device_name(waiting.user_agent)} from {waiting.address or 'no address'}"
        if answered is Answered.APPROVED:
            await self._record(Event.COMMAND_LINE_APPROVED, session, caller, client)
            return
        event = Event.COMMAND_LINE_REPORTED if report else Event.COMMAND_LINE_DENIED
        await self._record(event, session, caller, client)
        await self._services.notifier.notify(
            Notice.LOGIN_REPORTED if report else Notice.LOGIN_DENIED,
            session.user_id,
            caller.origin,
            detail=client,
        )
        raise Refusal(Slug.APPROVAL_REPORTED if report else Slug.APPROVAL_DENIED)

    async def _record(self, event: Event, session: Session, caller: Caller, client: str) -> None:
        await self._services.audit.record(event, session.user_id, caller.origin, detail=client)
