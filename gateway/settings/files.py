"""What lives elsewhere: files, secrets, the store."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from gateway.settings.fields import Written
from gateway.settings.problems import show
from gateway.stores import OPENERS, BadStoreAddress
from gateway.stores.address import read_sqlite


def path_in(text: str, prefix: str, base: Path) -> Path:
    """The path behind a prefix; a relative one starts at `base`."""
    rest = text.removeprefix(prefix)
    if not rest or "\0" in rest:
        raise ValueError(f"{show(text)} names no file; {prefix}PATH")
    return base / Path(rest).expanduser()


FilePath: TypeAlias = Annotated[
    Path,
    Written(r"^.+$", "the path of a file", lambda text, base: path_in(text, "", base), based=True),
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
        return Source("file", str(path_in(text, "file:", base)))
    if text.startswith("env:") and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text[4:]):
        return Source("env", text[4:])
    # What was found is not shown: it may be the secret itself.
    raise ValueError("a secret is not written into this file; file:PATH or env:NAME")


SecretSource: TypeAlias = Annotated[
    Source,
    Written(
        r"^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$",
        "file:PATH or env:NAME",
        parse_source,
        based=True,
    ),
]


def parse_store(text: str, base: Path) -> str:
    """The address for `gateway.stores.open_store`, with an absolute path for SQLite."""
    scheme = text.partition(":")[0]
    if scheme not in OPENERS or scheme == text:
        known = ", ".join(f"{name}://" for name in OPENERS if name != "sqlite")
        raise ValueError(f"{show(scheme)} is not a valid kind of store; sqlite:PATH, {known}")
    if scheme == "sqlite":
        try:
            return f"sqlite:{base / read_sqlite(text).expanduser()}"
        except BadStoreAddress as error:
            raise ValueError(f"{error}; sqlite:PATH") from None
    userinfo, at, _ = text.partition("://")[2].rpartition("@")
    if at and ":" in userinfo:
        raise ValueError(
            "the store's address holds a password; leave it out and add "
            "?password_file=PATH or ?password_env=NAME"
        )
    return text


def unmade_store(address: str) -> Path | None:
    """The SQLite file that the first start will make; None where it is there, or is no file."""
    path = Path(address.removeprefix("sqlite:"))
    return path if address.startswith("sqlite:") and not path.exists() else None


def unwritable_store(address: str) -> str:
    """Why this user cannot write the SQLite file of a store; "" where it can, or is elsewhere.

    SQLite writes into the directory, too (sqlite.org/wal.html: FILE-wal and FILE-shm).
    """
    if not address.startswith("sqlite:"):
        return ""
    path = Path(address.removeprefix("sqlite:"))
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"this user cannot write into {path.parent}"
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists() and not os.access(file, os.R_OK | os.W_OK):
            owner = _owner(file)
            return f"this user cannot write {file}" + (
                f", which belongs to {owner}" if owner else ""
            )
    return ""


def _owner(file: Path) -> str:
    """Whose a file is; "" where that cannot be told."""
    try:
        return file.owner()
    except (KeyError, OSError):
        return ""


StoreUrl: TypeAlias = Annotated[
    str,
    Written(
        r"^(sqlite:.+|rediss?(\+sentinel|\+cluster)?://.+)$",
        "sqlite:PATH or redis://HOST:PORT/DB",
        parse_store,
        based=True,
    ),
]
