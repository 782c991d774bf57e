"""Command-line logins that wait for a word in the browser.

A login without a code, by a person who has a live browser session, leaves a record here. Once
approved, the next try by the same client passes, once.

The address alone approves nothing: whoever knows the password could start a login of their own and
send its address to the person. The answer to the command line carries a number of two digits
besides, which the page asks for and never shows (number matching). One that does not fit denies
that login.

A client is a person's right password from one address by one program: devpi-client has nothing
else that stays the same from one try to the next. So another machine behind the same address
that knows the password as well, and is quicker, takes the approval up (docs/security.md).
"""

from __future__ import annotations

import hmac
import json
from enum import Enum
from typing import Any, Final, NamedTuple

from gateway.core.clock import Clock, Random
from gateway.core.crypto.keyring import KeyRing
from gateway.core.crypto.signing import token
from gateway.core.login.models import Caller, Waiting
from gateway.core.store import Key, Record, Store, StoreUnavailable

_ATTEMPTS: Final = 8
"""How often a step starts again where another try by the same client came in between."""


class Asked(NamedTuple):
    """What the command line is told: the login's id, and the number that approves it."""

    id: str
    number: str


class Answered(Enum):
    """What became of an answer; GONE: nothing of that id waits."""

    APPROVED = "approved"
    DENIED = "denied"
    GONE = "gone"


class Approvals:
    """Args: life: seconds an approval is waited for, and then good for."""

    def __init__(
        self, store: Store, ring: KeyRing, clock: Clock, random: Random, life: float
    ) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._random = random
        self._life = life

    async def ask(self, user_id: str, caller: Caller, epoch: int) -> Asked | None:
        """Let a login wait from now on. One client waits once, however often it tries; None for
        one that was denied a short while ago."""
        key = self._key(user_id, caller)
        for _ in range(_ATTEMPTS):
            record = await self._store.get(key)
            data = json.loads(record.value) if record else {}
            if data.get("epoch") != epoch:
                data = {
                    "id": token(self._random),
                    "number": _number(self._random),
                    "address": caller.origin.address,
                    "user_agent": caller.origin.user_agent,
                    "approved": False,
                    "denied": False,
                    "epoch": epoch,
                }
            elif data["denied"]:
                return None
            elif data["approved"] or data["expires"] > self._clock() + self._life - 1:
                return _asked(data)  # approved meanwhile, or tried this very second
            if await self._write(key, data, record):
                return _asked(data)
        raise StoreUnavailable("another try always came in between")

    async def find(self, user_id: str, id: str) -> Waiting | None:
        found = await self._find(user_id, id)
        if found is None:
            return None
        return _waiting(user_id, json.loads(found[1].value))

    async def waiting(self, user_id: str) -> tuple[Waiting, ...]:
        """A person's logins that nobody has said anything to yet, the one that ends first first."""
        records = [record for _, record in await self._store.items("approval", user_id)]
        found = [_waiting(user_id, json.loads(record.value)) for record in records]
        now = self._clock()
        waits = [one for one in found if one and not one.approved and one.expires > now]
        return tuple(sorted(waits, key=lambda one: one.expires))

    async def answer(self, user_id: str, id: str, number: str) -> Answered:
        """Approve with the number that the command line was given; any other denies.

        What is approved already stays so, and waits no longer for a second answer.
        """
        for _ in range(_ATTEMPTS):
            found = await self._find(user_id, id)
            if found is None:
                return Answered.GONE
            key, record = found
            data = json.loads(record.value)
            if data["denied"]:
                return Answered.GONE
            if data["approved"]:
                return Answered.APPROVED
            fits = hmac.compare_digest(data["number"].encode(), number.encode())
            said = {"approved": True} if fits else {"denied": True}
            if await self._write(key, data | said, record):
                return Answered.APPROVED if fits else Answered.DENIED
        raise StoreUnavailable("another try always came in between")

    async def take(self, user_id: str, caller: Caller, epoch: int) -> bool:
        """Whether this client was approved; uses the approval up."""
        key = self._key(user_id, caller)
        record = await self._store.get(key)
        if record is None:
            return False
        data = json.loads(record.value)
        if not data["approved"] or data["epoch"] != epoch:
            return False
        return await self._store.delete(key, if_version=record.version)

    async def _find(self, user_id: str, id: str) -> tuple[Key, Record] | None:
        for name, record in await self._store.items("approval", user_id):
            if hmac.compare_digest(json.loads(record.value)["id"].encode(), id.encode()):
                return Key("approval", user_id, name), record
        return None

    async def _write(self, key: Key, data: dict[str, Any], over: Record | None) -> bool:
        """Write with a whole life ahead, if what it was made from is still there."""
        expires = self._clock() + self._life
        value = json.dumps(data | {"expires": expires}, separators=(",", ":")).encode()
        version = over.version if over else 0
        return await self._store.put(key, value, expires=expires, if_version=version) is not None

    def _key(self, user_id: str, caller: Caller) -> Key:
        place = str(caller.address or "")
        client = self._ring.digest("approval", user_id, place, caller.origin.user_agent)
        return Key("approval", user_id, client)


def _waiting(user_id: str, data: dict[str, Any]) -> Waiting | None:
    """None for one that was denied."""
    if data["denied"]:
        return None
    shown = ("id", "address", "user_agent", "expires", "approved")
    return Waiting(user_id=user_id, **{name: data[name] for name in shown})


def _asked(data: dict[str, Any]) -> Asked:
    return Asked(data["id"], data["number"])


def _number(random: Random) -> str:
    """Two digits, 10 to 99: each as likely as any other but for 1 in 2**56."""
    return str(10 + int.from_bytes(random(8)) % 90)
