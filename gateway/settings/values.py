"""Values of the configuration that a person writes as text: durations, sizes, addresses.

Each type is a function from text to value that raises `ValueError` with what was found and
what is allowed, bound to pydantic so that the JSON Schema knows it as a string.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from gateway.core.facts import IPAddress
from gateway.stores import OPENERS

_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d|w)")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE: Final = re.compile(r"([0-9]{1,15})\s?(B|KiB|MiB|GiB|TiB)")
_BYTES: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_HOST: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?"
)


def text_type(
    parse: Callable[..., Any],
    pattern: str,
    description: str,
    *,
    base: bool = False,
    write: Callable[[Any], str] = str,
) -> tuple[PlainValidator, PlainSerializer, WithJsonSchema]:
    """The pydantic annotations of a value written as text.

    Args:
        base: `parse` also takes the directory that relative paths start from.
        write: back to text, for the defaults in the schema.
    """

    def validate(value: object, info: ValidationInfo) -> Any:
        if isinstance(value, Source):  # a default, not yet found from the right directory
            value = str(value)
        if not isinstance(value, str):
            raise ValueError(f"{show(value)}; {description}")
        return parse(value, (info.context or {}).get("base", Path())) if base else parse(value)

    schema = {"type": "string", "pattern": pattern, "description": description}
    return PlainValidator(validate), PlainSerializer(write), WithJsonSchema(schema)


def show(value: object) -> str:
    """A value as the file has it, short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `15m`, `12h`, `30d`; parts may follow each other (`1h30m`)."""
    total, at = 0.0, 0
    while at < len(text):
        part = _DURATION.match(text, at)
        if not part:
            break
        total, at = total + int(part[1]) * _SECONDS[part[2]], part.end()
    if at != len(text) or total <= 0:
        raise ValueError(f"{show(text)}; a duration such as 90s, 15m, 12h or 30d")
    return total


def parse_size(text: str) -> int:
    """Bytes of `64 KiB`, `2GiB`."""
    part = _SIZE.fullmatch(text)
    if not part or not int(part[1]):
        raise ValueError(f"{show(text)}; a size such as 64KiB, 20MiB or 2GiB")
    return int(part[1]) * _BYTES[part[2]]


def write_duration(seconds: float) -> str:
    """The shortest text for a duration: `12h`, `90s`."""
    units = {unit: round(long * 1000) for unit, long in _SECONDS.items() if unit != "w"}
    return _written(round(seconds * 1000), units)


def write_size(size: int) -> str:
    return _written(size, _BYTES)


def _written(amount: int, units: dict[str, int]) -> str:
    fitting = [(value, unit) for unit, value in units.items() if amount % value == 0]
    value, unit = max(fitting)
    return f"{amount // value}{unit}"


_DURATION_TEXT: Final = "a duration such as 90s, 15m, 12h or 30d"
_SIZE_TEXT: Final = "a size such as 64KiB, 20MiB or 2GiB"
Duration: TypeAlias = Annotated[
    float,
    *text_type(parse_duration, r"^([0-9]+(ms|s|m|h|d|w))+$", _DURATION_TEXT, write=write_duration),
]
DurationOrOff: TypeAlias = Annotated[
    float | None,
    *text_type(
        lambda text: None if text == "off" else parse_duration(text),
        r"^(off|([0-9]+(ms|s|m|h|d|w))+)$",
        f"{_DURATION_TEXT}, or off",
        write=lambda seconds: "off" if seconds is None else write_duration(seconds),
    ),
]
Size: TypeAlias = Annotated[
    int,
    *text_type(parse_size, r"^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$", _SIZE_TEXT, write=write_size),
]


def parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        hint = ""
        if "host bits" in str(error):
            hint = f" ({ip_network(text, strict=False)} is meant?)"
        raise ValueError(
            f"{show(text)} is no network{hint}; a CIDR such as 10.0.0.0/8 or 2001:db8::/32"
        ) from None


Network: TypeAlias = Annotated[
    IPv4Network | IPv6Network,
    *text_type(parse_network, r"^[0-9a-fA-F:.]+(/[0-9]+)?$", "a CIDR such as 10.0.0.0/8"),
]


def parse_address(text: str) -> IPAddress:
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(f"{show(text)} is no IP address; such as 192.0.2.7") from None


Address: TypeAlias = Annotated[
    IPv4Address | IPv6Address, *text_type(parse_address, r"^[0-9a-fA-F:.]+$", "an IP address")
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
        return Listen(unix=_path(text, "unix:", base))
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(
            f"{show(text)}; host:port such as 127.0.0.1:8080 or [::1]:8080, or unix:/path"
        )
    if not (_HOST.fullmatch(host) or is_address(host)):
        raise ValueError(f"{show(text)} names no host; 127.0.0.1:8080, 0.0.0.0:8080 or unix:/path")
    return Listen(host, int(port))


ListenAddress = Annotated[
    Listen,
    *text_type(parse_listen, r"^(unix:.+|.+:[0-9]+)$", "host:port, or unix:/path", base=True),
]


@dataclass(frozen=True, slots=True)
class Endpoint:
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


def parse_endpoint(text: str, base: Path) -> Endpoint:
    if text.startswith("unix:"):
        return Endpoint(unix=_path(text, "unix:", base))
    parts = parse_url(text)
    if parts.path not in ("", "/"):
        raise ValueError(
            f"{show(text)} has a path; scheme, host and port only (an index below a path "
            "of its server cannot stand behind the gateway)"
        )
    tls = parts.scheme == "https"
    return Endpoint(parts.hostname or "", parts.port or (443 if tls else 80), tls)


EndpointUrl = Annotated[
    Endpoint,
    *text_type(
        parse_endpoint, r"^(https?://|unix:).+$", "http://host:port or unix:/path", base=True
    ),
]


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """The address people use: an origin (RFC 6454), without a slash at its end."""

    scheme: str
    host: str
    port: int

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def local(self) -> bool:
        """Whether browsers treat it as this machine (and as a secure context)."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        return is_address(self.host) and ip_address(self.host).is_loopback

    def __str__(self) -> str:
        default = 443 if self.secure else 80
        return (
            f"{self.scheme}://{_hostport(self.host, None if self.port == default else self.port)}"
        )


