"""A person's own new password, set on the page before real index servers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import pytest

from gateway.core.audit.events import Event
from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.gate.served import Served, hidden
from tests.gate.test_devpi_evidence import another_second, carried, patch
from tests.gate.test_tokens import entries, make
from tests.support import servers
from tests.support.http import Answer, Client

Person = Callable[[], tuple[str, str]]
PLACE = "/+auth/password"
NEW = "wholly new words"


def send(served: Served, browser: Client, **typed: str) -> Answer:
    form = {**hidden(browser.browse("GET", PLACE)), **typed}
    return browser.browse("POST", PLACE, form=form, fields=served.ours())


def at_index(index: servers.Index, user: str, password: str) -> int:
    """What a login past the gateway answers."""
    typed = {"user": user, "password": password}
    fields = {"Accept": "application/json"}
    return Client(index.port).post("/+login", send=typed, fields=fields).status


WRONG: Mapping[str, tuple[Mapping[str, str], str]] = {
    "the old one is wrong": ({"old": "not this one"}, "did not accept this user name"),
    "nothing for the old one": ({"old": ""}, "The password"),
    "too short": ({"new": "7 chars", "again": "7 chars"}, "8 characters or more"),
    "typed differently": ({"again": "wholly other words"}, "are not the same"),
    "the same as before": ({}, "is not the old one"),
}


def test_a_new_password_at_devpi(
    devpi: Served,
    person: Person,
    devpi_server: servers.Index,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Refused until all is right; then everything that the old one earned has ended."""
    caplog.set_level(logging.DEBUG)
    user, old = person()
    make(devpi, user, old, "CI of foo", actions=["read"])
    token, other = devpi.login(user, old), devpi.browse_in(user, old)
    browser = devpi.browse_in(user, old)
    page = browser.browse("GET", PLACE)
    assert page.text.count("these are logged out:") == 1
    right = {"old": old, "new": NEW, "again": NEW}
    pages = [page]
    for name, (changes, why) in WRONG.items():
        typed = {**right, **changes}
        if name == "the same as before":
            typed |= {"new": old, "again": old}
        told = send(devpi, browser, **typed)
        assert told.status in (400, 401), (name, told.status)
        assert why in told.text, (name, told.text)
        pages.append(told)
    assert entries(devpi, Event.PASSWORD_CHANGED) == []
    assert at_index(devpi_server, user, old) == 200
    another_second()

    told = send(devpi, browser, **right)
    assert told.status == 200, told.text
    another_second()
    assert "Your password is changed" in told.text
    assert "Logged out:" in told.text and "<li>" in told.text
    assert (at_index(devpi_server, user, old), at_index(devpi_server, user, NEW)) == (401, 200)
    for one in (browser, other):
        assert one.browse("GET", "/+auth/").status == 303
    gone = patch(devpi.client(), user, **carried("x-devpi-auth", user, token))
    assert gone.status == 401, gone.text
    assert [one["user"] for one in entries(devpi, Event.PASSWORD_CHANGED)] == [user]

    overview = devpi.browse_in(user, NEW).browse("GET", "/+auth/")
    assert "what about your API token?" in overview.text
    pages += [told, overview]
    for secret in (old, NEW, "not this one", "wholly other words"):
        assert not any(secret in one.text for one in pages), secret
        assert not any(secret in str(one.fields) for one in pages), secret
        assert secret not in caplog.text, secret
        for file in devpi.place.iterdir():
            if file.is_file():
                assert secret.encode() not in file.read_bytes(), (secret, file.name)


def test_it_takes_a_factor_shown_lately(devpi: Served, person: Person) -> None:
    user, old = person()
    browser = devpi.browse_in(user, old)
    form = hidden(browser.browse("GET", PLACE))
    devpi.offset += 3600
    assert browser.browse("GET", PLACE).first("location").startswith("/+auth/confirm")
    typed = {**form, "old": old, "new": NEW, "again": NEW}
    told = browser.browse("POST", PLACE, form=typed, fields=devpi.ours())
    assert told.status != 200 and entries(devpi, Event.PASSWORD_CHANGED) == []


RULES = [
    {"name": "fixed", "match": {"path": "/{user}", "methods": ["PATCH"]}, "policy": "deny"},
    {"name": "rest", "match": {"path": "/**"}, "policy": "second_factor"},
]


def test_a_rule_that_denies_it_at_devpi_denies_it_here(
    serve: Serve, devpi_server: servers.Index
) -> None:
    fixed = serve("devpi", devpi_server.url, rules=RULES, tests=[])
    old = devpi_server.person("fixed")
    fixed.enrol("fixed")
    browser = fixed.browse_in("fixed", old)
    assert "kept by its administrator" in browser.browse("GET", PLACE).text
    told = browser.browse("GET", "/+auth/")
    typed = {**hidden(told), "old": old, "new": NEW, "again": NEW}
    assert browser.browse("POST", PLACE, form=typed, fields=fixed.ours()).status >= 400
    assert at_index(devpi_server, "fixed", old) == 200


def test_pypiserver_keeps_passwords_with_its_administrator(simple: Served) -> None:
    browser = simple.browse_in("alice", PYPISERVER_USERS["alice"])
    simple.offset += 3600
    page = browser.browse("GET", PLACE)
    assert "Passwords of this index are kept by its administrator" in page.text
    assert 'type="password"' not in page.text
    typed = {"old": PYPISERVER_USERS["alice"], "new": NEW, "again": NEW}
    told = browser.browse("POST", PLACE, form=typed, fields=simple.ours())
    assert told.status in (400, 403, 404), told.status
