"""What the security page shows of a person, as rows."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.accounts.records import Account, WebauthnKey
from gateway.core.agents import device_name
from gateway.core.login.models import Session


@dataclass(frozen=True, slots=True)
class FactorRow:
    """kind: "totp" or "webauthn". used: 0 for never. passkey: can sign in without a name."""

    kind: str
    id: str
    name: str
    added: float
    used: float
    passkey: bool = False


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: str
    device: str
    address: str
    created: float
    last_seen: float
    current: bool


@dataclass(frozen=True, slots=True)
class DeviceRow:
    id: str
    device: str
    address: str
    added: float
    used: float
    expires: float
    current: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """required_from: when a person without a factor is refused; None: never, or has one.
    recovery_confirmed: False while new codes wait for word that they are saved."""

    factors: tuple[FactorRow, ...]
    recovery_left: int
    recovery_made: float
    recovery_confirmed: bool
    sessions: tuple[SessionRow, ...]
    devices: tuple[DeviceRow, ...]
    required_from: float | None = None


def factor_rows(account: Account) -> tuple[FactorRow, ...]:
    """A person's devices, the oldest first."""
    rows = [
        FactorRow(
            one.kind,
            one.id,
            one.name,
            one.added,
            one.used,
            isinstance(one, WebauthnKey) and one.passkey,
        )
        for one in account.devices
    ]
    return tuple(sorted(rows, key=lambda row: row.added))


def session_row(one: Session, current: bool) -> SessionRow:
    return SessionRow(
        one.id, device_name(one.user_agent), one.address, one.created, one.last_seen, current
    )
