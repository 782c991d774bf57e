"""Recovery codes: ten of 80 bits, shown once, kept as keyed hashes, each good for one login."""

from __future__ import annotations

import base64
import hmac
from dataclasses import replace
from typing import Final

from gateway.core.accounts.factor import Proof, WrongAnswer
from gateway.core.accounts.records import RECOVERY_CODES, Account
from gateway.core.clock import Random
from gateway.core.crypto.keyring import KeyRing
from gateway.core.typed import recovery_code

BYTES: Final = 10  # 80 bits: guessing is hopeless, so tries need not be counted per person
_PURPOSE: Final = "recovery"


class RecoveryCodes:
    """The factor."""

    kind: str = "recovery"
    guessable: bool = False
    asks: bool = False

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def has(self, account: Account) -> bool:
        return bool(account.recovery.codes)

    def fits(self, answer: str) -> bool:
        return recovery_code(answer) is not None

    def ask(self, account: Account | None, challenge: bytes) -> str:
        return ""

    def whose(self, answer: str) -> str:
        return ""

    def check(self, account: Account, answer: str, *, challenge: bytes, now: float) -> Proof:
        used = self.matches(account.id, answer, account.recovery.codes)
        if used is None:
            raise WrongAnswer
        left = tuple(code for code in account.recovery.codes if code != used)
        recovery = replace(account.recovery, codes=left, confirmed=True)  # they are at hand
        return Proof(replace(account, recovery=recovery))

    def issue(self, user_id: str, random: Random) -> tuple[str, ...]:
        """Ten codes in four groups of four: ABCD-EFGH-IJKL-MNOP (base32, RFC 4648 section 6)."""
        return tuple(
            _grouped(base64.b32encode(random(BYTES)).decode()) for _ in range(RECOVERY_CODES)
        )

    def digests(self, user_id: str, codes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._ring.digest(_PURPOSE, user_id, code.replace("-", "")) for code in codes)

    def matches(self, user_id: str, code: str, digests: tuple[str, ...]) -> str | None:
        plain = recovery_code(code)
        if plain is None:
            return None
        found = None
        for wanted in self._ring.digests(_PURPOSE, user_id, plain):
            for stored in digests:
                if hmac.compare_digest(wanted, stored):
                    found = stored
        return found


def _grouped(text: str) -> str:
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))
