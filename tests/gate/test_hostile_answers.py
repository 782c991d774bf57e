"""Answers and clients that misbehave: nothing is planted, and nobody can fill the log."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable

import pytest

from tests.gate.recorder import Recorder, Seen
from tests.gate.served import Served

Serve = Callable[..., Served]

OWN = [
    "ig-session=x",
    "__Host-ig-session=x; Secure; Path=/",
    "=ig-form=x",
    "ig-pending=; Max-Age=0",
]


def answering(cookie: str, status: bytes = b"200 OK") -> Callable[[Seen], bytes]:
    head = f"Set-Cookie: {cookie}\r\nContent-Length: 2\r\n\r\nok".encode()
    return lambda _: b"HTTP/1.1 " + status + b"\r\n" + head


@pytest.mark.parametrize("cookie", OWN)
def test_the_upstream_cannot_plant_a_cookie_of_the_gateway(serve: Serve, cookie: str) -> None:
    with Recorder(answering(cookie)) as upstream:
        told = serve("devpi", upstream.url).client().get("/alice")
    assert (told.status, told.slug) == (502, "upstream_broken")
    assert not told.all("set-cookie")


@pytest.mark.parametrize("cookie", [*OWN, "auth_tkt=unreadable", "=auth_tkt=unreadable"])
def test_nor_in_the_answer_to_a_login(serve: Serve, cookie: str) -> None:
    """Neither is a session handed out that nobody here can read, whatever the status says."""
    with Recorder(answering(cookie, b"401 Unauthorized")) as upstream:
        told = (
            serve("devpi", upstream.url)
            .client()
            .post("/+login", send={"user": "alice", "password": "wrong"})
        )
    assert (told.status, told.slug) == (502, "upstream_broken")
    assert not told.all("set-cookie")


@pytest.mark.parametrize("cookie", ["ig-lang=en", "theme=dark", "big-session=x"])
def test_other_cookies_of_the_upstream_pass(serve: Serve, cookie: str) -> None:
    with Recorder(answering(cookie)) as upstream:
        told = serve("devpi", upstream.url).client().get("/alice")
    assert (told.status, told.all("set-cookie")) == (200, [f"{cookie}; SameSite=Lax"])


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /+auth/login HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /+login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
        b"POST /+auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\na=",
    ],
    ids=["page", "login", "form"],
)
def test_clients_that_leave_cannot_fill_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    with Recorder() as upstream:
        served = serve("devpi", upstream.url)
        served.client().get("/+auth/login")
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            for pause in [0, 0, 0, 0.01, 0.05] * 4:
                with socket.create_connection(("127.0.0.1", served.port)) as line:
                    line.sendall(sent)
                    time.sleep(pause)
            served.client().get("/+auth/login")
    assert [record.getMessage() for record in caplog.records] == []
