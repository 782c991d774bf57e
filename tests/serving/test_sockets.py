"""Where it listens: both kinds of addresses, several at once, ports that the system chooses."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.serving.sockets import Listener, ListenError
from tests.support.ports import free_port

LOCAL_V6 = any(found[0] == socket.AF_INET6 for found in socket.getaddrinfo("localhost", 1))
"""Whether this machine gives that name to its IPv6 loopback, too."""


@contextmanager
def bound(*texts: str) -> Iterator[list[tuple[Listener, list[socket.socket]]]]:
    listeners = [Listener.parse(text) for text in texts]
    made: list[tuple[Listener, list[socket.socket]]] = []
    try:
        for listener in listeners:
            made.append((listener, listener.bind(listeners)))
        yield made
    finally:
        for _, sockets in made:
            for sock in sockets:
                sock.close()


def reached(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=2):
        return True
    return False


@pytest.mark.parametrize(
    ("text", "v4", "v6"),
    [
        ("[::]:{port}", True, True),
        ("0.0.0.0:{port}", True, False),
        ("127.0.0.1:{port}", True, False),
        ("[::1]:{port}", False, True),
        ("localhost:{port}", True, LOCAL_V6),
    ],
)
def test_an_address_means_what_people_expect(text: str, v4: bool, v6: bool) -> None:
    port = free_port()
    with bound(text.format(port=port)):
        assert reached("127.0.0.1", port) == v4
        assert reached("::1", port) == v6


@pytest.mark.parametrize(
    "texts",
    [("[::]:{port}", "0.0.0.0:{port}"), ("0.0.0.0:{port}", "[::]:{port}"),
     ("127.0.0.1:{port}", "[::]:{port}"), ("127.0.0.1:{port}", "[::1]:{port}")],
    ids=str,
)  # fmt: skip
def test_both_kinds_of_addresses_may_be_named(texts: tuple[str, str]) -> None:
    port = free_port()
    with bound(*(text.format(port=port) for text in texts)):
        assert reached("127.0.0.1", port)
        assert reached("::1", port)


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:0", "[::]:0", "localhost:0", "0.0.0.0:0"])
def test_a_port_that_the_system_chooses_is_one_and_known(text: str) -> None:
    with bound(text, text) as made:
        ports = []
        for listener, sockets in made:
            (port,) = {sock.getsockname()[1] for sock in sockets}
            assert str(listener.at(sockets)) == text.removesuffix(":0") + f":{port}"
            ports.append(port)
        assert len(set(ports)) == 2


def test_a_kind_of_address_that_is_not_here_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """localhost without IPv6, say; but somewhere it has to listen."""
    port = free_port()
    found = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
    missing = [(*found[0][:4], ("192.0.2.7", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [*missing, *found])
    with bound(f"localhost:{port}") as made:
        assert len(made[0][1]) == 1
        assert reached("127.0.0.1", port)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: missing)
    with pytest.raises(ListenError, match="localhost"):
        Listener.parse(f"localhost:{port}").bind()
