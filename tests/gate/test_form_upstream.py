"""A server with a login form and an opaque session cookie, known only by its configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.gate.recorder import Recorder, Seen
from tests.gate.served import Served
from tests.support.http import Client

Serve = Callable[..., Served]

RULES = [
    {"name": "login", "match": {"methods": ["POST"], "path": "/login"}, "policy": "login"},
    {"name": "reset", "match": {"path": "/reset"}, "policy": "pass"},
    {"name": "settings", "match": {"path": "/settings"}, "policy": "second_factor"},
    {"name": "reading", "match": {"methods": ["GET"], "path": "/**"}, "policy": "pass"},
]
COOKIE = b"Set-Cookie: sid=%s; Max-Age=600; HttpOnly\r\n"


def app(seen: Seen) -> bytes:
    """Logs in who knows the password and a CSRF token; a reset logs in by itself."""
    head, body = b"HTTP/1.1 200 OK\r\n", b"a page"
    if seen.line.startswith(b"POST /login"):
        if b"csrf=t0ken" in seen.body and b"password=right" in seen.body:
            head = b"HTTP/1.1 302 Found\r\nLocation: /home\r\n" + COOKIE % b"s3cr3t"
    elif seen.line.startswith(b"POST /reset"):
        head += COOKIE % b"by-reset"
    elif seen.line.startswith(b"POST /settings"):
        body = b"done" if any("sid=s3cr3t" in c for c in seen.all("cookie")) else b"who?"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.fixture
def upstream() -> Iterator[Recorder]:
    with Recorder(app) as recorder:
        yield recorder


@pytest.fixture
def served(serve: Serve, upstream: Recorder) -> Served:
    gateway = serve(
        "pypiserver",
        upstream.url,
        upstream__kind="form",
        upstream__form={"login": "/login", "logout": "/logout", "cookies": "sid"},
        rules=RULES,
        tests=None,
    )
    gateway.enrol("alice")
    return gateway


def log_in(served: Served, client: Client) -> None:
    form = {"username": "alice", "password": "right", "csrf": "t0ken", "next": "/home"}
    told = client.browse("POST", "/login", form=form, fields=served.ours())
    assert (told.status, told.first("location")) == (303, "/+auth/verify"), told.body
    assert "sid" not in client.cookies
    assert served.verify(client, "alice").first("location") == "/home"
    assert client.cookies["sid"] == "s3cr3t"


def change(served: Served, client: Client) -> tuple[int, str]:
    told = client.post("/settings", form={"a": "b"}, fields=served.ours())
    return told.status, told.slug or told.text


def test_a_login_and_what_it_earns(served: Served) -> None:
    client = served.client()
    log_in(served, client)
    assert change(served, client) == (200, "done")
    del client.cookies["sid"]  # the session lends it
    assert change(served, client) == (200, "done")


@pytest.mark.parametrize("cookie", ["s3cr3t", "guessed", "", '"s3cr3t"'])
def test_a_cookie_not_earned_here(served: Served, upstream: Recorder, cookie: str) -> None:
    client = served.client()
    client.cookies["sid"] = cookie
    before = len(upstream.seen)
    assert change(served, client) == (401, "second_factor_required")
    assert len(upstream.seen) == before


def test_a_reset_that_logs_in_gets_nobody_in(served: Served) -> None:
    """Nothing tells whose the cookie is, so it cannot wait for a second factor either."""
    for told in (
        served.client().post("/reset", form={"token": "x"}, fields=served.ours()),
        served.client().browse("POST", "/reset", form={"token": "x"}, fields=served.ours()),
    ):
        assert told.status in (303, 401)
        assert not [c for c in told.all("set-cookie") if c.startswith("sid=")]


def test_a_wrong_password_is_answered_by_the_server(served: Served) -> None:
    form = {"username": "alice", "password": "wrong", "csrf": "t0ken"}
    told = served.client().browse("POST", "/login", form=form, fields=served.ours())
    assert (told.status, told.body) == (200, b"a page")


def test_logging_out_ends_the_session(served: Served) -> None:
    client = served.client()
    log_in(served, client)
    assert client.browse("GET", "/logout").status == 200
    del client.cookies["sid"]
    assert change(served, client)[1] in ("second_factor_required", "done")
    told = client.browse("GET", "/logout", fields=served.ours())
    assert told.status == 200
    assert change(served, client) == (401, "second_factor_required")
