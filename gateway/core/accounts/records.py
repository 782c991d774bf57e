"""One record per person: factors, recovery codes and the epoch that ends what came before.

The record is never deleted, so its epoch only grows. Everything about a person that must change
together is in this one record, and every change is a conditional write over the version read.

Names people give to their devices.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from typing import Any, Final, TypeAlias

from gateway.core.errors import Refusal, Slug
from gateway.core.plain import plain
from gateway.core.store import StoreUnavailable
from gateway.core.values import dataclass

FORMAT: Final = 1


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
    All base64url without padding. model: what it calls itself ("Google Password Manager"), as far
    as it does; proves nothing."""

    id: str
    name: str
    public_key: str
    sign_count: int
    transports: tuple[str, ...]
    passkey: bool
    handle: str
    added: float
    used: float = 0.0
    model: str = ""

    @property
    def kind(self) -> str:
        return "webauthn"


Device: TypeAlias = TotpDevice | WebauthnKey


RECOVERY_CODES: Final = 10
"""How many are made at a time."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """codes: keyed hashes of the codes that are left. confirmed: the person has shown, or said,
    that they are saved. Unconfirmed ones work too."""

    codes: tuple[str, ...] = field(default=(), repr=False)
    made: float = 0.0
    confirmed: bool = True


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
    invited_only: the factors were reset, so nothing but an invitation lets this person in and set
    up another, whoever else may do without one: a stolen password must not be quicker. Ends with
    the next factor, not with the invitation.
    removed: the person has left; seconds since the epoch, 0.0 for somebody who has not, or is back.
    language: what the pages last spoke to them in, for mail; "" where none is known.
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
    invited_only: bool = False
    removed: float = 0.0
    language: str = ""

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

    def bared(self, invitation: Invitation | None) -> Account:
        """Without any factor, as an administrator leaves it; see `invited_only`."""
        return replace(
            self.bumped(),
            totp=(),
            webauthn=(),
            recovery=Recovery(),
            invitation=invitation,
            last="",
            enrolled=0.0,
            invited_only=True,
        )

    def forgotten(self, now: float) -> Account:
        """Of somebody who has left: the name, and the epoch that keeps all it ended at an end."""
        return replace(self.bared(None), handle="", known=(), agents=(), removed=now)

    def bumped(self) -> Account:
        return replace(self, epoch=self.epoch + 1)


def dump(account: Account) -> bytes:
    """The stored form; see the literal examples in tests/core/accounts/test_records.py."""
    return _encoded({"v": FORMAT, **plain(account)}).encode()


_encoded: Final[Callable[[dict[str, Any]], str]] = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False
).encode


def load(value: bytes) -> Account:
    """Read a stored account.

    Raises:
        StoreUnavailable: a record this version cannot read; it is left alone.
    """
    try:
        data: dict[str, Any] = json.loads(value.decode())  # so that no encoding is looked for
        if data.pop("v") != FORMAT:
            raise StoreUnavailable("an account was written by a newer version")
        data["totp"] = tuple(device_of("totp", item) for item in data["totp"])
        data["webauthn"] = tuple(device_of("webauthn", item) for item in data["webauthn"])
        recovery = data["recovery"]
        recovery["codes"] = tuple(recovery["codes"])
        data["recovery"] = Recovery(**recovery)
        data["known"] = tuple(data["known"])
        data["agents"] = tuple(data["agents"])
        if data["invitation"] is not None:
            data["invitation"] = Invitation(**data["invitation"])
        return Account(**data)
    except (ValueError, TypeError, KeyError) as broken:
        raise StoreUnavailable("an account cannot be read") from broken


def decoded(values: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Accounts as they are stored, for long lists: a fifth of what `load` takes.

    For commands: a running gateway does without this library, and the memory it takes.

    Raises:
        StoreUnavailable: as `load`.
    """
    from pydantic_core import from_json

    for value in values:
        try:
            found = from_json(value, cache_strings="keys")
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("v") != FORMAT:
            load(value)  # says what is wrong
            raise StoreUnavailable("an account cannot be read")
        yield found


def device_of(kind: str, data: dict[str, Any]) -> Device:
    """A device from its stored form."""
    if kind == "totp":
        return TotpDevice(**data)
    return WebauthnKey(**{**data, "transports": tuple(data["transports"])})


LONGEST: Final = 60
_REFUSED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def usable_label(name: str, taken: Iterable[Device]) -> str:
    """A name as it is kept: NFC, one plain blank where it has any.

    Raises:
        Refusal: `unusable_label`, `name_taken` (whatever the case of its letters).
    """
    label = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(label) <= LONGEST or any(unicodedata.category(c) in _REFUSED for c in label):
        raise Refusal(Slug.UNUSABLE_LABEL)
    if any(one.name.casefold() == label.casefold() for one in taken):
        raise Refusal(Slug.NAME_TAKEN)
    return label
