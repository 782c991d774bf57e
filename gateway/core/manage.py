"""What a signed-in person sees and changes: factors, sessions, remembered devices.

Every change of a factor needs a proof within `limits.step_up` (Refusal `step_up_required`) and
ends the person's other sessions, remembered devices and verified credentials; the acting
session goes on under the new cookie value that is returned.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.logins import Caller, Session


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
    """required_from: when a person without a factor will be refused; None: no banner."""

    factors: tuple[FactorRow, ...]
    recovery_left: int
    recovery_made: float
    sessions: tuple[SessionRow, ...]
    devices: tuple[DeviceRow, ...]
    required_from: float | None = None


class Manage:
    async def overview(self, session: Session, *, device_cookie: str = "") -> Overview:
        raise NotImplementedError

    async def rename(self, session: Session, kind: str, id: str, name: str, caller: Caller) -> str:
        """Raises Refusal: `name_taken`, `unusable_label`, `no_such_factor`."""
        raise NotImplementedError

    async def remove(self, session: Session, kind: str, id: str, caller: Caller) -> str:
        """Raises Refusal: `last_factor` (required here), `no_such_factor`."""
        raise NotImplementedError

    async def end_session(self, session: Session, id: str, caller: Caller) -> None:
        """End one of the person's sessions by its row id (no step-up needed)."""
        raise NotImplementedError

    async def end_other_sessions(self, session: Session, caller: Caller) -> int:
        """End all but this one; how many ended."""
        raise NotImplementedError

    async def forget_device(self, session: Session, id: str, caller: Caller) -> None:
        raise NotImplementedError

    async def remember(self, session: Session, caller: Caller) -> str:
        """Remember this device: the device cookie's value. Needs a fresh proof."""
        raise NotImplementedError
