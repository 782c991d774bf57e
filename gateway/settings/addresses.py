"""Addresses: where the gateway listens, what is behind it, who is in front of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from gateway.core.http.facts import IPAddress
from gateway.core.networks import read_network
from gateway.settings.fields import Written
from gateway.settings.files import path_in
from gateway.settings.problems import show

_HOST: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?"
)


def parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return read_network(text)
    except ValueError as error:
        hint = ""
        if "host bits" in str(error):
            hint = f" ({ip_network(text, strict=False)} is meant?)"
        raise ValueError(
            f"{show(text)} is not a valid network{hint}; "
            "an address or a CIDR, such as 192.0.2.10 or 2001:db8::/32"
        ) from None


Network: TypeAlias = Annotated[
    IPv4Network | IPv6Network,
    Written(
        r"^[0-9a-fA-F:.]+(/[0-9]+)?$", "an address or a CIDR, such as 192.0.2.10", parse_network
    ),
]


def parse_address(text: str) -> IPAddress:
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(f"{show(text)} is no IP address; such as 192.0.2.7") from None


ClientAddress: TypeAlias = Annotated[
    IPAddress, Written(r"^[0-9a-fA-F:.]+$", "an IP address", parse_address)
]


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to accept connections: host and port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    unix: Path | None = None

    def __str__(self) -> str:
        return f"unix:{self.unix}" if self.unix else _hostport(self.host, self.port)


def parse_listen(text: str, base: Path) -> Listen:
    if text.startswith("unix:"):
        return Listen(unix=path_in(text, "unix:", base))
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(
            f"{show(text)}; host:port such as 127.0.0.1:8080 or [::1]:8080, or unix:/path"
        )
    host = a_label(host)
    if not (_HOST.fullmatch(host) or is_address(host)):
        raise ValueError(f"{show(text)} names no host; 127.0.0.1:8080, [::]:8080 or unix:/path")
    return Listen(host, int(port))


ListenText: TypeAlias = Annotated[
    Listen,
    Written(r"^(unix:.+|.+:[0-9]+)$", "host:port, or unix:/path", parse_listen, based=True),
]


@dataclass(frozen=True, slots=True)
class UpstreamUrl:
    """Where a server is: host, port and whether TLS is spoken, or a unix socket.

    authority: what a Host header for it holds.
    """

    host: str = ""
    port: int = 0
    tls: bool = False
    unix: Path | None = None

    @property
    def authority(self) -> str:
        if self.unix:
            return "localhost"
        default = 443 if self.tls else 80
        return _hostport(self.host, None if self.port == default else self.port)

    def __str__(self) -> str:
        if self.unix:
            return f"unix:{self.unix}"
        return f"{'https' if self.tls else 'http'}://{self.authority}"


def parse_upstream_url(text: str, base: Path) -> UpstreamUrl:
    if text.startswith("unix:"):
        return UpstreamUrl(unix=path_in(text, "unix:", base))
    parts = parse_url(text, "http://host:port, https://host or unix:/path")
    if parts.path not in ("", "/"):
        raise ValueError(
            f"{show(text)} has a path; scheme, host and port only (an index below a path "
            "of its server cannot stand behind the gateway)"
        )
    tls = parts.scheme == "https"
    return UpstreamUrl(parts.hostname or "", parts.port or (443 if tls else 80), tls)


UpstreamUrlText: TypeAlias = Annotated[
    UpstreamUrl,
    Written(
        r"^(https?://|unix:).+$",
        "http://host:port, https://host or unix:/path",
        parse_upstream_url,
        based=True,
    ),
]


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """The address people use: an origin (RFC 6454) and perhaps a path, without a slash at its
    end."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What a Host header for it holds."""
        port = None if self.port == (443 if self.secure else 80) else self.port
        return _hostport(self.host, port)

    @property
    def origin(self) -> str:
        """As browsers write it (RFC 6454 section 6.2)."""
        return f"{self.scheme}://{self.authority}"

    @property
    def local(self) -> bool:
        """Whether browsers treat it as this machine (and as a secure context)."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        return is_address(self.host) and ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return self.origin + self.path


_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")


def parse_public_url(text: str) -> PublicUrl:
    parts = parse_url(text)
    if not _PATH.fullmatch(parts.path):
        raise ValueError(
            f"{show(text)} has a path that servers may read in different ways; "
            "letters, digits and .-_~ between single slashes"
        )
    default = 443 if parts.scheme == "https" else 80
    host = (parts.hostname or "").rstrip(".")
    return PublicUrl(parts.scheme, host, parts.port or default, parts.path.rstrip("/"))


PublicUrlText: TypeAlias = Annotated[
    PublicUrl,
    Written(
        r"^https?://[^/?#@]+(/[^?#]*)?$",
        "https://packages.example.org, or https://example.org/devpi",
        parse_public_url,
    ),
]


def parse_origin(text: str) -> PublicUrl:
    origin = parse_public_url(text)
    if origin.path:
        raise ValueError(f"{show(text)} has a path; scheme and host only")
    return origin


OriginUrl: TypeAlias = Annotated[
    PublicUrl, Written(r"^https?://[^/?#@]+/?$", "https://packages.example.org", parse_origin)
]


def parse_url(text: str, allowed: str = "http://host:port or https://host") -> SplitResult:
    """An http or https URL of host and perhaps port and path, nothing else; a host name with
    letters beyond ASCII as its A-label.

    Args:
        allowed: what a message says may stand there.
    """
    if "@" in text:  # never shown: it may hold a password
        raise ValueError(f"a URL with a user name or password in it; {allowed}")
    try:
        parts = urlsplit(text)
        host, port = a_label(parts.hostname or ""), parts.port
    except ValueError as error:
        raise ValueError(f"{show(text)} is no URL ({error}); {allowed}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{show(text)} is not a valid http or https URL; {allowed}")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError(f"{show(text)} has a query or fragment; {allowed}")
    if not (_HOST.fullmatch(host) or is_address(host)):
        raise ValueError(f"{show(text)} names no host; {allowed}")
    return parts if text.isascii() else parts._replace(netloc=_hostport(host, port))


def a_label(host: str) -> str:
    """A host name as the DNS has it (RFC 5891), mapped as browsers do (UTS 46). One that has
    none is returned as it is, like one in ASCII."""
    if host.isascii():
        return host
    import idna  # its tables take their time, and few need them

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return host


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def parse_webhook(text: str) -> str:
    parts = parse_url(text.partition("?")[0])
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("a webhook in the clear; an https URL, or http on this machine")
    if re.search(r"[\s#]", text):
        raise ValueError("a URL with a blank or fragment; https://host/path")
    return text


WebhookUrl: TypeAlias = Annotated[
    str, Written(r"^https?://[^\s#@]+$", "https://host/path", parse_webhook)
]


def _hostport(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"
