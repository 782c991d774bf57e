"""Logins at devpi's own route, by program and by browser, and what comes after."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

import pytest

from tests.gate.served import Served, hidden
from tests.gate.test_devpi_evidence import another_second, carried, patch, title, token_at_upstream
from tests.support import servers
from tests.support.http import Answer, Client

Person = Callable[[], tuple[str, str]]


def json_login(served: Served, user: str, password: str, **fields: str) -> Answer:
    return served.client().post("/+login", send={"user": user, "password": password}, fields=fields)


def form_login(served: Served, client: Client, user: str, password: str, goto: str = "") -> Answer:
    """The form of devpi-lockdown, filled in by a person in a browser."""
    target = "/+login" + (f"?goto_url={goto}" if goto else "")
    assert client.browse("GET", target).status == 200
    form = {"username": user, "password": password, "submit": ""}
    return client.browse("POST", target, form=form, fields=served.ours())


def test_a_program_without_a_code(devpi: Served, person: Person) -> None:
    told = json_login(devpi, *person())
    assert (told.status, told.slug) == (401, "otp_required")
    assert told.first("www-authenticate") == "OTP"


def test_a_program_with_a_wrong_and_a_used_code(devpi: Served, person: Person) -> None:
    user, password = person()
    told = json_login(devpi, user, f"{password},{devpi.wrong(user)}")
    assert (told.status, told.slug) == (401, "otp_invalid")
    code = devpi.code(user)
    assert json_login(devpi, user, f"{password},{code}").status == 200
    told = json_login(devpi, user, f"{password},{code}")
    assert (told.status, told.slug) == (401, "otp_invalid")


def test_a_wrong_password_is_answered_by_devpi(devpi: Served, person: Person) -> None:
    """Word for word, with or without a code: nobody learns of codes without the password."""
    user, _ = person()
    plain = json_login(devpi, user, "wrong")
    coded = json_login(devpi, user, f"wrong,{devpi.code(user)}")
    assert plain.status == coded.status == 401
    assert plain.json == coded.json == {"message": f"user '{user}' could not be authenticated"}


def test_a_person_without_a_factor(devpi: Served, devpi_server: servers.Index) -> None:
    password = devpi_server.person("unenrolled")
    told = json_login(devpi, "unenrolled", password)
    assert (told.status, told.slug) == (403, "not_enrolled")
    assert f"{devpi.url}/+auth/" in told.json["message"]


def test_a_password_with_a_comma_needs_the_header(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, old = person()
    password = "ends in,123456"
    fields = carried("x-devpi-auth", user, token_at_upstream(devpi_server, user, old))
    changed = Client(devpi_server.port).call(
        "PATCH", f"/{user}", send={"password": password}, fields=fields
    )
    assert changed.status == 200
    told = json_login(devpi, user, password, **{"X-OTP": devpi.code(user)})
    assert told.status == 200, told.body


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"user": "root", "user": "x", "password": "p"}', "application/json"),
        (b'{"user": "root", "password": ["p"]}', "application/json"),
        (b'{"user": "root"}', "application/json"),
        (b'["root", "p"]', "application/json"),
        (b"", "application/json"),
        (b"username=root&password=a&password=b&submit=", "application/x-www-form-urlencoded"),
        (b"username=root&submit=", "application/x-www-form-urlencoded"),
        (b"username=root&password=a", "text/plain"),
        (b"\xff\xfe{\x00}\x00", "application/json"),
        (
            b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nroot\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_a_login_that_can_be_read_in_two_ways(
    devpi: Served, body: bytes, content_type: str
) -> None:
    told = devpi.client().post("/+login", body=body, fields={"Content-Type": content_type})
    assert (told.status, told.slug) == (400, "unreadable_login")


def test_accept_does_not_turn_one_login_into_the_other(devpi: Served, person: Person) -> None:
    """What Accept means at devpi hangs on the order of its plugins; the body decides here."""
    user, password = person()
    for accept in ("*/*", "text/html", "application/json", "text/html;q=0,*/*", "image/png"):
        told = json_login(devpi, user, f"{password},{devpi.code(user)}", Accept=accept)
        assert told.status == 200, (accept, told.body)
        assert told.json["type"] == "proxyauth"
        assert not told.all("set-cookie")


def test_a_browser_is_led_to_the_second_factor_and_back(devpi: Served, person: Person) -> None:
    user, password = person()
    client = devpi.client()
    told = form_login(devpi, client, user, password, goto=f"/{user}/dev")
    assert (told.status, told.first("location")) == (303, "/+auth/verify")
    assert "auth_tkt" not in client.cookies
    told = devpi.verify(client, user)
    assert told.first("location") == f"/{user}/dev"
    assert "auth_tkt" in client.cookies
    assert client.browse("GET", f"/{user}/+tokens").status == 200
    assert patch(client, user, **devpi.ours()).slug == "session_not_enough"


def test_the_cookie_is_worth_nothing_before_the_code(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    """A pending login is no session, on any page."""
    user, password = person()
    client = devpi.client()
    form_login(devpi, client, user, password)
    assert list(client.cookies) == ["ig-pending"]
    assert patch(client, user, **devpi.ours()).slug == "second_factor_required"
    page = client.browse("GET", "/+auth/")
    assert page.status != 200 or user not in page.text
    client.cookies = {"ig-session": client.cookies["ig-pending"]}
    assert patch(client, user, **devpi.ours()).slug == "second_factor_required"
    assert title(devpi_server, user) == ""


def test_a_wrong_password_in_the_form_is_answered_by_devpi(devpi: Served, person: Person) -> None:
    user, _ = person()
    client = devpi.client()
    told = form_login(devpi, client, user, "wrong")
    assert told.status == 401
    assert "Invalid credentials" in told.text
    assert not client.cookies


def test_a_form_with_its_code_behind_the_password(devpi: Served, person: Person) -> None:
    user, password = person()
    client = devpi.client()
    told = form_login(devpi, client, user, f"{password},{devpi.code(user)}")
    assert told.status == 302
    assert unquote(client.cookies["auth_tkt"].strip('"')).startswith(f"{user}:")
    assert client.browse("GET", f"/{user}/+tokens").status == 200


def test_a_form_sent_by_another_site_logs_nobody_in(devpi: Served, person: Person) -> None:
    user, password = person()
    client = devpi.client()
    form = {"username": user, "password": f"{password},{devpi.code(user)}", "submit": ""}
    told = client.browse(
        "POST", "/+login", form=form, fields={"Origin": "https://evil.example",
                                              "Sec-Fetch-Site": "cross-site"}
    )  # fmt: skip
    assert told.status == 403
    assert not client.cookies


@pytest.mark.parametrize("goto", ["//evil.example", "https://evil.example/", "/%5cevil.example"])
def test_the_way_back_stays_here(devpi: Served, person: Person, goto: str) -> None:
    user, password = person()
    client = devpi.client()
    told = form_login(devpi, client, user, password, goto=goto)
    assert told.first("location") == "/+auth/verify"
    assert devpi.verify(client, user).first("location") == "/"


def test_logins_of_two_people_in_one_browser(devpi: Served, person: Person) -> None:
    """The second login replaces the first; nothing of one is handed to the other."""
    (alice, one), (bob, two) = person(), person()
    client = devpi.client()
    form_login(devpi, client, alice, one)
    first = client.cookies["ig-pending"]
    form_login(devpi, client, bob, two)
    second = dict(client.cookies)
    client.cookies = {"ig-pending": first, "ig-form": second.get("ig-form", "")}
    page = client.browse("GET", "/+auth/verify")
    form = {**hidden(page), "kind": "totp", "code": devpi.code(bob)}
    told = client.browse("POST", "/+auth/verify", form=form, fields=devpi.ours())
    assert told.status == 401  # bob's code does not finish alice's login
    client.cookies = second
    devpi.verify(client, bob)
    assert unquote(client.cookies["auth_tkt"].strip('"')).startswith(f"{bob}:")


def test_logging_out_at_devpi_ends_the_session_here(devpi: Served, person: Person) -> None:
    user, password = person()
    client = devpi.client()
    form_login(devpi, client, user, password)
    devpi.verify(client, user)
    kept = dict(client.cookies)
    told = client.browse("POST", "/+logout", form={"submit": ""}, fields=devpi.ours())
    assert told.status == 302
    assert "auth_tkt" not in client.cookies
    client.cookies = kept
    assert patch(client, user, **devpi.ours()).slug == "credential_ended"
    assert "auth_tkt" not in client.cookies
    assert patch(client, user, **devpi.ours()).slug == "second_factor_required"


def test_a_changed_password(devpi: Served, person: Person, devpi_server: servers.Index) -> None:
    user, password = person()
    before = devpi.login(user, password)
    browser = devpi.browse_in(user, password)
    another_second()
    told = devpi.client().call(
        "PATCH",
        f"/{user}",
        send={"password": "another one"},
        fields=carried("x-devpi-auth", user, before),
    )
    assert (told.status, told.json["type"]) == (200, "userpassword"), told.body
    fresh = told.json["result"]["password"]
    assert patch(devpi.client(), user, **carried("x-devpi-auth", user, fresh)).status == 200
    old = carried("x-devpi-auth", user, before)
    assert patch(devpi.client(), user, **old).slug == "credential_ended"
    old = carried("authorization", user, password)
    assert patch(devpi.client(), user, **old).slug == "second_factor_required"
    assert patch(browser, user, **devpi.ours()).slug == "second_factor_required"


def test_a_changed_password_ends_remembered_devices(devpi: Served, person: Person) -> None:
    user, password = person()
    browser = devpi.browse_in(user, password, remember="yes")
    told = devpi.give_password(browser, user, password)
    assert told.first("location") == "/+auth/", "no code asked on this device"
    fields = carried("authorization", user, f"{password},{devpi.code(user)}")
    changed = devpi.client().call(
        "PATCH", f"/{user}", send={"password": "another one"}, fields=fields
    )
    assert (changed.status, changed.json["type"]) == (200, "userpassword"), changed.body
    told = devpi.give_password(browser, user, "another one")
    assert told.first("location") == "/+auth/verify"


def test_a_password_changed_for_somebody_else(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    """root sets alice's password: the token in the answer is alice's, and no evidence."""
    alice, password = person()
    before = devpi.login(alice, password)
    devpi.enrol("root")
    root = devpi.login("root", servers.ROOT_PASSWORD)
    another_second()
    told = devpi.client().call(
        "PATCH",
        f"/{alice}",
        send={"password": "set by root"},
        fields=carried("x-devpi-auth", "root", root),
    )
    assert told.json["type"] == "userpassword", told.body
    fresh = told.json["result"]["password"]
    for token, slug in ((fresh, "second_factor_required"), (before, "credential_ended")):
        refused = patch(devpi.client(), alice, **carried("x-devpi-auth", alice, token))
        assert refused.slug == slug
    assert patch(devpi.client(), "root", **carried("x-devpi-auth", "root", root)).status == 200


def test_a_change_that_is_no_password_leaves_logins_alone(devpi: Served, person: Person) -> None:
    user, password = person()
    token = devpi.login(user, password)
    for _ in range(2):
        assert patch(devpi.client(), user, **carried("x-devpi-auth", user, token)).status == 200


def test_a_deleted_account_takes_its_logins_along(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    """A new account of that name must not inherit what the old one earned."""
    user, password = person()
    token = devpi.login(user, password)
    fields = carried("x-devpi-auth", user, token)
    assert devpi.client().call("DELETE", f"/{user}/dev", fields=fields).status in (200, 201)
    told = devpi.client().call("DELETE", f"/{user}", fields=fields)
    assert told.status == 200, told.body
    devpi_server.root().add_user(user, password, email="x@example.org")
    assert patch(devpi.client(), user, **fields).slug == "credential_ended"


# -- cookies by other ways ------------------------------------------------------------------

OPEN_LOGIN = [
    {"name": "a route that logs in unseen", "match": {"path": "/+login"}, "policy": "pass"},
    {"name": "rest", "match": {"path": "/**"}, "policy": "second_factor"},
]


@pytest.fixture
def unseen(serve: Callable[..., Served], devpi_server: servers.Index) -> Served:
    """The rules do not know that a route logs in, as with a password reset."""
    return serve("devpi", devpi_server.url, rules=OPEN_LOGIN, tests=None)


def test_a_cookie_by_a_way_nobody_thought_of_is_held_back(
    unseen: Served, devpi_server: servers.Index
) -> None:
    password = devpi_server.person("resetter")
    unseen.enrol("resetter")
    client = unseen.client()
    told = form_login(unseen, client, "resetter", password, goto="/resetter")
    assert (told.status, told.first("location")) == (303, "/+auth/verify")
    assert "auth_tkt" not in client.cookies
    assert unseen.verify(client, "resetter").first("location") == "/resetter"
    assert "auth_tkt" in client.cookies
    assert client.browse("GET", "/resetter/+tokens").status == 200


def test_no_program_gets_such_a_cookie_without_a_code(
    unseen: Served, devpi_server: servers.Index
) -> None:
    password = devpi_server.person("scripted")
    unseen.enrol("scripted")
    form = {"username": "scripted", "password": password, "submit": ""}
    told = unseen.client().post("/+login", form=form, fields={"Accept": "text/html"})
    assert (told.status, told.slug) == (401, "otp_required")
    assert not told.all("set-cookie")
    fields = {"Accept": "text/html", "X-OTP": unseen.code("scripted")}
    told = unseen.client().post("/+login", form=form, fields=fields)
    assert told.status == 302
    assert told.all("set-cookie")
    assert all(cookie.endswith("; SameSite=Lax") for cookie in told.all("set-cookie"))


def test_taking_a_cookie_away_is_no_login(devpi: Served) -> None:
    told = devpi.client().post("/+logout", form={"submit": ""}, fields={"Accept": "text/html"})
    assert told.status == 302
    assert told.first("set-cookie").startswith("auth_tkt=;")


FOREIGN = {
    "another site": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "a sandboxed page": {"Origin": "null"},
    "a neighbour": {"Origin": "http://localhost:1", "Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("who", FOREIGN)
def test_no_foreign_page_logs_anybody_in_or_out(
    unseen: Served, devpi: Served, devpi_server: servers.Index, person: Person, who: str
) -> None:
    user, password = person()
    form = {"username": user, "password": password, "submit": ""}
    told = unseen.client().browse("POST", "/+login", form=form, fields=FOREIGN[who])
    assert (told.status, told.all("set-cookie")) == (403, []), "by a way nobody thought of"
    client = devpi.client()
    form_login(devpi, client, user, password)
    devpi.verify(client, user)
    kept = dict(client.cookies)
    assert {"auth_tkt", "ig-session"} <= set(kept)
    told = client.browse("POST", "/+logout", form={"submit": ""}, fields=FOREIGN[who])
    assert (told.status, told.all("set-cookie")) == (403, [])
    told = client.call("POST", "/+logout", body=b"", fields={"Sec-Fetch-Mode": "no-cors"})
    assert (told.status, told.slug) == (403, "cross_site")
    assert client.cookies == kept
    told = devpi.client().browse("POST", "/+logout", form={"submit": ""}, fields=FOREIGN[who])
    assert (told.status, told.all("set-cookie")) == (403, []), "from a page that gets no cookies"
