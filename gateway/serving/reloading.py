"""A new configuration in place of the old one, while connections go on: who asks for it, how the
processes of one gateway agree on it, and how the command hears what came of it.

All or none: each worker makes its new gateway first (PREPARE), and only when all of them have one
they begin to use it (SWITCH); else they forget it (DROP, with the lines that say why).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

PREPARE: Final = b"P"
SWITCH: Final = b"S"
DROP: Final = b"D"
DONE: Final = b""
"""What a worker answers where all went well; else it says what did not."""
_LENGTH: Final = struct.Struct("!I")
_PEER: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
_PIECE: Final = 65536


class ReloadRefused(Exception):
    """The new configuration cannot be used; the lines say why, for the administrator."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines: Final = lines


class Reloaded(NamedTuple):
    """What came of a reload."""

    ok: bool
    lines: tuple[str, ...]


class Link:
    """Messages over a descriptor whose other end is another process's: of the supervisor to its
    workers and back."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: Final = descriptor
        self._data = bytearray()

    def send(self, message: bytes) -> None:
        data = memoryview(_LENGTH.pack(len(message)) + message)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def read(self) -> list[bytes] | None:
        """Messages that are here now, after the descriptor has become readable; None at the end,
        when the other process has gone."""
        data = os.read(self._descriptor, _PIECE)
        if not data:
            return None
        self._data += data
        return list(self._messages())

    def _messages(self) -> Iterator[bytes]:
        while len(self._data) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._data)[0]
            if len(self._data) < end:
                return
            message = bytes(self._data[_LENGTH.size : end])
            del self._data[:end]
            yield message


class Terminal:
    """Whether this process was started in a terminal, and still has it: a hang-up means the end of
    that terminal then, and a reload otherwise."""

    def __init__(self) -> None:
        self._had: Final = _has_terminal()

    def gone(self) -> bool:
        return self._had and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


# -- the command ------------------------------------------------------------------------------


class Desk:
    """Where `index-gateway reload` finds the process that serves a configuration: a name of the
    kernel's that ends with it. Whoever connects hears what comes of the next reload."""

    def __init__(self, config: Path) -> None:
        self._config: Final = config
        self._waiting: list[socket.socket] = []
        self._sock: socket.socket | None = None

    def open(self) -> None:
        """From now on a SIGHUP to this process is a reload."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(_name(self._config))
            sock.listen(16)
            sock.setblocking(False)
        except OSError:  # another one serves the same file, or this is no Linux
            sock.close()
        else:
            self._sock = sock

    def begin(self) -> None:
        """Those who are here now have asked before this reload."""
        if self._sock is None:
            return
        with contextlib.suppress(OSError):
            while True:
                self._waiting.append(self._sock.accept()[0])

    def tell(self, outcome: Reloaded) -> None:
        waiting, self._waiting = self._waiting, []
        for sock in waiting:
            with contextlib.suppress(OSError):
                sock.setblocking(False)
                sock.sendall(json.dumps(outcome).encode())
            sock.close()

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()


class NotServed(Exception):
    """No gateway of this user's serves that configuration; the text says more."""


def ask(config: Path, within: float) -> Reloaded:
    """Have the gateway that serves a configuration read it again.

    Args:
        within: seconds to wait for what comes of it.

    Raises:
        NotServed
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(within)
        try:
            sock.connect(_name(config))
        except OSError as exc:
            if exc.errno not in (errno.ECONNREFUSED, errno.ENOENT):
                raise NotServed(f"the gateway does not take the request: {exc.strerror}") from exc
            raise NotServed("no gateway serves this file") from exc
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        pid, uid, _ = _PEER.unpack(raw)
        # The name is anybody's to take: no signal goes to a stranger's process.
        if pid <= 0 or (uid not in (os.getuid(), 0) and os.getuid() != 0):
            raise NotServed("another user's process serves this file")
        try:
            os.kill(pid, signal.SIGHUP)
        except OSError as exc:
            raise NotServed(f"process {pid} cannot be signalled: {exc.strerror}") from exc
        said = bytearray()
        try:
            while data := sock.recv(_PIECE):
                said += data
            ok, lines = json.loads(said)
        except (OSError, ValueError) as exc:
            raise NotServed(f"process {pid} did not say what came of it") from exc
        return Reloaded(ok, tuple(lines))


def _name(config: Path) -> str:
    """In the abstract namespace of Linux (unix(7)): no file, gone with the process."""
    whole = hashlib.sha256(os.fsencode(config.resolve())).hexdigest()
    return f"\0index-gateway/{whole[:40]}"


class Reload(Protocol):
    """How a configuration is read again. What is read is handed on as bytes, so that every worker
    uses exactly the same."""

    @property
    def desk(self) -> Desk: ...

    def read(self) -> bytes:
        """Read and check it, in this process and for as long as it takes. Raises ReloadRefused."""
        ...

    def told(self, outcome: Reloaded, *, first: bool) -> None:
        """A reload has ended, for a worker's numbers. first: of the one that counts for all."""
        ...

    def say(self, outcome: Reloaded) -> None:
        """Tell the administrator."""
        ...
