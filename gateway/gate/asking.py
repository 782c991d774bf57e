"""Who is behind a request, for the trail: whom its credentials name, and by what.

Names are read, nothing is judged: the index's answer says whether they are right.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from gateway.core.clock import Clock
from gateway.core.crypto.keyring import KeyRing
from gateway.core.errors import Refusal
from gateway.core.http import cookies
from gateway.core.http.cookies import OWN_NAMES, Jar
from gateway.core.http.facts import Facts
from gateway.core.login.earned import Earned
from gateway.core.typed import split_code
from gateway.core.upstream import Credential, TokenMaking, Upstream
from gateway.core.user_id import user_id

_KEPT_FOR: Final = 60.0
_MOST: Final = 4096


class OwnToken(Protocol):
    """A token of the gateway's own, which came with a request and is signed and live."""

    @property
    def owner(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom the credentials of a request name.

    user: an id, "" for nobody, or where they name several. factor: kind and name of what came.
    token: the id of a token. credential: a login of the index's, whose factor the store knows.
    cookie: a session of the gateway's own, which the store knows.
    """

    user: str = ""
    factor: str = ""
    token: str = ""
    detail: str = ""
    credential: Credential | None = field(default=None, repr=False)
    cookie: str = field(default="", repr=False)


class Askers:
    """One for a process; it remembers for a minute what the store said."""

    def __init__(
        self, upstream: Upstream, earned: Earned, jar: Jar, ring: KeyRing, clock: Clock
    ) -> None:
        self._upstream: Final = upstream
        self._earned: Final = earned
        self._jar: Final = jar
        self._ring: Final = ring
        self._clock: Final = clock
        self._known: Final[dict[str, tuple[str, str, float]]] = {}

    def of(self, facts: Facts, token: OwnToken | None) -> Asker:
        """Whom a request names, without asking anybody."""
        if token is not None:
            return Asker(token.owner, f"token {token.name}", token.id)
        try:
            carriers = self._upstream.carriers(facts)
        except Refusal:  # one of them twice
            return Asker(detail="its credentials cannot be told apart")
        shown = [one.credential for one in carriers if one.credential is not None]
        people = {name for one in shown if (name := _id_of(one.user))}
        if len(people) > 1:
            return Asker(detail=f"its credentials name {' and '.join(sorted(people))}")
        if not shown:
            return Asker(cookie=self._own_cookie(facts))
        user, credential = next(iter(people), ""), shown[0]
        if isinstance(self._upstream, TokenMaking):
            named = self._upstream.token_name(credential.secret)
            if named is not None:
                return Asker(user, "token of the index", named.id)
        if self._upstream.signed(credential.secret) or not user:
            return Asker(user, credential=credential)
        coded = facts.first("x-otp") is not None or split_code(credential.secret) is not None
        return Asker(user, "password and code" if coded else "password")

    async def looked_up(self, asker: Asker) -> Asker:
        """The same with what the store knows. Raises StoreUnavailable."""
        if asker.credential is not None:
            user, factor = await self._earned_by(asker.credential)
            return replace(asker, user=asker.user or user, factor=factor, credential=None)
        if asker.cookie:
            session = await self._earned.session(asker.cookie)
            if session is not None:
                return replace(asker, user=session.user_id, factor=session.factor or "session")
        return asker

    async def _earned_by(self, credential: Credential) -> tuple[str, str]:
        """Who earned a login of the index's, and with which factor."""
        name = self._ring.digest("asker", credential.user, credential.secret)
        known = self._known.get(name)
        if known is not None and known[2] >= self._clock():
            return known[:2]
        verified = await self._earned.verified(credential)
        user = verified.user_id if verified is not None else ""
        factor = (verified.factor if verified is not None else "") or "login"
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[name] = user, factor, self._clock() + _KEPT_FOR
        return user, factor

    def _own_cookie(self, facts: Facts) -> str:
        header = facts.first("cookie")
        if header is None or not any(name in header for name in OWN_NAMES):
            return ""
        return self._jar.read(facts, cookies.SESSION) or ""


def _id_of(name: str) -> str:
    """The id of a name, "" where nobody can be called that."""
    try:
        return user_id(name)
    except Refusal:
        return ""
