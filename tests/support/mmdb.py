"""A database of countries in MaxMind's format, written by a test.

https://maxmind.github.io/MaxMind-DB/ says how: a search tree over IPv6 with IPv4 in ::/96, its
records of 24 bits, then what they point at, then what the file is.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network
from pathlib import Path

_NONE = -1


def write(path: Path, records: Mapping[str, object], *, kind: str = "GeoLite2-Country") -> Path:
    """records: by network, such as {"81.2.69.0/24": {"country": {"iso_code": "GB"}}}."""
    data, nodes = b"", [[_NONE, _NONE]]
    leaves: dict[tuple[int, int], int] = {}
    for text, record in records.items():
        network = ip_network(text)
        prefix = network.prefixlen + (96 if isinstance(network, IPv4Network) else 0)
        at, bits = 0, f"{int(network.network_address):0128b}"[:prefix]
        for bit in map(int, bits[:-1]):
            if nodes[at][bit] == _NONE:
                nodes.append([_NONE, _NONE])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]
        leaves[at, int(bits[-1])] = len(data)
        data += _encoded(record)
    count = len(nodes)
    tree = b""
    for at, node in enumerate(nodes):
        for bit, to in enumerate(node):
            offset = leaves.get((at, bit))
            found = count if to == _NONE else to
            found = found if offset is None else count + 16 + offset
            tree += found.to_bytes(3)
    about = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000,
        "database_type": kind,
        "description": {"en": "written by a test"},
        "ip_version": 6,
        "languages": ["en"],
        "node_count": count,
        "record_size": 24,
    }
    path.write_bytes(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + _encoded(about))
    return path


def _encoded(value: object) -> bytes:
    if isinstance(value, str):
        body = value.encode()
        return _head(2, len(body)) + body
    if isinstance(value, int):
        body = value.to_bytes(4).lstrip(b"\0")
        return _head(6, len(body)) + body
    if isinstance(value, Mapping):
        parts = [_encoded(key) + _encoded(one) for key, one in value.items()]
        return _head(7, len(value)) + b"".join(parts)
    assert isinstance(value, list)
    return bytes([len(value), 11 - 7]) + b"".join(map(_encoded, value))


def _head(kind: int, size: int) -> bytes:
    assert size < 29
    return bytes([kind << 5 | size])


COUNTRIES: Mapping[str, object] = {
    "81.2.69.0/24": {"country": {"iso_code": "GB", "names": {"en": "United Kingdom"}}},
    "89.160.20.0/24": {"registered_country": {"iso_code": "SE"}},
    "67.43.156.0/24": {"country": "BT", "country_name": "Bhutan"},
    "175.16.199.0/24": {"country": "China", "country_code": "CN"},
    "10.0.0.0/8": {"country": {"iso_code": "FR"}},
    "2a02:ffc0::/32": {"country": {"iso_code": "GI"}},
    "216.160.83.0/24": {"country": {"iso_code": "ZQ"}},
    "202.196.224.0/24": {"continent": {"code": "AS"}},
}
