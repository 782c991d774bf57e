"""Where the gateway's keys are kept: a file only its owner can read, or an environment variable.

Knows files; what keys are for is in `gateway.core.crypto.keyring`. A key file may be rotated
under a running gateway: `KeySource` looks at it again every second.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

from gateway.core.crypto.keyring import BadKeys, RootKeys, format_keys, parse_keys

_log = logging.getLogger("gateway.keys")

LOOK_EVERY: Final = 1.0
"""Seconds within which a running gateway has seen a changed key file."""


class KeysUnusable(Exception):
    """There are no keys, or they must not be used as they are.

    text, hint: what was found, and what to do, for the command line.
    """

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(f"{text} {hint}")
        self.text = text
        self.hint = hint


class KeySource:
    """The keys of this moment; call it. Reads them once when made.

    Args:
        kind: "file" or "env". name: a path, or the name of a variable.

    Raises:
        KeysUnusable: when made. Later troubles leave the keys as they were.
    """

    def __init__(self, kind: str, name: str) -> None:
        self._path = Path(name) if kind == "file" else None
        self._stamp = _stamp(self._path)
        self._keys = read_key_file(self._path) if self._path else read_key_variable(name)
        self._looked = monotonic()
        self._bad: tuple[int, int, int] | None = None

    def __call__(self) -> RootKeys:
        if self._path is not None and monotonic() - self._looked >= LOOK_EVERY:
            self._looked = monotonic()
            self._look(self._path)
        return self._keys

    def _look(self, path: Path) -> None:
        stamp = _stamp(path)
        if stamp in (None, self._stamp):
            return
        try:
            self._keys, self._stamp = read_key_file(path), stamp
        except KeysUnusable as unusable:
            # The file is being put right by hand, say; it is looked at again in a second.
            if stamp != self._bad:
                self._bad = stamp
                _log.error("the keys stay as they were: %s", unusable)


def read_key_file(path: Path) -> RootKeys:
    """The keys in a file.

    Raises:
        KeysUnusable: no such file, unreadable, readable by others, or not a key file.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(1_000_000)
    except FileNotFoundError:
        raise KeysUnusable(
            f"There is no key file {path}.",
            f"Make one with: index-gateway keys new -o {path} "
            "(or put back the one this store was used with).",
        ) from None
    except OSError as error:
        raise KeysUnusable(
            f"The key file {path} cannot be read: {error.strerror}.",
            "Let the gateway's own user read it.",
        ) from None
    if mode & 0o077:
        raise KeysUnusable(
            f"The key file {path} can be read by others (mode {mode:04o}).",
            f"Close it: chmod 600 {path}",
        )
    return _parsed(raw, f"The key file {path}")


def read_key_variable(name: str) -> RootKeys:
    """The keys in an environment variable: the text of a key file. Raises KeysUnusable."""
    value = os.environ.get(name)
    if value is None:
        raise KeysUnusable(
            f"The environment variable {name} is not set.",
            "Put the text of a key file into it; make one with: index-gateway keys new -o FILE",
        )
    return _parsed(value.encode(), f"The environment variable {name}")


def create_key_file(path: Path, keys: RootKeys) -> None:
    """Write a new key file, whole or not at all, and never over another.

    Raises:
        FileExistsError: there is a file of this name.
    """
    fresh = _written_beside(path, keys)
    try:
        os.link(fresh, path)  # unlike a rename, fails where something is
    finally:
        fresh.unlink()
    _sync_directory(path)


def replace_key_file(path: Path, keys: RootKeys) -> None:
    """Put other keys in the place of those in a file, in one step."""
    owner = path.stat()
    fresh = _written_beside(path, keys)
    try:
        # root rotates for the gateway's user; the group has no say in a file of its owner only
        if owner.st_uid != os.geteuid():
            os.chown(fresh, owner.st_uid, owner.st_gid)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    _sync_directory(path)


@contextmanager
def key_file_lock(path: Path) -> Iterator[None]:
    """Keep a second rotation out while one runs; a killed one leaves no lock behind."""
    directory = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise KeysUnusable(
            f"Somebody else is rotating {path}.", "Wait for it, then try again."
        ) from None
    finally:
        os.close(directory)


def _written_beside(path: Path, keys: RootKeys) -> Path:
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(format_keys(keys))
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _sync_directory(path: Path) -> None:
    directory = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _parsed(raw: bytes, what: str) -> RootKeys:
    try:
        return parse_keys(raw.decode("ascii"))
    except UnicodeDecodeError:
        found = "it is not text"
    except BadKeys as bad:
        found = str(bad)
    raise KeysUnusable(f"{what} is not a key file: {found}.", "Put back the one that worked.")


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    """What changes when a file does."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
