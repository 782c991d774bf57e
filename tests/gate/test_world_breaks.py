"""The store, the upstream or the clock fails: protected routes close, the rest goes on."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.store import Store, StoreUnavailable
from tests.gate.served import Served
from tests.gate.test_devpi_evidence import carried, patch
from tests.gate.test_devpi_login import json_login
from tests.support import servers
from tests.support.names import unused
from tests.support.ports import free_port

Serve = Callable[..., Served]


def break_store(served: Served) -> None:
    """Every call to the store fails from now on, as when Redis is gone."""

    async def broken(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("gone")

    store = served.running.parts.flow.services.store
    for name in Store.__dict__:
        if not name.startswith("_") and name not in ("close", "warnings"):
            setattr(store, name, broken)


@pytest.fixture
def broken(devpi: Served, devpi_server: servers.Index) -> tuple[Served, str, str, str]:
    """A gateway that loses its store after a login: itself, user, password, token."""
    user = unused("broken")
    password = devpi_server.person(user)
    devpi.enrol(user)
    token = devpi.login(user, password)
    break_store(devpi)
    return devpi, user, password, token


def test_without_the_store_protected_routes_close(
    broken: tuple[Served, str, str, str],
) -> None:
    served, user, password, token = broken
    told = patch(served.client(), user, **carried("x-devpi-auth", user, token))
    assert (told.status, told.slug) == (503, "store_unavailable")
    told = json_login(served, user, f"{password},123456")
    assert (told.status, told.slug) == (503, "store_unavailable")
    page = served.client().browse("GET", "/+auth/login")
    assert page.status in (200, 503)


def test_without_the_store_downloads_and_uploads_go_on(
    broken: tuple[Served, str, str, str],
) -> None:
    served, user, password, _ = broken
    assert served.client().get(f"/{user}/dev/+simple/").status == 200
    client = served.client()
    client.cookies["ig-session"] = "x.y.z"
    assert client.get(f"/{user}/dev/+simple/").status == 200
    told = served.client().post(
        f"/{user}/dev",
        form={":action": "submit", "name": "hello", "version": "1.0", "metadata_version": "1.0"},
        auth=(user, password),
    )
    assert told.status == 200, told.body


def test_without_the_upstream(serve: Serve) -> None:
    served = serve("devpi", f"http://127.0.0.1:{free_port()}")
    served.enrol("alice")
    for told in (
        served.client().get("/"),
        json_login(served, "alice", "password,123456"),
        patch(served.client(), "alice", **carried("authorization", "alice", "password,123456")),
    ):
        assert (told.status, told.slug) == (502, "upstream_unreachable")
    page = served.client().browse("GET", "/")
    assert page.status == 502
    assert page.first("content-type").startswith("text/html")


def test_an_upstream_that_never_answers(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        served = serve("devpi", f"http://127.0.0.1:{port}", limits__answer="1s")
        told = json_login(served, "alice", "password,123456")
        assert (told.status, told.slug) == (504, "upstream_timeout")


@pytest.mark.parametrize(
    "said",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1, 2, 3]",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
    ids=["no HTTP", "cut off", "empty object", "no object", "error", "nothing"],
)
def test_an_upstream_that_answers_badly_proves_no_password(serve: Serve, said: bytes) -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for _ in range(2):
                line, _ = listener.accept()
                with line:
                    line.recv(65536)
                    line.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        served = serve("devpi", f"http://127.0.0.1:{listener.getsockname()[1]}")
        served.enrol("alice")
        secret = f"password,{served.code('alice')}"
        told = patch(served.client(), "alice", **carried("authorization", "alice", secret))
        assert (told.status, told.slug) == (502, "upstream_broken")


def test_the_clock_was_set_back(devpi: Served, devpi_server: servers.Index) -> None:
    """A proof from the future is none: it would live longer than it may."""
    password = devpi_server.person("clock")
    devpi.enrol("clock")
    token = devpi.login("clock", password)
    devpi.offset -= 3600
    told = patch(devpi.client(), "clock", **carried("x-devpi-auth", "clock", token))
    assert told.status == 401


def test_headers_that_move_the_route_are_ours(devpi: Served) -> None:
    """devpi strips the path of X-Outside-URL and builds its links from it."""
    fields = {
        "X-Outside-URL": "http://evil.example/foo",
        "X_Outside_URL": "http://evil.example/foo",
        "X-Forwarded-Host": "evil.example",
        "Host": "evil.example",
        "Connection": "close, X-Outside-URL",
    }
    told = devpi.client().get("/+api", fields=fields)
    assert told.json["result"]["login"] == f"{devpi.url}/+login"
    told = devpi.client().post(
        "/foo/+login", send={"user": "root", "password": servers.ROOT_PASSWORD}, fields=fields
    )
    assert told.status != 200, told.body
