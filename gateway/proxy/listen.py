"""Where clients connect: listening sockets, TCP or unix, and TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BACKLOG: Final = 1024


class ListenError(Exception):
    """A listening socket or its TLS cannot be made; the message is for the administrator."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address: host and port, or the path of a unix socket (with its mode)."""

    host: str = ""
    port: int = 0
    path: str = ""
    mode: int = 0o660

    @classmethod
    def parse(cls, text: str) -> Listener:
        """Read host:port, [v6]:port or unix:/path.

        Raises:
            ValueError: another form.
        """
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path.startswith("/"):
                raise ValueError("the path of a unix socket begins with /")
            return cls(path=path)
        host, mark, port = text.rpartition(":")
        if not mark or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("an address to listen on is host:port or unix:/path")
        if ":" in host and not (host.startswith("[") and host.endswith("]")):
            raise ValueError("an IPv6 address stands in brackets: [::1]:8080")
        return cls(host=host.strip("[]"), port=int(port))

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def bind(self) -> list[socket.socket]:
        """Listening sockets, one per address the host has.

        Raises:
            ListenError: the port is in use, say.
        """
        try:
            return [self._unix()] if self.path else self._tcp()
        except OSError as exc:
            raise ListenError(f"cannot listen on {self}: {_said(exc)}") from exc

    def _tcp(self) -> list[socket.socket]:
        found = socket.getaddrinfo(
            self.host or None, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        bound: list[socket.socket] = []
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                sock = socket.socket(family, kind, protocol)
                bound.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(address)
                sock.listen(_BACKLOG)
                sock.setblocking(False)
        except OSError:
            for sock in bound:
                sock.close()
            raise
        return bound

    def _unix(self) -> socket.socket:
        path = Path(self.path)
        self._clear(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Bound with no rights for others, then opened as far as configured: nobody gets in
            # between.
            before = os.umask(0o177)
            try:
                sock.bind(self.path)
            finally:
                os.umask(before)
            path.chmod(self.mode)
            sock.listen(_BACKLOG)
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
        return sock

    def _clear(self, path: Path) -> None:
        """Remove a socket that a process which is gone has left."""
        try:
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise ListenError(f"cannot listen on {self}: there is a file of that name")
        except FileNotFoundError:
            return
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            probe.connect(self.path)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        finally:
            probe.close()

    def identity(self) -> tuple[int, int] | None:
        """Which file the unix socket is now: device and number."""
        try:
            found = Path(self.path).lstat() if self.path else None
        except FileNotFoundError:
            return None
        return (found.st_dev, found.st_ino) if found else None

    def remove(self, identity: tuple[int, int] | None) -> None:
        """Take the unix socket away again, unless another process has put its own there."""
        if self.path and identity is not None and self.identity() == identity:
            Path(self.path).unlink(missing_ok=True)


def _said(exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return "the address is in use by another program"
    if exc.errno == errno.EACCES:
        return "not permitted (ports below 1024 need a privilege)"
    return exc.strerror or str(exc)


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 and up for clients, HTTP/1.1 only.

    Raises:
        ListenError: a file is missing, or certificate and key do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as exc:
        raise ListenError(f"cannot use {certificate} with {key}: {exc}") from exc
    return context