def parse_public_url(text: str) -> PublicUrl:
    parts = parse_url(text)
    if parts.path not in ("", "/"):
        raise ValueError(f"{show(text)} has a path; scheme and host only: the index is at its root")
    default = 443 if parts.scheme == "https" else 80
    return PublicUrl(parts.scheme, (parts.hostname or "").rstrip("."), parts.port or default)


PublicAddress = Annotated[
    PublicUrl,
    *text_type(parse_public_url, r"^https?://[^/?#@]+/?$", "https://packages.example.org"),
]


def parse_url(text: str) -> SplitResult:
    """An http or https URL of host and perhaps port and path, nothing else."""
    allowed = "http://host:port or https://host"
    if "@" in text:  # never shown: it may hold a password
        raise ValueError(f"a URL with a user name or password in it; {allowed}")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"{show(text)} is no URL ({error}); {allowed}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{show(text)} is no http or https URL; {allowed}")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError(f"{show(text)} has a query or fragment; {allowed}")
    if not (_HOST.fullmatch(host) or is_address(host)):
        raise ValueError(f"{show(text)} names no host; {allowed}")
    return parts


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


WebhookUrl = Annotated[str, *text_type(parse_webhook, r"^https?://[^\s#@]+$", "https://host/path")]


def _hostport(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _path(text: str, prefix: str, base: Path) -> Path:
    rest = text.removeprefix(prefix)
    if not rest or "\0" in rest:
        raise ValueError(f"{show(text)} names no file; {prefix}PATH")
    return base / Path(rest).expanduser()


FilePath = Annotated[
    Path,
    *text_type(lambda text, base: _path(text, "", base), r"^.+$", "the path of a file", base=True),
]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a secret is: a file or an environment variable. The secret itself is never here."""

    kind: str
    name: str

    @property
    def path(self) -> Path | None:
        return Path(self.name) if self.kind == "file" else None

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    def read(self) -> str:
        """The secret, without a line end.

        Raises:
            OSError: the file cannot be read; KeyError: the variable is not set.
        """
        if self.kind == "env":
            return os.environ[self.name]
        return Path(self.name).read_text("utf-8").rstrip("\r\n")


def parse_source(text: str, base: Path) -> Source:
    if text.startswith("file:"):
        return Source("file", str(_path(text, "file:", base)))
    if text.startswith("env:") and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text[4:]):
        return Source("env", text[4:])
    # What was found is not shown: it may be the secret itself.
    raise ValueError("a secret is not written into this file; file:PATH or env:NAME")


SecretSource = Annotated[
    Source,
    *text_type(
        parse_source, r"^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$", "file:PATH or env:NAME", base=True
    ),
]


def parse_store(text: str, base: Path) -> str:
    """The address for `gateway.stores.open_store`, with an absolute path for SQLite."""
    scheme = text.partition(":")[0]
    if scheme not in OPENERS or scheme == text:
        known = ", ".join(f"{name}://" for name in OPENERS if name != "sqlite")
        raise ValueError(f"{show(scheme)} is no kind of store; sqlite:PATH, {known}")
    if scheme == "sqlite":
        path = text.removeprefix("sqlite:")
        return (
            f"sqlite:{_path('/' + path.lstrip('/') if path.startswith('//') else path, '', base)}"
        )
    userinfo, at, _ = text.partition("://")[2].rpartition("@")
    if at and ":" in userinfo:
        raise ValueError(
            "the store's address holds a password; leave it out and add "
            "?password_file=PATH or ?password_env=NAME"
        )
    return text


Store = Annotated[
    str,
    *text_type(
        parse_store,
        r"^(sqlite:.+|rediss?(\+sentinel|\+cluster)?://.+)$",
        "sqlite:PATH or redis://HOST:PORT/DB; redis+sentinel://, redis+cluster://, with TLS rediss",
        base=True,
    ),
]


class OneOrMore:
    """An annotation for tuples: in the file a single entry counts as a list of one."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        several = handler(schema)
        return {"anyOf": [several["items"], several]} if "items" in several else several


def listed(value: object) -> object:
    """A single entry counts as a list of one; what validates strictly wants a tuple."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value
