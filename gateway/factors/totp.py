"""Time-based one-time codes (RFC 6238): SHA-1, 6 digits, 30 seconds, one step either way.

Knows secrets and time steps; storing the account (and so taking a code only once) is the
caller's. SHA-1 and 30 seconds because authenticator apps ignore other parameters.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import pyotp

from gateway.core.accounts.factor import ClockOff, Offer, Proof, WrongAnswer
from gateway.core.accounts.records import Account, TotpDevice
from gateway.core.clock import Random
from gateway.core.crypto.keyring import KeyRing, SealBroken
from gateway.core.store import StoreUnavailable
from gateway.core.typed import one_time_code

STEP: Final = 30  # seconds, RFC 6238 section 5.2
DRIFT: Final = 1  # steps either way that are accepted, ibid.
SEARCH: Final = 20  # steps either way in which enrolment looks for a clock that is off
SECRET_BYTES: Final = 20  # 160 bits, RFC 4226 section 4 R6
_PURPOSE: Final = "totp"


class Totp:
    """The factor.

    Args:
        issuer: how the index calls itself in authenticator apps.
    """

    kind: str = "totp"
    guessable: bool = True
    asks: bool = False
    limit: int = 5

    def __init__(self, ring: KeyRing, issuer: str) -> None:
        self._ring = ring
        self._issuer = issuer

    def has(self, account: Account) -> bool:
        return bool(account.totp)

    def fits(self, answer: str) -> bool:
        return one_time_code(answer) is not None

    def ask(self, account: Account | None, challenge: bytes) -> str:
        return ""

    def whose(self, answer: str) -> str:
        return ""

    def check(self, account: Account, answer: str, *, challenge: bytes, now: float) -> Proof:
        """Judge a code against every device; only a step later than its last one counts.

        Raises:
            WrongAnswer; StoreUnavailable: the gateway has other keys than the store.
        """
        code = one_time_code(answer)
        if code is None:
            raise WrongAnswer
        for place, device in enumerate(account.totp):
            try:
                secret = self._secret(account, device)
            except SealBroken as broken:
                raise StoreUnavailable(f"{broken}: put back those it was used with") from None
            step = _find(secret, code, now, DRIFT)
            if step is not None and step > device.step:
                taken = TotpDevice(device.id, device.name, device.secret, step, device.added, now)
                totp = (*account.totp[:place], taken, *account.totp[place + 1 :])
                return Proof(replace(account, totp=totp), device.name)
        raise WrongAnswer

    def offer(self, account: Account, name: str, random: Random) -> Offer:
        """A new secret; `shown` is its otpauth URI."""
        secret = base64.b32encode(random(SECRET_BYTES)).decode()
        return Offer(secret, otpauth(self._issuer, account.user, secret))

    def confirm(
        self, account: Account, name: str, state: str, answer: str, *, now: float, id: str
    ) -> TotpDevice:
        code = one_time_code(answer)
        step = _find(state, code, now, SEARCH) if code else None
        if step is None:
            raise WrongAnswer
        ahead = step - int(now) // STEP
        if abs(ahead) > DRIFT:
            raise ClockOff(ahead * STEP)
        return replace(self.adopt(account, name, state, now=now, id=id), step=step)

    def adopt(self, account: Account, name: str, state: str, *, now: float, id: str) -> TotpDevice:
        sealed = self._ring.seal(_PURPOSE, _identity(account, id), state.encode())
        return TotpDevice(id, name, base64.b64encode(sealed).decode(), 0, now)

    def _secret(self, account: Account, device: TotpDevice) -> str:
        sealed = base64.b64decode(device.secret)
        return self._ring.open(_PURPOSE, _identity(account, device.id), sealed).decode()

    def resealed(self, account: Account) -> Account:
        """The account with every secret under the active key; itself if they all are."""
        fresh = tuple(self._reseal(account, device) for device in account.totp)
        return account if fresh == account.totp else replace(account, totp=fresh)

    def opened(self, account: Account) -> int:
        return sum(bool(self._secret(account, device)) for device in account.totp)

    def _reseal(self, account: Account, device: TotpDevice) -> TotpDevice:
        if self._ring.sealed_under(base64.b64decode(device.secret)) == self._ring.active:
            return device
        plain = self._secret(account, device).encode()
        sealed = self._ring.seal(_PURPOSE, _identity(account, device.id), plain)
        return replace(device, secret=base64.b64encode(sealed).decode())


def otpauth(issuer: str, user: str, secret: str) -> str:
    """An otpauth URI (Key URI Format of Google Authenticator).

    Built here because pyotp writes "+" for some characters, which apps show as such.
    """
    label = f"{quote(issuer, safe='')}:{quote(user, safe='')}"
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}"


class _OnceDecoded(pyotp.TOTP):
    """It would decode the secret again for each step."""

    _decoded: bytes | None = None

    def byte_secret(self) -> bytes:
        if self._decoded is None:
            self._decoded = super().byte_secret()
        return self._decoded


def _identity(account: Account, device: str) -> str:
    return f"{device}/{account.id}"  # the device id has no slash


def _find(secret: str, code: str, now: float, reach: int) -> int | None:
    """The time step nearest to now, within `reach`, whose code this is.

    How long that takes tells of a right code how far the clocks are apart, of a wrong one nothing.
    """
    totp = _OnceDecoded(secret)
    present = int(now) // STEP
    for away in sorted(range(-reach, reach + 1), key=abs):
        step = present + away
        if step >= 0 and hmac.compare_digest(totp.generate_otp(step), code):
            return step
    return None
