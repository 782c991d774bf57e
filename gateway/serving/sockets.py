"""Where clients connect: listening sockets, TCP or unix, and TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.proxy.descriptors import backlog, limit
from gateway.proxy.half_closed import HalfClosable

_ANY_V6: Final = "::"
# A name's address of a kind that this machine does not have: its others will do.
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_TRIES: Final = 10  # for a port that is free at all addresses of a name


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

    def bind(self, others: Sequence[Listener] = ()) -> list[socket.socket]:
        """Listening sockets, one per address the host has.

        Args:
            others: what else is listened on. `[::]` takes IPv4 too, unless one of them does on
                the same port.

        Raises:
            ListenError: the port is in use, say.
        """
        try:
            most = backlog(limit(), len(others))
            if self.path:
                return [self._unix(most)]
            dual = self.host == _ANY_V6 and not any(
                one.port == self.port and one.port and not one.path and ":" not in one.host
                for one in others
            )
            return self._tcp(dual, most)
        except OSError as exc:
            raise ListenError(f"cannot listen on {self}: {_said(exc)}") from exc

    def at(self, sockets: Sequence[socket.socket]) -> Listener:
        """The same as it came to be: the port that the system chose for port 0."""
        return self if self.path else replace(self, port=sockets[0].getsockname()[1])

    def _tcp(self, dual: bool, most: int) -> list[socket.socket]:
        for left in reversed(range(_TRIES)):
            bound: list[socket.socket] = []
            try:
                return self._at_all_addresses(bound, dual, most)
            except OSError as exc:
                for sock in bound:
                    sock.close()
                if self.port or not left or exc.errno != errno.EADDRINUSE:
                    raise
        raise AssertionError

    def _at_all_addresses(
        self, bound: list[socket.socket], dual: bool, most: int
    ) -> list[socket.socket]:
        """Bind at every address, all at one port.

        Args:
            bound: holds what there is so far. most: connections that wait to be accepted.
        """
        found = dict.fromkeys(
            socket.getaddrinfo(
                self.host or None, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        )
        missing: OSError | None = None
        for family, kind, protocol, _, address in found:
            port = bound[0].getsockname()[1] if bound else self.port
            try:
                sock = socket.socket(family, kind, protocol)
                bound.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
                sock.bind((address[0], port, *address[2:]))
                sock.listen(most)
                sock.setblocking(False)
            except OSError as exc:
                if exc.errno not in _NOT_HERE:
                    raise
                missing = exc
                if sock in bound:
                    bound.remove(sock)
                    sock.close()
        if missing is not None and not bound:
            raise missing
        return bound

    def _unix(self, most: int) -> socket.socket:
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
            sock.listen(most)
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
    context.sslobject_class = HalfClosable
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as exc:
        raise ListenError(f"cannot use {certificate} with {key}: {exc}") from exc
    return context
