"""A person's own new password, set at the index from a page of ours.

The index judges it and keeps it; what the old one earned ends here, as with a change that passes
through the gateway (`account_changes`).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.login.models import Caller, Session
from gateway.core.rules.rights import Claim
from gateway.core.rules.rules import Policy
from gateway.core.upstream import ChangingPasswords, Credential
from gateway.gate.account_changes import insist
from gateway.gate.context import GateContext


class OwnPasswords:
    """The `PasswordChanges` of the pages."""

    def __init__(self, parts: GateContext) -> None:
        self._parts: Final = parts

    def possible(self, session: Session, facts: Facts) -> bool:
        upstream = self._parts.upstream
        if not isinstance(upstream, ChangingPasswords):
            return False
        call = upstream.password_change(Credential(session.user, ""), "")
        path, kind = unquote(call.target), (("content-type", "application/json"),)
        asked = Facts(call.method, call.target, path, "", kind, facts.client)
        who = Claim(people=frozenset({session.user_id}))
        return self._parts.rules.match(asked, asked=who).policy is not Policy.DENY

    async def change(
        self, session: Session, credential: Credential, new: str, facts: Facts, caller: Caller
    ) -> None:
        """Set the new password, and end what the old one earned, the session too.

        Args:
            credential: what a login with the old password earned a moment ago.

        Raises:
            Refusal: `denied`, `password_unusable`, `upstream_…`.
            StoreUnavailable: it is changed, but what the old one earned could not be ended.
        """
        parts, upstream = self._parts, self._parts.upstream
        if not isinstance(upstream, ChangingPasswords) or not self.possible(session, facts):
            raise Refusal(Slug.DENIED)
        reply = await parts.calls.ask(
            upstream.password_change(credential, new), parts.own_fields(facts)
        )
        if not upstream.password_taken(reply):
            raise Refusal(Slug.PASSWORD_UNUSABLE)
        await insist(
            lambda: parts.flow.at_once.password_changed(session.user, None, session, caller),
            f"the password of {session.user!r} changed, but its sessions could not be ended",
        )
        parts.ended.forget()
        parts.readers.forget(session.user)
