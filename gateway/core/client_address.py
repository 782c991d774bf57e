"""Whose request it is: the peer, or what trusted proxies say of it (CVE-2024-47070,
CVE-2023-36456)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from gateway.core.errors import Refusal
from gateway.core.facts import IPAddress

Networks: TypeAlias = Sequence[IPv4Network | IPv6Network]


def read_address(text: str) -> IPAddress:
    """Read one address; an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is the IPv4 one.

    Ports, brackets and scopes are not part of an address here: a proxy that writes them is
    configured otherwise, and guessing would let a client choose.

    Raises:
        Refusal: `unreadable_client`.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise Refusal("unreadable_client") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise Refusal("unreadable_client")
        return address.ipv4_mapped or address
    return address


def client_address(
    peer: IPAddress | None, forwarded: Iterable[str], trusted: Networks
) -> IPAddress | None:
    """The client: the peer, or the right-most address that is no trusted proxy.

    Args:
        peer: the other end of the connection, None for a unix socket.
        forwarded: the values of X-Forwarded-For, in order.
        trusted: networks of trusted proxies. A unix socket counts as trusted when there are
            any: only a proxy configured for it connects there.

    Returns:
        None where nothing is known (a unix socket, and nothing forwarded). Where every address
        is a trusted proxy, the left-most of them.

    Raises:
        Refusal: `unreadable_client` where a trusted proxy sent something else than addresses.
    """
    if not trusted or (peer is not None and not is_trusted(peer, trusted)):
        return peer
    found = peer
    for part in reversed([part for value in forwarded for part in value.split(",")]):
        found = read_address(part.strip(" \t"))
        if not is_trusted(found, trusted):
            break
    return found


def is_trusted(address: IPAddress, trusted: Networks) -> bool:
    return any(address in network for network in trusted)
