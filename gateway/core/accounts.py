"""One record per person: factors, recovery codes and the epoch that ends what came before.

The record is never deleted, so its epoch only grows. Everything about a person that must change
together is in this one record, and every change is a conditional write over the version read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, TypeAlias, TypeVar

from gateway.core.store import Key, Store, StoreUnavailable

FORMAT: Final = 1
_ROUNDS: Final = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TotpDevice:
    """secret: sealed, base64. step: the last time step a code was taken for (RFC 6238 T)."""

    id: str
    name: str
    secret: str = field(repr=False)
    step: int
    added: float
    used: float = 0.0

    @property
    def kind(self) -> str:
        return "totp"


@dataclass(frozen=True, slots=True)
class WebauthnKey:
    """id: the credential id; public_key: COSE; handle: the user handle it was made with.
    All base64url without padding."""

    id: str
    name: str
    public_key: str
    sign_count: int
    transports: tuple[str, ...]
    passkey: bool
    handle: str
    added: float
    used: float = 0.0

    @property
    def kind(self) -> str:
        return "webauthn"


Device: TypeAlias = TotpDevice | WebauthnKey


@dataclass(frozen=True, slots=True)
class Recovery:
    """codes: keyed hashes of the codes that are left."""

    codes: tuple[str, ...] = field(default=(), repr=False)
    made: float = 0.0


@dataclass(frozen=True, slots=True)
class Invitation:
    """digest: keyed hash of the token in the link."""

    digest: str = field(repr=False)
    expires: float


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of one person.

    id: the user id. user: the name as first written.
    epoch: grows with every change of factor or password; sessions, remembered devices and
    verified credentials of an older epoch are dead.
    handle: the random WebAuthn user handle, base64url. last: the factor used last.
    known, agents: keyed hashes of the networks and devices the person last passed a factor
    from, newest first.
    """

    id: str
    user: str
    epoch: int = 0
    handle: str = ""
    totp: tuple[TotpDevice, ...] = ()
    webauthn: tuple[WebauthnKey, ...] = ()
    recovery: Recovery = Recovery()
    invitation: Invitation | None = None
    last: str = ""
    known: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    created: float = 0.0
    enrolled: float = 0.0

    @property
    def protected(self) -> bool:
        """Whether the person has a second factor. Recovery codes alone are none."""
        return bool(self.totp or self.webauthn)

    @property
    def devices(self) -> tuple[Device, ...]:
        return self.totp + self.webauthn

    def with_device(self, device: Device) -> Account:
        if isinstance(device, TotpDevice):
            return replace(self, totp=(*self.totp, device))
        return replace(self, webauthn=(*self.webauthn, device))

    def bumped(self) -> Account:
        return replace(self, epoch=self.epoch + 1)


def dump(account: Account) -> bytes:
    """The stored form; see the literal examples in tests/core/test_accounts.py."""
    return json.dumps(
        {"v": FORMAT, **asdict(account)}, separators=(",", ":"), ensure_ascii=False
    ).encode()


def load(value: bytes) -> Account:
    """Read a stored account.

    Raises:
        StoreUnavailable: a record this version cannot read; it is left alone.
    """
    try:
        data: dict[str, Any] = json.loads(value)
        if data.pop("v") != FORMAT:
            raise StoreUnavailable("an account was written by a newer version")
        data["totp"] = tuple(device_of("totp", item) for item in data["totp"])
        data["webauthn"] = tuple(device_of("webauthn", item) for item in data["webauthn"])
        recovery = data["recovery"]
        data["recovery"] = Recovery(tuple(recovery["codes"]), recovery["made"])
        data["known"] = tuple(data["known"])
        data["agents"] = tuple(data["agents"])
        if data["invitation"] is not None:
            data["invitation"] = Invitation(**data["invitation"])
        return Account(**data)
    except (ValueError, TypeError, KeyError) as broken:
        raise StoreUnavailable("an account cannot be read") from broken


def device_of(kind: str, data: dict[str, Any]) -> Device:
    """A device from its stored form."""
    if kind == "totp":
        return TotpDevice(**data)
    return WebauthnKey(**{**data, "transports": tuple(data["transports"])})


class Accounts:
    """Reads and changes accounts in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, user_id: str) -> Account | None:
        record = await self._store.get(_key(user_id))
        return load(record.value) if record else None

    async def epoch(self, user_id: str) -> int:
        """The person's epoch, 0 where there is no account yet."""
        account = await self.get(user_id)
        return account.epoch if account else 0

    async def change(
        self, user_id: str, user: str, work: Callable[[Account], tuple[Account, T]], *, now: float
    ) -> T:
        """Read, work, write if unchanged; again when another was faster.

        Args:
            work: called with the account as it stands (a new one where there is none),
                possibly several times; it must be free of side effects. What it raises
                ends the change.

        Returns:
            What `work` gave beside the account.

        Raises:
            StoreUnavailable: also after 100 lost races.
        """
        for _ in range(_ROUNDS):
            record = await self._store.get(_key(user_id))
            account = load(record.value) if record else Account(user_id, user, created=now)
            changed, result = work(account)
            if record and changed == account:
                return result
            if record is None:  # first, so that a crash in between hides nobody from the list
                await self._store.put(Key("person", "", user_id), b"")
            version = record.version if record else 0
            written = await self._store.put(_key(user_id), dump(changed), if_version=version)
            if written is not None:
                return result
        raise StoreUnavailable("an account is changed by too many at once")

    async def meet(self, account: Account, *, now: float) -> None:
        """Keep an account for somebody who has logged in, if there is none yet."""
        if not account.created:
            await self.change(account.id, account.user, lambda one: (one, None), now=now)

    async def by_handle(self, handle: str) -> str | None:
        """The user id behind a WebAuthn user handle."""
        record = await self._store.get(Key("handle", "", handle))
        return record.value.decode() if record else None

    async def name_handle(self, handle: str, user_id: str) -> None:
        """Make a handle lead to a person. Written before the account, so none is lost."""
        await self._store.put(Key("handle", "", handle), user_id.encode())

    async def ids(self) -> list[str]:
        """The ids of everybody with an account (and of those cut off while getting one)."""
        return [name for name, _ in await self._store.items("person", "")]


def _key(user_id: str) -> Key:
    return Key("user", user_id, "")
