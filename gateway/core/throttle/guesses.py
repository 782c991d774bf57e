"""Wrong passwords from one network, as arithmetic over past tries; time comes in.

A try stands here before the index is asked and goes away when it was right, so many at once are
many. The same name and password again are the same try: a machine that repeats a stale password
in parallel, or all day, has guessed once. One name fills only a part of what its network has:
somebody beside a machine with a wrong password still gets in. The numbers are in
`gateway.core.throttle.limits`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from gateway.core.throttle.limits import (
    PASSWORDS_BY_NETWORK,
    PASSWORDS_OF_ONE_NAME,
    Tier,
    throttled,
)

LIFE = PASSWORDS_BY_NETWORK[-1].window
"""Seconds for which a wrong password is counted at all."""


class TriedPassword(NamedTuple):
    """One name and password.

    at: when it was first tried. who, what: short keyed hashes of the name, and of the name with
    the password. asking: how many gateways are asking the index just now. wrong: it said no.
    """

    at: float
    who: str
    what: str
    asking: int
    wrong: bool


Guesses: TypeAlias = tuple[TriedPassword, ...]
"""Those of one network, oldest first."""


def load(value: bytes, now: float) -> Guesses:
    """Stored guesses that still count."""
    return tuple(
        sorted(lasting([TriedPassword(*fields) for fields in json.loads(value.decode())], now))
    )


def lasting(guesses: Sequence[TriedPassword], now: float) -> Guesses:
    """Those that still count."""
    return tuple(one for one in guesses if one.at > now - LIFE)


def dump(guesses: Guesses) -> bytes:
    return _encoded(guesses).encode()


_encoded: Final = json.JSONEncoder(separators=(",", ":")).encode


def delay(guesses: Guesses, who: str, now: float) -> float:
    """Seconds until one more password may be tried for that name; 0 for at once."""
    if not guesses:
        return 0.0
    tiers = zip(PASSWORDS_BY_NETWORK, PASSWORDS_OF_ONE_NAME, strict=True)
    return max(_delay(guesses, who, tier, share, now) for tier, share in tiers)


def _delay(guesses: Guesses, who: str, tier: Tier, share: int, now: float) -> float:
    recent = [guess for guess in guesses if guess.at > now - tier.window]
    of_name = Counter(guess.who for guess in recent)
    total = sum(min(number, share) for number in of_name.values())
    seconds = 0.0
    for guess in recent:
        if of_name[who] < tier.limit and total < tier.limit:
            break
        of_name[guess.who] -= 1
        total -= of_name[guess.who] < share
        seconds = guess.at + tier.window - now
    return seconds


def taken(guesses: Guesses, who: str, what: str, now: float) -> Guesses:
    """With this try, before the index is asked.

    Raises:
        Refusal: `throttled`.
    """
    known = _find(guesses, what)
    if known is not None:
        return guesses if known.wrong else _with(guesses, known._replace(asking=known.asking + 1))
    seconds = delay(guesses, who, now)
    if seconds > 0:
        raise throttled(seconds)
    return _with(guesses, TriedPassword(now, who, what, 1, wrong=False))


def told_wrong(guesses: Guesses, who: str, what: str, now: float) -> Guesses:
    """The index said no; who let go of it meanwhile makes no difference."""
    known = _find(guesses, what) or TriedPassword(now, who, what, 0, wrong=True)
    return _with(guesses, known._replace(wrong=True))


def let_go(guesses: Guesses, what: str) -> Guesses:
    """The index did not judge it."""
    known = _find(guesses, what)
    if known is None or known.wrong:
        return guesses
    return _with(guesses, known._replace(asking=known.asking - 1))


def told_right(guesses: Guesses, what: str) -> Guesses:
    return tuple(guess for guess in guesses if guess.what != what)


def _find(guesses: Guesses, what: str) -> TriedPassword | None:
    return next((guess for guess in guesses if guess.what == what), None)


def _with(guesses: Guesses, changed: TriedPassword) -> Guesses:
    others = told_right(guesses, changed.what)
    if not changed.wrong and changed.asking <= 0:
        return others
    return tuple(sorted((*others, changed)))
