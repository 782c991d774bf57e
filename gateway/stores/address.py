"""Reading the address of a store. Knows no backend library and never shows a password."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit


class BadStoreAddress(ValueError):
    """The address of a store cannot be read. The text says why and holds no secret."""


def other_layout(found: object, known: int) -> str:
    """What is wrong with a store that another version of the program wrote."""
    return (
        f"its layout is number {found}, and this program knows {known}; "
        "use the version of index-gateway that wrote it"
    )


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is and how to speak to it.

    mode: "single", "sentinel" or "cluster".
    service: the name Sentinel knows the primary by, "" otherwise.
    ca: a file with the certificates to trust, "" for the system's.
    sentinel_user, sentinel_password: for Sentinel itself; the plain ones are for the data.
    replicas: how many must have a write before it counts.
    """

    mode: str
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    db: int = 0
    service: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    sentinel_user: str = ""
    sentinel_password: str = field(default="", repr=False)
    ca: str = ""
    replicas: int = 0


_PORTS: Final = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_OPTIONS: Final = (
    "ca",
    "password_file",
    "password_env",
    "replicas",
    "sentinel_user",
    "sentinel_password_file",
    "sentinel_password_env",
)


def read_sqlite(url: str) -> Path:
    """The file of `sqlite:PATH` (`sqlite:///PATH` means the same).

    Raises:
        BadStoreAddress: no path, or one that would not be shared between processes.
    """
    path = url.partition(":")[2]
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    if not path or path == "/" or path.endswith("/") or path.startswith(":") or "\0" in path:
        raise BadStoreAddress("sqlite: needs the path of a file, as in sqlite:state.db")
    return Path(path)


def read_redis(url: str) -> RedisAddress:
    """Read `redis[s][+sentinel|+cluster]://[user:password@]host:port[,…][/service][/db][?…]`.

    Raises:
        BadStoreAddress: with what is wrong, never with the password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadStoreAddress("the store's address is not a URL") from None
    base, _, mode = parts.scheme.partition("+")
    mode = mode or "single"
    if not parts.netloc or parts.fragment:
        raise BadStoreAddress(f"{parts.scheme}: needs the form {parts.scheme}://host:port")
    options = _options(parts)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    service, db = _service_and_db(mode, parts.path)
    return RedisAddress(
        mode=mode,
        tls=base == "rediss",
        hosts=tuple(_host(text, _PORTS[mode]) for text in hosts.split(",")),
        db=db,
        service=service,
        user=unquote(user),
        password=_secret(options, "password") or unquote(password),
        sentinel_user=options.get("sentinel_user", ""),
        sentinel_password=_secret(options, "sentinel_password"),
        ca=options.get("ca", ""),
        replicas=_replicas(options.get("replicas", "0")),
    )


def _replicas(text: str) -> int:
    if not re.fullmatch("[0-9]", text):
        raise BadStoreAddress("replicas must be a number from 0 to 9")
    return int(text)


def _options(parts: SplitResult) -> dict[str, str]:
    try:
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
    except ValueError:
        if parts.query:
            raise BadStoreAddress("the options after '?' must be name=value") from None
        options = {}
    for name in options:
        if name not in _OPTIONS:
            raise BadStoreAddress(f"unknown option {name!r}; allowed: {', '.join(_OPTIONS)}")
    return options


def _secret(options: dict[str, str], name: str) -> str:
    """A password from the file or the environment variable that the address names."""
    if path := options.get(f"{name}_file"):
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise BadStoreAddress(f"{name}_file: {path} cannot be read ({error})") from None
    if variable := options.get(f"{name}_env"):
        if variable not in os.environ:
            raise BadStoreAddress(f"{name}_env: {variable} is not in the environment")
        return os.environ[variable]
    return ""


def _host(text: str, port: int) -> tuple[str, int]:
    host, mark, number = text.rpartition(":")
    if not mark or text.endswith("]"):
        host, number = text, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (number.isascii() and number.isdigit() and 0 < int(number) < 65536):
        raise BadStoreAddress("every host of the store's address must be host:port")
    return host, int(number)


def _service_and_db(mode: str, path: str) -> tuple[str, int]:
    pieces = [unquote(piece) for piece in path.split("/") if piece]
    service = ""
    if mode == "sentinel":
        if not pieces:
            raise BadStoreAddress("redis+sentinel:// needs the service's name after the hosts")
        service = pieces.pop(0)
    db = pieces.pop(0) if pieces else "0"
    if pieces or not (db.isascii() and db.isdigit()):
        raise BadStoreAddress("the store's address must end with the number of the database")
    if mode == "cluster" and db != "0":
        raise BadStoreAddress("a Redis Cluster has database 0 only")
    return service, int(db)
