"""Whose request it is, when proxies say so."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.client_address import client_address, read_address
from gateway.core.errors import Refusal

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
PROXY = ip_address("10.0.0.1")
STRANGER = ip_address("192.0.2.9")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (STRANGER, ["10.0.0.5"], "192.0.2.9"),
        (STRANGER, ["garbage"], "192.0.2.9"),
        (PROXY, [], "10.0.0.1"),
        (PROXY, ["192.0.2.1"], "192.0.2.1"),
        (PROXY, ["192.0.2.1, 192.0.2.2"], "192.0.2.2"),
        (PROXY, ["garbage, 192.0.2.2"], "192.0.2.2"),
        (PROXY, ["192.0.2.1, 10.0.0.7"], "192.0.2.1"),
        (PROXY, ["192.0.2.1", "10.0.0.7, fd00::1"], "192.0.2.1"),
        (PROXY, ["10.0.0.9, 10.0.0.7"], "10.0.0.9"),
        (PROXY, ["::ffff:10.0.0.7"], "10.0.0.7"),
        (PROXY, ["2001:db8::1"], "2001:db8::1"),
        (PROXY, [" 192.0.2.1 ,\t10.0.0.7 "], "192.0.2.1"),
        (None, ["192.0.2.1"], "192.0.2.1"),
        (None, [], None),
    ],
)
def test_the_right_most_address_that_is_no_proxy(
    peer: object, forwarded: list[str], client: str | None
) -> None:
    found = client_address(peer, forwarded, PROXIES)  # type: ignore[arg-type]
    assert found == (ip_address(client) if client else None)


@pytest.mark.parametrize("peer", [STRANGER, None], ids=["TCP", "unix socket"])
def test_without_trusted_proxies_nothing_is_believed(peer: object) -> None:
    assert client_address(peer, ["192.0.2.1"], []) == peer  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["", "a", "192.0.2.1:80", "[::1]", "[::1]:80", "192.0.2.1, ", ", 192.0.2.1,", "192.0.2",
     "fe80::1%eth0", "0x7f.1", "127.0.0.01", "１.2.3.4", "unknown", "_hidden", "192.0.2.1/32"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        client_address(PROXY, [text], PROXIES)
    assert refused.value.slug == "unreadable_client"


@given(st.lists(st.ip_addresses(), max_size=5), st.text(max_size=20))
def test_what_a_client_writes_never_counts(claimed: list[object], noise: str) -> None:
    """The proxy appends the address it saw; whatever stood before it changes nothing."""
    forged = ", ".join([*map(str, claimed), noise])
    assert client_address(PROXY, [forged, "192.0.2.9"], PROXIES) == STRANGER


def test_mapped_addresses_are_the_ipv4_ones() -> None:
    assert read_address("::ffff:192.0.2.9") == STRANGER
