"""One-time codes for tests: an authenticator that never shows a step twice."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pyotp


@dataclass
class Authenticator:
    """What a person's phone does, with the small hurry that the ±1 step allows.

    The gateway takes each step once and only later ones than the last, so the first code is of
    the step before, then this one, then the next; only the fourth has to wait.
    """

    secret: str = field(repr=False)
    recovery: tuple[str, ...] = field(default=(), repr=False)
    last_step: int = 0

    @classmethod
    def from_uri(cls, uri: str, recovery: tuple[str, ...] = ()) -> Authenticator:
        parsed = pyotp.parse_uri(uri)
        assert isinstance(parsed, pyotp.TOTP)
        return cls(parsed.secret, recovery)

    def code(self) -> str:
        """A code that was not shown before; waits (under 30 s) where none is left."""
        step = max(self.last_step + 1, _now() - 1)
        while step > _now() + 1:
            time.sleep(0.2)
        # The step before ends within seconds: a slow request would arrive too late.
        if step < _now() and 30 - time.time() % 30 < 10:
            step += 1
        self.last_step = step
        return self.at(step)

    def at(self, step: int) -> str:
        """The code of a step, counted from the epoch."""
        return pyotp.TOTP(self.secret).at(step * 30)

    def wrong(self) -> str:
        """Six digits that are no code of any step near now."""
        near = {self.at(_now() + offset) for offset in range(-3, 4)}
        return next(code for code in ("000000", "111111", "222222") if code not in near)


def _now() -> int:
    return int(time.time() // 30)
