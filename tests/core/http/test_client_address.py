"""Whose request it is, when proxies say so."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.facts import Unreadable, client_address, read_address

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
        (PROXY, ["192.0.2.1:51008"], "192.0.2.1"),
        (PROXY, ["192.0.2.1:51008, 10.0.0.7:443"], "192.0.2.1"),
        (PROXY, ["[2001:db8::1]:443"], "2001:db8::1"),
        (PROXY, ["[2001:db8::1]"], "2001:db8::1"),
        (PROXY, ["[::ffff:192.0.2.1]:443"], "192.0.2.1"),
        (PROXY, ["2001:db8::1:443"], "2001:db8::1:443"),
        (PROXY, [", ,192.0.2.1, ,\t,", "", " "], "192.0.2.1"),
        (PROXY, ["", ", ,"], "10.0.0.1"),
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


UNREADABLE = [
    "a", "[::1", "::1]", "[192.0.2.1]:80", "192.0.2.1:", "192.0.2.1:http", "192.0.2.1:-1",
    "[::1]80", "192.0.2", "fe80::1%eth0", "[fe80::1%eth0]:80", "0x7f.1", "127.0.0.01", "１.2.3.4",
    "192.0.2.1:１", "unknown", "_hidden", "192.0.2.1/32", '"192.0.2.1"', "for=192.0.2.1",
]  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE)
@pytest.mark.parametrize("after", ["", ",", ", 10.0.0.7", ",10.0.0.7:80"])
def test_what_is_no_address_makes_the_client_unknown(text: str, after: str) -> None:
    """Not the peer, not what stands before it: both would let somebody choose."""
    with pytest.raises(Unreadable) as told:
        client_address(PROXY, [f"192.0.2.7, {text}{after}"], PROXIES)
    assert len(text) < 3 or text not in str(told.value)


@given(st.lists(st.ip_addresses(), max_size=5), st.text(max_size=20))
def test_what_a_client_writes_never_counts(claimed: list[object], noise: str) -> None:
    """The proxy appends the address it saw; whatever stood before it changes nothing."""
    forged = ", ".join([*map(str, claimed), noise])
    assert client_address(PROXY, [forged, "192.0.2.9"], PROXIES) == STRANGER
    assert client_address(PROXY, [f"{forged}, 192.0.2.9:443, "], PROXIES) == STRANGER


def test_mapped_addresses_are_the_ipv4_ones() -> None:
    assert read_address("::ffff:192.0.2.9") == STRANGER
