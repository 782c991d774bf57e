"""What a login and a guarded request ask of the store.

A login, and a code in a browser's form, are to take at most 8 calls and 4 write transactions, a
refused request 5 calls and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from gateway.core.tokens.tokens import TOUCH
from gateway.gate.ended import FRESH
from tests.conftest import PYPISERVER_USERS
from tests.gate.counting import Count
from tests.gate.served import Served, hidden
from tests.gate.test_tokens import make
from tests.support import servers
from tests.support.http import basic
from tests.support.names import unused

Serve: TypeAlias = Callable[..., Served]


@pytest.fixture(params=["sqlite", "redis"])
def store_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return "sqlite:state.db"
    return f"redis://127.0.0.1:{request.getfixturevalue('redis_port')}/5"


@pytest.fixture
def gate(store_url: str, count: Count, serve: Serve, devpi_server: servers.Index) -> Served:
    return serve("devpi", devpi_server.url, store=store_url)


@pytest.fixture
def user(gate: Served, devpi_server: servers.Index) -> str:
    name = unused("counted")
    devpi_server.person(name)
    gate.enrol(name)
    return name


def test_a_code_in_devpis_login(count: Count, gate: Served, user: str) -> None:
    """The password's try; the code, the entry with the credential, and the end of the try. What
    the trail ends with is known here."""
    store = count(gate)
    gate.login(user, f"password of {user}")
    assert store.taken() == (5, 2)
    gate.login(user, f"password of {user}")
    assert store.taken() == (3, 1), "the password is known here"


def test_a_code_in_the_form_of_a_browser(count: Count, gate: Served, user: str) -> None:
    """The code, the end of the pending login, the entry with credential and session."""
    store, browser = count(gate), gate.client()
    gate.give_password(browser, user, f"password of {user}")
    page = browser.browse("GET", "/+auth/verify")
    form = {**hidden(page), "kind": "totp", "code": gate.code(user)}
    store.taken()
    told = browser.browse("POST", "/+auth/verify", form=form, fields=gate.ours())
    assert told.status == 303
    assert store.taken() == (7, 3)


def test_a_guarded_request_without_a_code(count: Count, gate: Served, user: str) -> None:
    """The entry, with what it counts."""
    store = count(gate)
    told = gate.client().call("DELETE", f"/{user}/dev", auth=(user, f"password of {user}"))
    assert told.slug == "second_factor_required"
    assert store.taken() == (3, 1)


def test_what_has_ended_is_looked_for_now_and_again(count: Count, gate: Served, user: str) -> None:
    """Only where a login may have handed a credential out: where it leads, the credential, the
    person's epoch."""
    token, password = gate.login(user, f"password of {user}"), f"password of {user}"
    store = count(gate)

    def asked(*auth: str) -> int:
        told = gate.client().get(f"/{user}/dev/+simple/", auth=auth or None)
        assert told.status == 200, told
        return store.taken()[0]

    assert asked() == 0
    assert asked(user, token) == 3
    assert asked(user, token) == 0
    gate.offset += FRESH
    assert asked(user, token) == 3
    asked(user, password)
    gate.offset += FRESH
    assert asked(user, password) == 0


def test_a_deletion_at_pypiserver(
    count: Count, store_url: str, serve: Serve, pypiserver: servers.Index
) -> None:
    gate = serve("pypiserver", pypiserver.url, store=store_url)
    gate.enrol("alice")
    store = count(gate)
    secret = f"{PYPISERVER_USERS['alice']},{gate.code('alice')}"
    told = gate.client().post(
        "/",
        body=b":action=remove_pkg&name=never-there&version=1.0",
        fields={
            "Authorization": basic("alice", secret),
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert told.status == 404, told
    # The password's try; the code, the entries of login and act, and the end of the try.
    assert store.taken() == (5, 2)


def test_a_token_that_reads(
    count: Count, store_url: str, serve: Serve, pypiserver: servers.Index
) -> None:
    """Once a minute the token with its last use, and that is written."""
    gate = serve("pypiserver", pypiserver.url, store=store_url)
    made = make(gate, "alice", PYPISERVER_USERS["alice"], actions=["read"])
    store = count(gate)

    def asked() -> tuple[int, int]:
        told = gate.client().get("/simple/", fields={"Authorization": f"Bearer {made.text}"})
        assert told.status == 200, told
        return store.taken()

    asked()  # the first use is in the trail
    for _ in range(3):
        assert [asked() for _ in range(3)] == [(0, 0)] * 3
        gate.offset += TOUCH
        assert asked() == (2, 1)
