"""Networks are read as clients' addresses are."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.core.networks import read_network


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_ipv4_within_ipv6_is_ipv4(text: str, read: str) -> None:
    assert read_network(text) == ip_network(read)


@pytest.mark.parametrize("text", ["", "192.0.2.1/24", "::ffff:192.0.2.1/120", "example.org"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError):
        read_network(text)
