"""An upstream that notes every request as it came, byte for byte, and answers as it is told."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"


@dataclass
class Seen:
    """One request. head: as it came, with its empty line."""

    head: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        return self.head.split(b"\r\n")[0]

    def all(self, name: str) -> list[str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines if line]
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]


@dataclass
class Recorder:
    """Listens on loopback, or on a unix socket. answer: what it says to a request."""

    answer: Callable[[Seen], bytes] = lambda _: OK
    seen: list[Seen] = field(default_factory=list)
    unix: Path | None = None

    def __enter__(self) -> Recorder:
        if self.unix is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.unix))
            self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def url(self) -> str:
        if self.unix is not None:
            return f"unix:{self.unix}"
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        # A gateway that is stopped, or refuses in the middle, resets the connection.
        with contextlib.suppress(ConnectionError), line, line.makefile("rb") as stream:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    got = stream.readline()
                    if not got:
                        return
                    head += got
                seen = Seen(head, b"")
                length = seen.all("content-length")
                if length:
                    seen.body = stream.read(int(length[0]))
                self.seen.append(seen)
                line.sendall(self.answer(seen))
