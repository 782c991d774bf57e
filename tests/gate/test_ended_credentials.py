"""What a login handed out is refused once it has ended here, though the index still takes it."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Callable, Iterator
from typing import TypeAlias
from urllib.parse import unquote

import pytest

from gateway.core.administration import Admin
from gateway.gate.ended import FRESH
from tests.gate.recorder import Recorder
from tests.gate.served import Served
from tests.gate.test_devpi_evidence import another_second, carried
from tests.gate.test_devpi_login import form_login, json_login
from tests.gate.test_form_upstream import RULES, app
from tests.gate.test_form_upstream import log_in as log_in_by_form
from tests.gate.test_world_breaks import break_store
from tests.support import servers
from tests.support.http import Answer, Client
from tests.support.pages import form

Serve: TypeAlias = Callable[..., Served]
Person: TypeAlias = Callable[[], tuple[str, str]]

CLEARED = "auth_tkt=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970"


def upload(client: Client, user: str, **fields: str) -> Answer:
    form = {":action": "submit", "name": "hello", "version": "1.0", "metadata_version": "1.0"}
    return client.post(f"/{user}/dev", form=form, fields=fields)


def log_in(served: Served, user: str, password: str) -> Client:
    """A login by devpi's own form, in a browser: it has the index's cookie and a session."""
    client = served.client()
    form_login(served, client, user, password)
    served.verify(client, user)
    assert {"auth_tkt", "ig-session"} <= set(client.cookies)
    return client


def send(served: Served, client: Client, page: str, action: str) -> Answer:
    fields = form(client.browse("GET", page), action)
    return client.browse("POST", action, form=fields, fields=served.ours())


def only_index(client: Client) -> str:
    """The index's own cookie, as somebody has kept it."""
    return client.cookies["auth_tkt"].strip('"')


def holds(index: servers.Index, user: str) -> bool:
    told = Client(index.port).get(f"/{user}/dev/hello", fields={"Accept": "application/json"})
    return told.status == 200


@pytest.mark.parametrize("way", ["/+auth/logout", "/+logout", "the index alone"])
def test_a_log_out_ends_the_cookie_of_the_index(
    devpi: Served, person: Person, devpi_server: servers.Index, way: str
) -> None:
    user, password = person()
    browser, thief = log_in(devpi, user, password), devpi.client()
    thief.cookies["auth_tkt"] = only_index(browser)
    if way == "/+auth/logout":
        told = send(devpi, browser, "/+auth/", way)
        assert any(one.startswith(CLEARED) for one in told.all("set-cookie")), told.fields
    else:
        if way == "the index alone":  # no session of ours is left
            del browser.cookies["ig-session"]
        told = browser.browse("POST", "/+logout", form={"submit": ""}, fields=devpi.ours())
        assert told.status == 302
    assert "auth_tkt" not in browser.cookies
    told = upload(thief, user)
    assert (told.status, told.slug) == (401, "credential_ended")
    assert told.all("set-cookie")[0].startswith(CLEARED)
    assert "location" not in dict(told.fields)
    assert not holds(devpi_server, user)


def spellings(user: str, cookie: str) -> dict[str, dict[str, str]]:
    token = unquote(cookie).partition(":")[2]
    whole = f"{user}:{token}"
    # The signature has two bits more than it needs, and base64 passes over strange characters.
    last = {"A": "B", "E": "F", "I": "J", "M": "N"}.get(token[-1], token[-1])
    other = chr(ord(token[-1]) ^ 1) if last == token[-1] else last
    encoded = base64.b64encode(whole.encode()).decode()
    return {
        "quoted": {"Cookie": f'auth_tkt="{cookie}"'},
        "escaped": {"Cookie": 'auth_tkt="\\141' + cookie[1:] + '"'},
        "all encoded": {"Cookie": "auth_tkt=" + "".join(f"%{ord(c):02x}" for c in whole)},
        "twice": {"Cookie": f"auth_tkt=x; auth_tkt={cookie}"},
        "as a password": carried("authorization", user, token),
        "in devpi's field": carried("x-devpi-auth", user, token),
        "stray characters": {"X-Devpi-Auth": encoded[:9] + "!" + encoded[9:]},
        "another signature": carried("x-devpi-auth", user, token[:-1] + other),
    }


