"""What counts as evidence before a real devpi, and what does not."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.gate.served import Served
from tests.support import servers
from tests.support.http import Answer, Client, basic

Person = Callable[[], tuple[str, str]]

CARRIERS = ["authorization", "x-devpi-auth", "cookie"]


def carried(place: str, user: str, secret: str) -> dict[str, str]:
    """Header fields with a credential in one of devpi's three carriers."""
    if place == "authorization":
        return {"Authorization": basic(user, secret)}
    if place == "x-devpi-auth":
        return {"X-Devpi-Auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}
    return {"Cookie": "auth_tkt=" + quote(f"{user}:{secret}")}


def patch(client: Client, user: str, **fields: str) -> Answer:
    """Change the title of an account: harmless, but guarded."""
    return client.call("PATCH", f"/{user}", send={"title": "changed"}, fields=fields)


def title(index: servers.Index, user: str) -> str:
    told = Client(index.port).get(f"/{user}", fields={"Accept": "application/json"})
    return str(told.json["result"].get("title", ""))


def another_second() -> None:
    """Wait for the next second: tokens that devpi makes for somebody in one second are equal."""
    time.sleep(1.01 - time.time() % 1)


def token_at_upstream(index: servers.Index, user: str, password: str) -> str:
    """A token got past the gateway, in a second of its own (see `another_second`)."""
    another_second()
    told = Client(index.port).post(
        "/+login",
        send={"user": user, "password": password},
        fields={"Accept": "application/json"},
    )
    another_second()
    return str(told.json["result"]["password"])


@pytest.mark.parametrize(
    "places",
    [[p] for p in CARRIERS] + [["authorization", "x-devpi-auth"], CARRIERS],
    ids="+".join,
)
def test_a_raw_password_is_no_evidence(
    devpi: Served, person: Person, devpi_server: servers.Index, places: list[str]
) -> None:
    user, password = person()
    fields: dict[str, str] = {}
    for place in places:
        fields |= carried(place, user, password)
    fields |= devpi.ours()
    told = patch(devpi.client(), user, **fields)
    assert (told.status, told.slug) == (401, "second_factor_required")
    assert title(devpi_server, user) == ""


@pytest.mark.parametrize("place", CARRIERS)
def test_a_token_made_at_the_upstream_is_no_evidence(
    devpi: Served, person: Person, devpi_server: servers.Index, place: str
) -> None:
    user, password = person()
    token = token_at_upstream(devpi_server, user, password)
    told = patch(devpi.client(), user, **carried(place, user, token), **devpi.ours())
    assert (told.status, told.slug) == (401, "second_factor_required")
    assert title(devpi_server, user) == ""


@pytest.mark.parametrize("place", CARRIERS)
def test_a_token_earned_here_is_evidence(
    devpi: Served, person: Person, devpi_server: servers.Index, place: str
) -> None:
    user, password = person()
    token = devpi.login(user, password)
    told = patch(devpi.client(), user, **carried(place, user, token), **devpi.ours())
    if place == "cookie":  # which a script in an uploaded page would send as well
        assert (told.status, told.slug) == (401, "session_not_enough")
        assert "the cookie auth_tkt" in told.json["message"]
        assert "PASSWORD,123456" in told.json["message"]
        assert title(devpi_server, user) == ""
        return
    assert told.status == 200, told.body
    assert title(devpi_server, user) == "changed"


def test_a_verified_token_does_not_carry_a_raw_password_along(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    token = devpi.login(user, password)
    fields = carried("x-devpi-auth", user, token) | carried("authorization", user, password)
    told = patch(devpi.client(), user, **fields)
    assert (told.status, told.slug) == (401, "mixed_credentials")
    said = told.json["message"]
    assert "~/.netrc" in said and "the address" in said and "X-Devpi-Auth" in said
    assert "logging in again does not help" in said
    assert title(devpi_server, user) == ""
    del fields["Authorization"]
    assert patch(devpi.client(), user, **fields).status == 200


def test_two_people_in_one_request(devpi: Served, person: Person) -> None:
    (alice, one), (bob, two) = person(), person()
    fields = carried("x-devpi-auth", alice, devpi.login(alice, one))
    fields |= carried("authorization", bob, devpi.login(bob, two))
    told = patch(devpi.client(), alice, **fields)
    assert (told.status, told.slug) == (401, "mixed_credentials")


def test_a_session_of_one_with_the_token_of_another(devpi: Served, person: Person) -> None:
    (alice, one), (bob, two) = person(), person()
    browser = devpi.browse_in(alice, one)
    fields = carried("x-devpi-auth", bob, devpi.login(bob, two)) | devpi.ours()
    told = patch(browser, bob, **fields)
    assert (told.status, told.slug) == (401, "mixed_credentials")


def test_bearer_tokens_of_devpi_tokens_are_no_evidence(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    """devpi-tokens reads `Authorization: Bearer`: a carrier, and never verified."""
    user, password = person()
    earned = devpi.login(user, password)
    made = devpi.client().post(
        f"/{user}/+token-create",
        send={"allowed": ["del_project"]},
        fields=carried("x-devpi-auth", user, earned),
    )
    assert made.status == 200, made.body
    token = made.json["result"]["token"]
    # At devpi itself it does authenticate.
    told = Client(devpi_server.port).call(
        "DELETE", f"/{user}/dev/nothing", fields={"Authorization": f"Bearer {token}"}
    )
    assert told.status == 404, told
    for fields in (
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"bearer {token}"},
        carried("authorization", user, token),
        carried("x-devpi-auth", "", token),
        carried("authorization", token, ""),
    ):
        told = devpi.client().call("DELETE", f"/{user}/dev/nothing", fields=fields)
        assert (told.status, told.slug) == (401, "second_factor_required"), fields


@pytest.mark.parametrize("place", CARRIERS)
def test_a_code_behind_the_password(
    devpi: Served, person: Person, devpi_server: servers.Index, place: str
) -> None:
    user, password = person()
    fields = carried(place, user, f"{password},{devpi.code(user)}") | devpi.ours()
    told = patch(devpi.client(), user, **fields)
    if place == "cookie":
        assert (told.status, told.slug) == (401, "session_not_enough")
        return
    assert told.status == 200, told.body
    assert title(devpi_server, user) == "changed"


@pytest.mark.parametrize("place", CARRIERS)
def test_a_code_in_a_header(devpi: Served, person: Person, place: str) -> None:
    user, password = person()
    fields = carried(place, user, password) | devpi.ours() | {"X-OTP": devpi.code(user)}
    told = patch(devpi.client(), user, **fields)
    assert told.slug == ("session_not_enough" if place == "cookie" else ""), told.body


CODES = ["{0} {1}", "{0}-{1}", " {0}{1} ", "wide"]


@pytest.mark.parametrize("written", CODES)
def test_a_code_is_read_as_people_write_it_wherever_it_comes(
    devpi: Served, person: Person, written: str
) -> None:
    user, password = person()

    def code() -> str:
        digits = devpi.code(user)
        if written == "wide":
            return "".join(chr(ord(digit) + 0xFEE0) for digit in digits)
        return written.format(digits[:3], digits[3:])

    told = devpi.client().post("/+login", send={"user": user, "password": f"{password},{code()}"})
    assert told.status == 200, told.body
    behind = carried("x-devpi-auth", user, f"{password},{code()}")
    assert patch(devpi.client(), user, **behind).status == 200
    header = {"X-OTP": code().encode().decode("latin-1")}
    header |= carried("x-devpi-auth", user, password)
    assert patch(devpi.client(), user, **header).status == 200


def test_a_code_is_judged_only_after_the_password(devpi: Served, person: Person) -> None:
    user, _ = person()
    for code in (devpi.code(user), devpi.wrong(user)):
        told = patch(devpi.client(), user, **carried("authorization", user, f"wrong,{code}"))
        assert (told.status, told.slug) == (401, "password_invalid")


def test_a_wrong_and_a_used_code(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    fields = carried("authorization", user, password)
    told = patch(devpi.client(), user, **fields, **{"X-OTP": devpi.wrong(user)})
    assert (told.status, told.slug) == (401, "otp_invalid")
    assert title(devpi_server, user) == ""
    code = devpi.code(user)
    assert patch(devpi.client(), user, **fields, **{"X-OTP": code}).status == 200
    told = patch(devpi.client(), user, **fields, **{"X-OTP": code})
    assert (told.status, told.slug) == (401, "otp_invalid")


def test_a_foreign_token_with_a_code_is_no_password(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    token = token_at_upstream(devpi_server, user, password)
    fields = carried("authorization", user, token) | {"X-OTP": devpi.code(user)}
    told = patch(devpi.client(), user, **fields)
    assert (told.status, told.slug) == (401, "password_invalid")


def test_deletion_asks_for_a_fresh_second_factor(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    fields = carried("x-devpi-auth", user, devpi.login(user, password))
    devpi.offset += 16 * 60
    told = devpi.client().call("DELETE", f"/{user}/dev", fields=fields)
    assert (told.status, told.slug) == (401, "second_factor_stale")
    assert patch(devpi.client(), user, **fields).status == 200
    renewed = {**fields, "X-OTP": devpi.code(user)}
    told = devpi.client().call("DELETE", f"/{user}/dev", fields=renewed)
    assert told.status in (200, 201), told.body


@pytest.mark.parametrize(
    "second",
    [("Authorization", basic("x", "y")), ("X-Devpi-Auth", "eDp5"), ("Host", "other")],
    ids=lambda pair: pair[0],
)
def test_a_repeated_header_is_refused(
    devpi: Served, person: Person, second: tuple[str, str]
) -> None:
    from tests.support.http import raw

    user, _ = person()
    name, value = second
    head = f"PATCH /{user} HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\n{name}: {value}\r\n"
    said = raw(devpi.port, f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
    assert said.startswith(b"HTTP/1.1 400 "), said


def test_a_cookie_of_devpi_twice_is_refused(devpi: Served, person: Person) -> None:
    user, password = person()
    token = quote(f"{user}:{devpi.login(user, password)}")
    fields = {"Cookie": f"auth_tkt={token}; auth_tkt={token}", **devpi.ours()}
    told = patch(devpi.client(), user, **fields)
    assert (told.status, told.slug) == (401, "mixed_credentials")


def test_a_cookie_counts_only_from_our_own_pages(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    fields = carried("cookie", user, devpi.login(user, password))
    for foreign in (
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": devpi.url, "Sec-Fetch-Site": "cross-site"},
    ):
        told = patch(devpi.client(), user, **fields, **foreign)
        expected = (403, "cross_site") if foreign else (401, "session_not_enough")
        assert (told.status, told.slug) == expected, foreign
    assert title(devpi_server, user) == ""


def test_a_session_changes_nothing_unless_a_rule_says_so(
    devpi: Served, serve: Callable[..., Served], person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    browser = devpi.browse_in(user, password)
    told = patch(browser, user, Origin="https://evil.example")
    assert (told.status, told.slug) == (403, "cross_site")
    told = patch(browser, user, **devpi.ours())
    assert (told.status, told.slug) == (401, "session_not_enough")
    assert title(devpi_server, user) == ""
    assert browser.browse("GET", f"/{user}/+tokens").status == 200, "it still reads"

    rules = [
        {
            "name": "account",
            "match": {"methods": ["PATCH"], "path": "/{user}"},
            "policy": "second_factor",
            "session": True,
        }
    ]
    opened = serve("devpi", devpi_server.url, rules=rules, tests=None)
    opened.enrol(user)
    browser = opened.browse_in(user, password)
    told = patch(browser, user, Origin="https://evil.example")
    assert (told.status, told.slug) == (403, "cross_site")
    assert patch(browser, user, **opened.ours()).status == 200
    assert title(devpi_server, user) == "changed"


def test_identity_headers_from_outside_name_nobody(devpi: Served, person: Person) -> None:
    user, _ = person()
    fields = {
        "Remote-User": user,
        "X-Remote-User": user,
        "X_Devpi_Auth": base64.b64encode(f"{user}:x".encode()).decode(),
        "X-Forwarded-User": user,
    }
    told = patch(devpi.client(), user, **fields)
    assert (told.status, told.slug) == (401, "second_factor_required")


def test_the_refusal_says_what_to_do_and_never_leads_away(devpi: Served, person: Person) -> None:
    """devpi-client prints `message`; a 401 with Location makes it forget its login."""
    user, password = person()
    told = patch(devpi.client(), user, **carried("x-devpi-auth", user, password))
    assert told.first("content-type") == "application/json"
    assert told.first("www-authenticate") == "OTP"
    assert told.first("x-devpi-api-version") == "2"
    assert told.first("location") == ""
    assert devpi.url in json.loads(told.body)["message"]
