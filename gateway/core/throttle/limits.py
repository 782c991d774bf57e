"""How often somebody may try, as arithmetic over past attempts; time comes in.

Guessing a one-time code needs the right password first. Who has it may be wrong `PERSON[-1]`
times in 30 days over all networks that are new to the person, and as often as `NETWORK[-1]`
says from each of the (at most three) networks the person last passed from. Each try hits one of
3 codes of 10^6 that count at a moment, for each TOTP device: 120 tries are 1 in 2,800 a month
(`odds`), with a notice to the person from the first. Recovery codes (80 bits) and WebAuthn
cannot be guessed: a right one always works, and only wrong ones are counted.

Nobody is locked out by somebody without the password: wrong passwords only slow the network
they come from (`guesses`). With the password, wrong codes from one network use up
that network's tries before they use up the person's, and never those of a network the person is
known from.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from math import ceil
from typing import Final, NamedTuple

from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import IPAddress
from gateway.core.wording import in_words

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
UNGUESSABLE: Final = (Tier(20, 3600), Tier(60, _DAY))
"""Wrong recovery codes and keys of one person. A right one passes in any case; beyond this wrong
ones are told to wait and not recorded one by one."""
CHANGES: Final = (Tier(60, _DAY),)
"""Factors, names and recovery codes one person sets up or changes; removing is not counted."""
PASSWORDS_BY_NETWORK: Final = (Tier(30, 300), Tier(300, _DAY))
"""Different wrong passwords from one network: for one name, and for all names together."""
PASSWORDS_OF_ONE_NAME: Final = (20, 200)
"""How many of them one name counts for at most when all names are counted together, so that it
leaves the others some. With them a network has at most 40 in 5 minutes and 400 in a day."""
SPARED: Final = 1000
"""A right password that a network is known by passes although the network is held back. That
tells it from wrong ones, so it ends for a day after so many different wrong ones at a worker."""
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
    if not tries:
        return longest
    for limit, window in tiers:
        recent = [at for at in tries if at > now - window]
        if len(recent) >= limit:
            longest = max(longest, recent[-limit] + window - now)
    return longest


def odds(guesses: int, devices: int = 1) -> float:
    """The chance that one of so many guesses of a TOTP code is right."""
    return float(1 - (1 - ACCEPTED_STEPS * devices / CODES) ** guesses)


UNKNOWN: Final = "unknown"
"""Where tries of clients without an address are counted: all as of one network."""


def network(address: IPAddress | None) -> str:
    """What is counted as one place: an IPv4 address, an IPv6 /64, "" for no address."""
    if address is None:
        return ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)


def region(address: IPAddress | None) -> str:
    """A much wider place, that of a provider: an IPv4 /16, an IPv6 /32, "" for no address.

    Addresses at home change; that they come from another provider too is worth a word.
    """
    if address is None:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    plain = mapped or address
    if isinstance(plain, IPv4Address):
        return f"{IPv4Address(int(plain) & 0xFFFF0000)}/16"
    return str(ip_network((plain, 32), strict=False))


def throttled(seconds: float) -> Refusal:
    """The refusal for a wait of so many seconds."""
    whole = max(1, ceil(seconds))
    return Refusal(Slug.THROTTLED, retry_after=whole, wait=in_words(whole))
