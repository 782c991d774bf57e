"""Networks as people write them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

_MAPPED: Final = 96


def read_network(text: str) -> Network:
    """An address or a CIDR; IPv4 written within IPv6 (`::ffff:192.0.2.0/120`, RFC 4291 section
    2.5.5.2) is that IPv4, as it is of clients.

    Raises:
        ValueError: it is none.
    """
    found = ip_network(text)
    if isinstance(found, IPv6Network) and found.prefixlen >= _MAPPED:
        mapped = found.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, found.prefixlen - _MAPPED))
    return found
