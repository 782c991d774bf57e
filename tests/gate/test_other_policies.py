"""`authenticated`, `token`, enrolment that is optional, the audit trail and the throttle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.audit.entry import parse
from gateway.core.audit.trail import Trail
from gateway.core.throttle.limits import PASSWORDS_BY_NETWORK
from tests.conftest import PYPISERVER_USERS
from tests.gate.served import Served
from tests.gate.test_devpi_evidence import carried, patch, token_at_upstream
from tests.gate.test_devpi_login import form_login, json_login
from tests.support import servers
from tests.support.http import Client

Serve = Callable[..., Served]


def only(policy: str, path: str = "/**") -> dict[str, Any]:
    """Rules: logins as usual, everything else by one policy."""
    login = {"name": "login", "match": {"methods": ["POST"], "path": "/+login"}, "policy": "login"}
    return {"rules": [login, {"name": "all", "match": {"path": path}, "policy": policy}]}


AT_FAULT = {
    "authorization": "a name and password",
    "x-devpi-auth": "devpi's login (X-Devpi-Auth)",
    "cookie": "the cookie auth_tkt",
}


def test_a_private_devpi(serve: Serve, devpi_server: servers.Index) -> None:
    """Any credential that devpi itself accepts, or a session; nothing else."""
    served = serve("devpi", devpi_server.url, tests=None, **only("authenticated"))
    user = "private"
    password = devpi_server.person(user)
    served.enrol(user)
    here = f"/{user}/dev/+simple/"
    foreign = token_at_upstream(devpi_server, user, password)
    for place in ("authorization", "x-devpi-auth", "cookie"):
        for secret in (password, foreign, served.login(user, password)):
            fields = carried(place, user, secret)
            assert served.client().get(here, fields=fields).status == 200, (place, secret)
        told = served.client().get(here, fields=carried(place, user, "wrong"))
        assert (told.status, told.slug) == (401, "credential_required")
        said = told.json["message"]
        assert said.startswith(f"The index does not accept {AT_FAULT[place]}. Check the name"), said
        assert told.first("www-authenticate").startswith("Basic ")
    told = served.client().get(here)
    assert (told.status, told.slug) == (401, "credential_required")
    assert told.first("www-authenticate").startswith("Basic ")
    told = served.client().browse("GET", here)
    assert (told.status, told.first("location")[:17]) == (303, "/+auth/login?next")
    browser = served.browse_in(user, password, goto=here)
    assert browser.browse("GET", here).status == 200
    mixed = carried("authorization", "root", servers.ROOT_PASSWORD)
    told = browser.get(here, fields=mixed)
    assert (told.status, told.slug) == (401, "mixed_credentials")


def test_a_private_pypiserver(serve: Serve, pypiserver: servers.Index) -> None:
    served = serve("pypiserver", pypiserver.url, tests=None, **only("authenticated"))
    told = served.client().get("/simple/", auth=("alice", PYPISERVER_USERS["alice"]))
    assert told.status == 200
    for auth in (("alice", "wrong"), ("alice", PYPISERVER_USERS["bob"]), ("", "")):
        told = served.client().get("/simple/", auth=auth)
        assert (told.status, told.slug) == (401, "credential_required")


def test_guessing_passwords_at_a_private_index_is_slowed(
    serve: Serve, devpi_server: servers.Index
) -> None:
    """A private index tells a right password from a wrong one, as a login does."""
    served = serve("devpi", devpi_server.url, tests=None, **only("authenticated"))
    user = "tried"
    password = devpi_server.person(user)
    here = f"/{user}/dev/+simple/"
    assert served.client().get(here, auth=(user, password)).status == 200
    for number in range(PASSWORDS_BY_NETWORK[0].limit):
        told = served.client().get(here, auth=(user, f"guess {number}"))
        assert (told.status, told.slug) == (401, "credential_required")
    told = served.client().get(here, auth=(user, "one more"))
    assert (told.status, told.slug) == (429, "throttled")
    told = json_login(served, user, "one more")
    assert (told.status, told.slug) == (429, "throttled")
    told = served.client().get(here, auth=(user, password))
    assert told.status == 200, "known to be right"
    assert json_login(served, user, password).slug == "not_enrolled", "there, too"


def test_uploads_with_what_a_second_factor_earned(
    serve: Serve, devpi_server: servers.Index
) -> None:
    served = serve("devpi", devpi_server.url, tests=None, **only("token"))
    password = devpi_server.person("tokens")
    served.enrol("tokens")
    form = {":action": "submit", "name": "x", "version": "1.0", "metadata_version": "1.0"}

    def upload(secret: str) -> tuple[int, str]:
        told = served.client().post("/tokens/dev", form=form, auth=("tokens", secret))
        return told.status, told.slug

    told = served.client().post("/tokens/dev", form=form, auth=("tokens", password))
    assert "No password does here" in told.json["message"]
    assert "has only a name and password" in told.json["message"]
    assert upload(password) == (401, "second_factor_required")
    assert upload(f"{password},{served.code('tokens')}") == (401, "second_factor_required")
    foreign = token_at_upstream(devpi_server, "tokens", password)
    assert upload(foreign) == (401, "second_factor_required")
    token = served.login("tokens", password)
    served.offset += 9 * 3600
    assert upload(token) == (200, "")


@pytest.fixture
def optional(serve: Serve, devpi_server: servers.Index) -> Served:
    return serve("devpi", devpi_server.url, second_factor__enrolment="optional")


def test_where_a_factor_is_optional(optional: Served, devpi_server: servers.Index) -> None:
    """Who has none logs in with the password; a raw password still changes nothing."""
    password = devpi_server.person("without")
    told = json_login(optional, "without", password)
    assert told.status == 200, told.body
    token = told.json["result"]["password"]
    passed = patch(optional.client(), "without", **carried("x-devpi-auth", "without", token))
    assert passed.status == 200
    raw = carried("authorization", "without", password)
    assert patch(optional.client(), "without", **raw).slug == "second_factor_required"
    foreign = token_at_upstream(devpi_server, "without", password)
    told = patch(optional.client(), "without", **carried("x-devpi-auth", "without", foreign))
    assert told.slug == "second_factor_required"
    client = optional.client()
    assert form_login(optional, client, "without", password, "/without").status == 303
    assert {"ig-session", "auth_tkt"} <= set(client.cookies)
    assert patch(client, "without", **optional.ours()).slug == "session_not_enough"


def test_a_password_that_ends_like_a_code(optional: Served, devpi_server: servers.Index) -> None:
    """It is one where no code is needed, and the code comes behind it where one is."""
    devpi_server.person("ends")
    changed = Client(devpi_server.port).call(
        "PATCH",
        "/ends",
        send={"password": "word,123456"},
        fields=carried("x-devpi-auth", "root", servers.ROOT_PASSWORD),
    )
    assert changed.status == 200, changed.body
    assert json_login(optional, "ends", "word,123456").status == 200
    assert json_login(optional, "ends", "word,1234567").status == 401
    optional.enrol("ends")
    assert json_login(optional, "ends", "word,123456").slug == "otp_required"
    code = optional.code("ends")
    assert json_login(optional, "ends", f"word,123456,{code}").status == 200


def test_who_has_a_factor_is_asked_for_it(optional: Served, devpi_server: servers.Index) -> None:
    password = devpi_server.person("having")
    optional.enrol("having")
    assert json_login(optional, "having", password).slug == "otp_required"
    client = optional.client()
    assert form_login(optional, client, "having", password).first("location") == "/+auth/verify"


def entries(served: Served) -> list[tuple[str, str, str, str, str]]:
    """What the trail holds: event, user, path, rule, factor or detail."""

    async def read() -> list[tuple[str, str, str, str, str]]:
        trail = served.running.parts.audit
        assert isinstance(trail, Trail)
        found = [parse(line) async for line in trail.lines()]
        return [
            (e.event, e.user, e.origin.path, e.origin.rule, e.factor or e.detail) for e in found
        ]

    return served.run(read())


def test_guarded_acts_and_refusals_are_recorded(devpi: Served, devpi_server: servers.Index) -> None:
    password = devpi_server.person("audited")
    devpi.enrol("audited")
    fields = carried("x-devpi-auth", "audited", devpi.login("audited", password))
    before = len(entries(devpi))
    assert patch(devpi.client(), "audited", **fields).status == 200
    raw = carried("authorization", "audited", password)
    assert patch(devpi.client(), "audited", **raw).status == 401
    assert devpi.client().get("/audited", fields=raw).status == 200  # reading is no act
    assert patch(devpi.client(), "audited").status == 401  # nobody is named
    new = entries(devpi)[before:]
    assert [one[:4] for one in new] == [
        ("guarded_act", "audited", "/audited", "account"),
        ("guarded_refused", "audited", "/audited", "account"),
    ]
    assert new[0][4].startswith("totp")
    assert new[1][4] == "second_factor_required"
    assert password not in repr(entries(devpi))


def test_strangers_cannot_flood_the_trail(devpi: Served) -> None:
    before = len(entries(devpi))
    for _ in range(80):
        assert patch(devpi.client(), "x", **carried("authorization", "x", "y")).status == 401
    assert len(entries(devpi)) - before <= 60


def test_guessing_passwords_slows_an_address_and_nobody_else(
    serve: Serve, devpi_server: servers.Index
) -> None:
    """The owner still gets in from elsewhere; guarded requests and logins count alike."""
    served = serve("devpi", devpi_server.url, trusted_proxies=["127.0.0.1/32"])
    password = devpi_server.person("slowed")
    served.enrol("slowed")
    bad = {"X-Forwarded-For": "192.0.2.7"}
    told = None
    for number in range(200):
        if number % 2:
            told = json_login(served, "slowed", f"wrong {number}", **bad)
        else:
            secret = carried("authorization", "slowed", f"wrong {number},123456")
            told = patch(served.client(), "slowed", **secret, **bad)
        if told.status == 429:
            break
    assert told is not None
    assert (told.status, told.slug) == (429, "throttled")
    assert int(told.first("retry-after")) > 0
    good = {"X-Forwarded-For": "198.51.100.9", "X-OTP": served.code("slowed")}
    assert json_login(served, "slowed", password, **good).status == 200


def test_devpi_without_plugins(serve: Serve, devpi_plain: servers.Index) -> None:
    """No form there: the gateway's own page logs people in."""
    served = serve("devpi", devpi_plain.url)
    password = devpi_plain.person("plain")
    served.enrol("plain")
    token = served.login("plain", password)
    assert patch(served.client(), "plain", **carried("x-devpi-auth", "plain", token)).status == 200
    browser = served.browse_in("plain", password)
    assert patch(browser, "plain", **served.ours()).slug == "session_not_enough"
    form = {"username": "plain", "password": password, "submit": ""}
    told = served.client().browse("POST", "/+login", form=form, fields=served.ours())
    assert told.status in (400, 404), told.status
    assert not told.all("set-cookie")
