"""What is known of one request, made once. Nothing later looks at the raw request to decide.

Also whose request it is: the peer's, or the client's that trusted proxies name (CVE-2024-47070,
CVE-2023-36456). Knows no users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from gateway.core.counters import Notes
from gateway.core.values import dataclass

IPAddress: TypeAlias = IPv4Address | IPv6Address
Field: TypeAlias = tuple[str, str]

_OF_PAGES: Final = ("text/html", "text/css", "image/")


@dataclass(frozen=True, slots=True)
class Facts:
    """One request as the gateway understands it.

    method: as sent, case-sensitive (RFC 9110 section 9.1).
    target: the raw request target, forwarded untouched.
    path: the canonical path, see `gateway.core.http.path`.
    query: what follows the first "?", raw.
    fields: every header field in order, name lower-cased, value latin-1 decoded and stripped.
    client: the address of the client; None for a peer without one (a unix socket with no
        trusted proxy in front).
    notes: what becomes known of it, for numbers and logs.
    """

    method: str
    target: str
    path: str
    query: str
    fields: tuple[Field, ...]
    client: IPAddress | None
    notes: Notes = field(default_factory=Notes, repr=False, compare=False)

    def first(self, name: str) -> str | None:
        """The value of the first field of that lower-case name."""
        for key, value in self.fields:
            if key == name:
                return value
        return None

    def joined(self, name: str) -> str:
        """A list that may be spread over several fields of that lower-case name, in their order
        (RFC 9110 section 5.3); "" when there is none."""
        return ", ".join(value for key, value in self.fields if key == name)

    @property
    def content_type(self) -> str:
        """The media type, lower-cased, without parameters; "" when there is none."""
        return (self.first("content-type") or "").partition(";")[0].strip().lower()

    @property
    def plain_media_type(self) -> bool:
        """Whether the media type is spelled as everybody spells it.

        devpi (webob) takes a form in `Text/Plain` or `text/plain ;` for none, and reads JSON.
        """
        return (self.first("content-type") or "").partition(";")[0] == self.content_type

    @property
    def navigates(self) -> bool:
        """Whether a person looks at the answer in a browser (Fetch Metadata).

        Accept does not tell: pip's contains text/html.
        """
        return self.first("sec-fetch-mode") == "navigate"

    @property
    def opened(self) -> bool:
        """Whether a person opens it in a browser, be it one that sends no Fetch Metadata (any does
        not over plain http to another host than localhost)."""
        if self.first("sec-fetch-mode") is not None:
            return self.navigates
        return self._mozilla and "text/html" in self.joined("accept")

    @property
    def by_browser(self) -> bool:
        """Whether a browser asks, for a page or for what belongs to one."""
        if any(name.startswith("sec-fetch-") for name, _ in self.fields):
            return True
        if not self._mozilla:
            return False
        accepted = self.joined("accept")
        return any(kind in accepted for kind in _OF_PAGES) or self.first("referer") is not None

    @property
    def _mozilla(self) -> bool:
        """As all browsers say, and a few programs that then do not ask for pages (PowerShell)."""
        return (self.first("user-agent") or "").startswith("Mozilla/")

    @property
    def safe(self) -> bool:
        """Whether the method is safe (RFC 9110 section 9.2.1)."""
        return self.method in ("GET", "HEAD", "OPTIONS")

    @property
    def user_agent(self) -> str:
        return (self.first("user-agent") or "")[:300]


Networks: TypeAlias = Sequence[IPv4Network | IPv6Network]

# As proxies write the other end of a connection: with its port, an IPv6 address in brackets
# then. A bare IPv6 address has no port: its last group is part of it.
_WITH_PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\]|([0-9.]+))(?::[0-9]{1,5})?")


class Unreadable(Exception):
    """A trusted proxy named a client by something else than an address; the text says by what,
    without any of it."""


def read_address(text: str) -> IPAddress:
    """Read one address, with or without a port and brackets; an IPv4-mapped IPv6 address
    (RFC 4291 section 2.5.5.2) is the IPv4 one.

    Raises:
        Unreadable: it is not an address, or has a scope, which means something on one machine only.
    """
    match = _WITH_PORT.fullmatch(text)
    plain = (match[1] or match[2]) if match else text
    try:
        address = ip_address(plain)
    except ValueError:
        raise Unreadable("something that is no IP address") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise Unreadable("an address with a scope (%)")
        return address.ipv4_mapped or address
    return address


def client_address(
    peer: IPAddress | None, forwarded: Iterable[str], trusted: Networks
) -> IPAddress | None:
    """The client: the peer, or the right-most address that is no trusted proxy.

    Args:
        peer: the other end of the connection, None for a unix socket.
        forwarded: the values of X-Forwarded-For, in order. Elements that are empty say nothing
            (RFC 9110 section 5.6.1).
        trusted: networks of trusted proxies. A unix socket counts as trusted when there are
            any: only a proxy configured for it connects there.

    Returns:
        None where nothing is known (a unix socket, and nothing forwarded). Where every address
        is a trusted proxy, the left-most of them.

    Raises:
        Unreadable: a trusted proxy sent something else than addresses; the client is unknown.
    """
    if not trusted or (peer is not None and not is_trusted(peer, trusted)):
        return peer
    found = peer
    named = [part.strip(" \t") for value in forwarded for part in value.split(",")]
    for part in reversed([part for part in named if part]):
        found = read_address(part)
        if not is_trusted(found, trusted):
            break
    return found


def is_trusted(address: IPAddress, trusted: Networks) -> bool:
    return any(address in network for network in trusted)
