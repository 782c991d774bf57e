"""How often somebody may try, as arithmetic over past attempts; time comes in.

Guessing a one-time code needs the right password first. Who has it may be wrong `PERSON[-1]`
times in 30 days over all networks that are new to the person, and as often as `NETWORK[-1]`
says from each of the (at most three) networks the person last passed from. Each try hits one of
3 codes of 10^6 that count at a moment, for each TOTP device: 120 tries are 1 in 2,800 a month
(`odds`), with a notice to the person from the first. Recovery codes (80 bits) and WebAuthn
cannot be guessed and are not counted per person, so they always work.

Nobody is locked out by somebody without the password: wrong passwords only slow the network
they come from. With the password, wrong codes from one network use up that network's tries
before they use up the person's, and never those of a network the person is known from.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_network
from math import ceil
from typing import Final, NamedTuple

from gateway.core.durations import in_words
from gateway.core.errors import Refusal
from gateway.core.facts import IPAddress

_DAY: Final = 86400


class Tier(NamedTuple):
    """At most `limit` wrong tries in `window` seconds."""

    limit: int
    window: int


NETWORK: Final = (Tier(5, 300), Tier(10, 3600), Tier(20, _DAY), Tier(50, 30 * _DAY))
"""Wrong codes of one person from one network."""
PERSON: Final = (Tier(10, 300), Tier(25, 3600), Tier(45, _DAY), Tier(120, 30 * _DAY))
"""Wrong codes of one person from all networks new to that person."""
CODES_BY_NETWORK: Final = (Tier(30, 300), Tier(300, _DAY))
"""Wrong codes of all people from one network."""
CODES_OVER_ALL: Final = (Tier(300, 300),)
"""Wrong codes of all people from everywhere; holds back only networks new to the person."""
PASSWORDS_BY_NETWORK: Final = (Tier(30, 300), Tier(300, _DAY))
"""Wrong names and passwords from one network."""
PENDING: Final = (Tier(100, 300), Tier(1000, _DAY))
"""Logins of one person from one network that wait for their second factor: each leaves a record
for a while, and somebody with the password could fill the store with them."""

ACCEPTED_STEPS: Final = 3
CODES: Final = 10**6
KNOWN_NETWORKS: Final = 3


def wait(tries: Sequence[float], tiers: Sequence[Tier], now: float) -> float:
    """Seconds until another try may be made; 0 for at once.

    Args:
        tries: when the past tries were, oldest first.
    """
    longest = 0.0
    for limit, window in tiers:
        recent = [at for at in tries if at > now - window]
        if len(recent) >= limit:
            longest = max(longest, recent[-limit] + window - now)
    return longest


def odds(guesses: int, devices: int = 1) -> float:
    """The chance that one of so many guesses of a TOTP code is right."""
    return float(1 - (1 - ACCEPTED_STEPS * devices / CODES) ** guesses)


def network(address: IPAddress | None) -> str:
    """What is counted as one place: an IPv4 address, an IPv6 /64, "" for no address."""
    if address is None:
        return ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)


def throttled(seconds: float) -> Refusal:
    """The refusal for a wait of so many seconds."""
    whole = max(1, ceil(seconds))
    return Refusal("throttled", retry_after=whole, wait=in_words(whole))
