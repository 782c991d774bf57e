"""Sample people for `preview`, and the cookies with which a browser is in a state of theirs.

Everything goes through the services that the pages use. One-time codes count once, so each one
that is made puts the clock forward.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from typing import Final
from urllib.parse import parse_qs, urlsplit

from gateway.core.accounts.records import Account, WebauthnKey
from gateway.core.administration import Admin
from gateway.core.audit.events import Origin
from gateway.core.errors import Refusal
from gateway.core.http import cookies
from gateway.core.http.facts import Facts, read_address
from gateway.core.login.flow import Flow
from gateway.core.login.models import Caller, Held, Pending, Session
from gateway.core.upstream import Credential, Issued
from gateway.core.urls import PREFIX

USER: Final = "alex"
KNOWN: Final = "kim"
_NEW: Final = "sam"
_FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_SAFARI: Final = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1"
_DEVPI: Final = "devpi-client/7.3.0 (py3.13; linux)"

Cookies = dict[str, str]


class Ahead:
    """The time, and what was put forward."""

    def __init__(self) -> None:
        self.by = 0.0

    def __call__(self) -> float:
        return time.time() + self.by


class Anybody:
    """Stands for the index's judgement: every password is right."""

    async def check(self, user: str, password: str, facts: Facts) -> Held:
        return earned(user)

    async def right(self, credential: Credential) -> Issued | None:
        return Issued(credential, None)


def earned(user: str) -> Held:
    """What a login at an index would have earned."""
    credential = Credential(user, "sample")
    return Held((Issued(credential, 36000.0),), session=credential)


def caller(agent: str = _FIREFOX, address: str = "192.0.2.10") -> Caller:
    return Caller(read_address(address), Origin(address=address, user_agent=agent))


class SamplePeople:
    """alex, who has two factors and some sessions, and newcomers, one for each look."""

    def __init__(self, flow: Flow, clock: Ahead) -> None:
        self._flow: Final = flow
        self._clock: Final = clock
        self._secret = ""
        self._numbers: Final = count(1)

    async def settle(self) -> None:
        """Make alex, once."""
        who = await self._newcomer(USER)
        self._secret = await self._offer(who)
        await self._flow.enrolling.confirm_totp(who, self._code(self._secret), caller())
        await self._flow.enrolling.finish(who, caller(), saved=True)

        def with_key(account: Account) -> tuple[Account, None]:
            key = WebauthnKey("a2V5", "Blue key", "cHVibGlj", 0, ("usb",), True, "", self._clock())
            return replace(account, webauthn=(key,)), None

        accounts = self._flow.services.accounts
        await accounts.change(USER, USER, with_key, now=self._clock())
        await self._passed(caller(_SAFARI, "198.51.100.7"))
        kim = await self._newcomer(KNOWN)
        secret = await self._offer(kim)
        await self._flow.enrolling.confirm_totp(kim, self._code(secret), caller(_SAFARI))
        await self._flow.enrolling.finish(kim, caller(_SAFARI), saved=True)

    async def nobody(self) -> Cookies:
        return {}

    async def asked(self) -> Cookies:
        """alex has given the password."""
        begun = await self._flow.entering.begin(USER, earned(USER), caller())
        return {cookies.PENDING: begun.cookie}

    async def logged_in(self) -> Cookies:
        return {cookies.SESSION: await self._passed(caller())}

    async def newcomer(self) -> Cookies:
        """Somebody without a factor has given the password."""
        return {cookies.PENDING: await self._begun(self._name())}

    async def offered(self) -> Cookies:
        """The same, and an app is to be connected."""
        cookie = await self._begun(self._name())
        await self._offer(await self._pending(cookie))
        return {cookies.PENDING: cookie}

    async def saving(self) -> Cookies:
        """The same, and the codes are to be saved."""
        cookie = await self._begun(self._name())
        who = await self._pending(cookie)
        secret = await self._offer(who)
        await self._flow.enrolling.confirm_totp(who, self._code(secret), caller())
        return {cookies.PENDING: cookie}

    async def invited(self) -> tuple[Cookies, str]:
        """Nobody yet; the page an invitation leads to."""
        made = await Admin(self._flow.services).invite(self._name())
        return {}, PREFIX + made.link.partition(PREFIX)[2]

    async def approving(self) -> tuple[Cookies, str]:
        """alex is logged in, and a command line waits; the page that approves it."""
        cookie = await self._passed(caller())
        try:
            issued = (Issued(Credential(USER, "waiting"), 36000.0),)
            await self._flow.at_once.prove(USER, None, issued, caller(_DEVPI))
        except Refusal as refusal:
            path = refusal.detail.get("approve", "").partition(PREFIX)[2]
            return {cookies.SESSION: cookie}, PREFIX + path
        raise AssertionError("a login without a code passed")

    async def session(self, cookie: str) -> Session | None:
        return await self._flow.earned.session(cookie)

    def _name(self) -> str:
        return f"{_NEW}{next(self._numbers)}"

    async def _newcomer(self, user: str) -> Pending:
        return await self._pending(await self._begun(user))

    async def _begun(self, user: str) -> str:
        return (await self._flow.entering.begin(user, earned(user), caller())).cookie

    async def _pending(self, cookie: str) -> Pending:
        found = await self._flow.entering.pending(cookie)
        assert found is not None
        return found

    async def _offer(self, who: Pending) -> str:
        offer = await self._flow.enrolling.totp(who, "Phone")
        return parse_qs(urlsplit(offer.uri).query)["secret"][0]

    async def _passed(self, who: Caller) -> str:
        begun = await self._flow.entering.begin(USER, earned(USER), who)
        pending = await self._pending(begun.cookie)
        code = self._code(self._secret)
        return (await self._flow.entering.prove(pending, "totp", code, who)).session_cookie

    def _code(self, secret: str) -> str:
        import pyotp

        self._clock.by += 30
        return pyotp.TOTP(secret).at(int(self._clock()))
