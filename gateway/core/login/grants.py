"""A command line that knows no password gets a token of some hours, by a word in the browser.

Whoever asks is given an address, a number of two digits and a secret. In the browser a person who
is logged in, and has just shown a factor, opens the address and types the number; the secret then
fetches the token, once. What waits lives for five minutes.

The address alone approves nothing, and a number that does not fit denies. A thief may send both to
a person all the same: the page says from where it was asked, and that nobody has to tell a number.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.core.audit.events import Event
from gateway.core.crypto.signing import token as random_text
from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Caller, Session
from gateway.core.login.services import Services
from gateway.core.notices.events import Notice
from gateway.core.store import Key, Record
from gateway.core.throttle.limits import UNKNOWN, network, throttled
from gateway.core.tokens.records import BY_LOGIN, Scope
from gateway.core.upstream import Action
from gateway.core.user_id import user_id as id_of
from gateway.core.wording import device_name, let_in_name

LIFE: Final = 300.0
"""Seconds that a word is waited for."""
LONGEST: Final = 12 * 3600.0
"""Seconds that such a token lives at most."""

_AT_ONCE: Final = 30  # asked for from one network within LIFE
_PURPOSE: Final = "granted token"


@dataclass(frozen=True, slots=True)
class AskedGrant:
    """What a command line is told. number: what the page asks for; secret: fetches the token."""

    id: str
    number: str
    secret: str = field(repr=False)
    expires: float


@dataclass(frozen=True, slots=True)
class WaitingGrant:
    """What the page shows. lifetime: seconds; state: waiting, approved or denied."""

    id: str
    actions: tuple[Action, ...]
    lifetime: float
    address: str
    user_agent: str
    expires: float
    state: str


@dataclass(frozen=True, slots=True)
class Granted:
    """A token, and whose it is. expires: seconds since the epoch."""

    text: str = field(repr=False)
    user: str
    expires: float


class Granting:
    """Every method may raise StoreUnavailable."""

    def __init__(self, services: Services) -> None:
        self._services: Final = services

    async def ask(self, actions: tuple[Action, ...], lifetime: float, caller: Caller) -> AskedGrant:
        """Wait for a word from now on.

        Raises:
            Refusal: `throttled`, `frozen`.
        """
        services = self._services
        await services.freezes.check_login()
        place = Key("grants", "", network(caller.address) or UNKNOWN)
        if await services.store.count(place, window=LIFE) > _AT_ONCE:
            raise throttled(LIFE)
        id, secret = random_text(services.random), random_text(services.random)
        number = str(10 + int.from_bytes(services.random(8)) % 90)
        expires = services.clock() + LIFE
        data = {
            "number": number,
            "secret": _hashed(secret),
            "actions": [str(one) for one in actions],
            "lifetime": min(lifetime, LONGEST),
            "address": caller.origin.address,
            "user_agent": caller.origin.user_agent[:200],
            "expires": expires,
            "state": "waiting",
        }
        await services.store.put(_key(id), _dumped(data), expires=expires, if_version=0)
        return AskedGrant(id, number, f"{id}.{secret}", expires)

    async def waiting(self, id: str) -> WaitingGrant | None:
        found = await self._read(id)
        return None if found is None else _waiting(id, found[1])

    async def answer(
        self,
        session: Session,
        id: str,
        number: str,
        caller: Caller,
        *,
        by_service: bool,
        report: bool = False,
    ) -> None:
        """Approve with the number that the command line was given; any other denies.

        Args:
            by_service: a service account stands for tokens at the index.
            report: with number "": the administrator is told, too.

        Raises:
            Refusal: `step_up_required`, `approval_gone`, `grant_denied`, `grant_reported`,
                `login_by_password`, `frozen`.
        """
        services = self._services
        await services.freezes.check_login(session.user_id)
        services.sessions.check_fresh(session)
        found = await self._read(id)
        if found is None or found[1]["state"] != "waiting" or not session.factor:
            raise Refusal(Slug.APPROVAL_GONE)
        if number and not by_service and session.upstream is None:  # denying takes nothing
            raise Refusal(Slug.LOGIN_BY_PASSWORD)
        record, data = found
        fits = hmac.compare_digest(data["number"].encode(), number.encode())
        data["state"] = "approved" if fits else "denied"
        version = await self._write(id, data, record)
        if version is None:  # another tab was quicker
            raise Refusal(Slug.APPROVAL_GONE)
        waiting = _waiting(id, data)
        client = f"{device_name(waiting.user_agent)} from {waiting.address or 'no address'}"
        denied = Event.COMMAND_LINE_REPORTED if report else Event.COMMAND_LINE_DENIED
        event = Event.COMMAND_LINE_APPROVED if fits else denied
        detail = f"a token to {' and '.join(waiting.actions)}, {client}"
        await services.audit.record(event, session.user_id, caller.origin, detail=detail)
        if not fits:
            notice = Notice.GRANT_REPORTED if report else Notice.GRANT_DENIED
            await services.notifier.notify(notice, session.user_id, caller.origin, detail=client)
            raise Refusal(Slug.GRANT_REPORTED if report else Slug.GRANT_DENIED)
        await self._give(session, id, data, version, waiting, caller, by_service=by_service)

    async def fetch(self, secret: str) -> Granted | None:
        """The token; None while it is waited for. Once.

        Raises:
            Refusal: `approval_gone`, `grant_denied`.
        """
        id, _, rest = secret.partition(".")
        found = await self._read(id)
        if found is None or not hmac.compare_digest(found[1]["secret"], _hashed(rest)):
            raise Refusal(Slug.APPROVAL_GONE)
        record, data = found
        if data["state"] == "denied":
            raise Refusal(Slug.GRANT_DENIED)
        if "user" not in data:
            return None
        await self._services.freezes.check_login(id_of(data["user"]))
        sealed = data.pop("token", None)
        # The record stays for the page, which may be asked for after this.
        if sealed is None or await self._write(id, data, record) is None:
            raise Refusal(Slug.APPROVAL_GONE)
        plain = self._services.ring.open(_PURPOSE, id, base64.b64decode(sealed))
        return Granted(plain.decode(), data["user"], data["ends"])

    async def _give(
        self,
        session: Session,
        id: str,
        data: dict[str, Any],
        version: int,
        waiting: WaitingGrant,
        caller: Caller,
        *,
        by_service: bool,
    ) -> None:
        services = self._services
        label = let_in_name(waiting.user_agent)[:60]
        made = await services.tokens.mint(
            session.user,
            label,
            Scope(waiting.actions),
            waiting.lifetime,
            None if by_service else session.upstream,
            caller.origin,
            made_by=BY_LOGIN,
            said=f"for {waiting.address or 'no address'}",
        )
        await services.notifier.notify(
            Notice.TOKEN_MADE, session.user_id, caller.origin, detail=label
        )
        sealed = services.ring.seal(_PURPOSE, id, made.text.encode())
        data |= {
            "token": base64.b64encode(sealed).decode(),
            "user": session.user,
            "ends": made.token.expires,
        }
        data["expires"] = services.clock() + LIFE
        await services.store.put(
            _key(id), _dumped(data), expires=data["expires"], if_version=version
        )

    async def _read(self, id: str) -> tuple[Record, dict[str, Any]] | None:
        record = await self._services.store.get(_key(id)) if id.isascii() and id else None
        return None if record is None else (record, json.loads(record.value))

    async def _write(self, id: str, data: dict[str, Any], over: Record) -> int | None:
        return await self._services.store.put(
            _key(id), _dumped(data), expires=data["expires"], if_version=over.version
        )


def _waiting(id: str, data: dict[str, Any]) -> WaitingGrant:
    return WaitingGrant(
        id,
        tuple(Action(one) for one in data["actions"]),
        data["lifetime"],
        data["address"],
        data["user_agent"],
        data["expires"],
        data["state"],
    )


def _key(id: str) -> Key:
    return Key("grant", "", id[:100])


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _dumped(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