def test_no_spelling_of_it_is_taken(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    browser = log_in(devpi, user, password)
    cookie = only_index(browser)
    send(devpi, browser, "/+auth/", "/+auth/logout")
    for name, fields in spellings(user, cookie).items():
        told = upload(devpi.client(), user, **fields)
        assert (told.status, told.slug) == (401, "credential_ended"), name
    assert not holds(devpi_server, user)


def test_end_all_others(devpi: Served, person: Person) -> None:
    """Two browsers and a command line: the one that asks goes on, the others are at an end."""
    user, password = person()
    here = log_in(devpi, user, password)
    another_second()
    there = log_in(devpi, user, password)
    another_second()
    token = carried("x-devpi-auth", user, devpi.login(user, password))
    for client, fields in ((here, {}), (there, {}), (devpi.client(), token)):
        assert upload(client, user, **fields).status == 200
    page = here.browse("GET", "/+auth/")
    assert "1 login without a browser session" in page.text
    told = send(devpi, here, "/+auth/", "/+auth/sessions/end-others")
    assert told.first("location").endswith("done=others")
    devpi.offset += FRESH
    assert upload(here, user).status == 200
    assert upload(devpi.client(), user, **token).slug == "credential_ended"
    assert json_login(devpi, user, "wrong", **token).slug == "", "a login is devpi's to answer"
    page = there.browse("GET", f"/{user}")
    assert page.status == 401
    assert "Login has ended" in page.text
    assert "auth_tkt" not in there.cookies
    assert there.browse("GET", f"/{user}").status == 200, "as anybody may"


def test_a_new_login_takes_away_what_had_ended(devpi: Served, person: Person) -> None:
    user, password = person()
    here = log_in(devpi, user, password)
    another_second()
    there = log_in(devpi, user, password)
    send(devpi, here, "/+auth/", "/+auth/sessions/end-others")
    another_second()  # else the new login hands out the same token
    devpi.give_password(there, user, password)
    assert "auth_tkt" in there.cookies
    devpi.verify(there, user)
    assert "auth_tkt" not in there.cookies
    assert there.browse("GET", f"/{user}").status == 200


def reset(served: Served, user: str, password: str, token: str) -> None:
    served.run(Admin(served.running.parts.flow.services).reset(user, "lost"))


def remove(served: Served, user: str, password: str, token: str) -> None:
    served.run(Admin(served.running.parts.flow.services).remove(user))


def change_password(served: Served, user: str, password: str, token: str) -> None:
    fields = carried("x-devpi-auth", user, token)
    another_second()
    told = served.client().call("PATCH", f"/{user}", send={"password": "new"}, fields=fields)
    assert told.status == 200


@pytest.mark.parametrize("change", [reset, remove, change_password], ids=lambda one: one.__name__)
def test_changes_end_a_token(
    devpi: Served, person: Person, change: Callable[[Served, str, str, str], None]
) -> None:
    """On a connection that goes on, too."""
    user, password = person()
    token = devpi.login(user, password)
    line = http.client.HTTPConnection("127.0.0.1", devpi.port, timeout=20)

    def read() -> int:
        line.request("GET", f"/{user}/dev/+simple/", headers=carried("x-devpi-auth", user, token))
        answer = line.getresponse()
        answer.read()
        return answer.status

    assert [read(), read()] == [200, 200]
    change(devpi, user, password, token)
    devpi.offset += FRESH
    assert read() == 401
    line.close()
    assert upload(devpi.client(), user, **carried("authorization", user, token)).status == 401


def test_where_ended_ones_may_pass(
    serve: Serve, person: Person, devpi: Served, devpi_server: servers.Index
) -> None:
    user, password = person()
    gate = serve("devpi", devpi_server.url, ended_credentials="pass")
    gate.enrol(user)
    browser = log_in(gate, user, password)
    cookie = only_index(browser)
    send(gate, browser, "/+auth/", "/+auth/logout")
    assert "auth_tkt" not in browser.cookies
    assert upload(gate.client(), user, Cookie=f"auth_tkt={cookie}").status == 200


def test_while_the_store_is_away_they_pass(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    browser = log_in(devpi, user, password)
    cookie = only_index(browser)
    send(devpi, browser, "/+auth/", "/+auth/logout")
    break_store(devpi)
    assert upload(devpi.client(), user, Cookie=f"auth_tkt={cookie}").status == 200


# -- a server with a form and an opaque cookie -----------------------------------------------


@pytest.fixture
def back() -> Iterator[Recorder]:
    with Recorder(app) as recorder:
        yield recorder


def test_a_cookie_that_names_nobody(serve: Serve, back: Recorder) -> None:
    form = {"login": "/login", "logout": "/logout", "cookies": "sid"}
    gate = serve(
        *("pypiserver", back.url),
        upstream__kind="form",
        upstream__form=form,
        rules=RULES,
        tests=None,
    )
    gate.enrol("alice")
    browser = gate.client()
    log_in_by_form(gate, browser)
    assert browser.browse("GET", "/a").status == 200
    told = send(gate, browser, "/+auth/", "/+auth/logout")
    cleared = "sid=; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    assert cleared in told.all("set-cookie")
    before = len(back.seen)
    for spelled in ("s3cr3t", '"s3cr3t"', "%733cr3t", '"s\\063cr3t"', "other; sid=s3cr3t"):
        told = gate.client().get("/a", fields={"Cookie": f"sid={spelled}"})
        assert (told.status, told.slug) == (401, "credential_ended"), spelled
        assert told.first("set-cookie") == cleared
    assert len(back.seen) == before
    assert gate.client().get("/a", fields={"Cookie": "sid=other"}).status == 200
    gate.offset += 20 * 86400  # its own life of ten minutes is over; the server may think otherwise
    assert gate.client().get("/a", fields={"Cookie": "sid=s3cr3t"}).slug == "credential_ended"
