"""What a login leaves behind: sessions of browsers and credentials that count as verified."""

from __future__ import annotations

from typing import Final

from gateway.core.login.browser import may_lack_factor
from gateway.core.login.models import Caller, Session, Verified
from gateway.core.login.services import Services
from gateway.core.upstream import Credential


class Earned:
    def __init__(self, services: Services) -> None:
        self._services: Final = services

    async def session(self, cookie: str) -> Session | None:
        """The live session behind that cookie (idle and absolute limits, epoch checked)."""
        session = await self._services.sessions.get(cookie)
        return session if session is not None and self._good(session) else None

    async def verified(self, credential: Credential) -> Verified | None:
        """Whether a login that passed the second factor earned this credential, and whose."""
        verified = await self._services.credentials.find(credential)
        return verified if verified is not None and self._good(verified) else None

    def _good(self, proof: Verified | Session) -> bool:
        """What was earned without a factor ends when one becomes required."""
        return bool(proof.factor) or may_lack_factor(self._services)

    async def end(self, cookie: str, caller: Caller) -> tuple[str, ...]:
        """Log out: end the session behind that cookie and the credentials its login earned; the
        Set-Cookie values that take these out of the browser."""
        session = await self._services.sessions.get(cookie)
        if session is None:
            return ()
        return await self._services.end_session(session, caller.origin, "logged out")
