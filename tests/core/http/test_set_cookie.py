"""What a Set-Cookie of the upstream hands out, however it is spelled."""

from __future__ import annotations

import pytest

from gateway.core.http.cookies import clearing, read_set_cookie, with_same_site


@pytest.mark.parametrize(
    "header",
    [
        "sid=v",
        " sid = v ",
        "\tsid\t=\tv",
        "sid=v; Path=/; HttpOnly",
        "=sid=v",
        "==sid=v",
        " = sid=v; Secure",
        "sid=v; Max-Age=-1",
        "sid=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    ],
    ids=["plain", "blanks", "tabs", "attributes", "nameless", "nameless twice",
         "nameless with blanks", "past", "epoch"],
)  # fmt: skip
def test_a_cookie_that_a_server_would_read_as_its_session_is_one(header: str) -> None:
    cookie = read_set_cookie(header)
    assert (cookie.name, cookie.value, cookie.ends) == ("sid", "v", False)


@pytest.mark.parametrize("header", ["", ";", "=", "==", "sid", "=sid", "; sid=v"])
def test_a_cookie_without_name_or_value_hands_out_nothing(header: str) -> None:
    assert read_set_cookie(header).ends


@pytest.mark.parametrize(
    "header",
    ["sid=", 'sid=""', "sid=deleted; Max-Age=0", "sid=x; sid=v; Max-Age=0"],
)
def test_whether_a_cookie_ends_a_session(header: str) -> None:
    assert read_set_cookie(header).ends is ("x" not in header.split(";")[0])


@pytest.mark.parametrize(
    "header",
    [
        "sid=v; SameSite=Strict",
        "sid=v; samesite=LAX",
        "sid=v;SAMESITE = None ; Secure",
        "sid=v; SameSite=bogus; SameSite=Lax",
    ],
)
def test_a_cookie_that_says_its_same_site_stays_as_it_is(header: str) -> None:
    assert with_same_site(header) == header


@pytest.mark.parametrize(
    "header",
    [
        "sid=v",
        "sid=v; Path=/; HttpOnly",
        "sid=v;",
        "SameSite=Lax",
        "sid=SameSite=None",
        "sid=v; SameSite",
        "sid=v; SameSite=",
        "sid=v; SameSite=bogus",
        "sid=v; SameSite=None; SameSite=bogus",
        "",
    ],
)
def test_a_cookie_that_says_nothing_of_it_gets_lax(header: str) -> None:
    """The last of several attributes counts (RFC 6265bis section 5.7)."""
    assert with_same_site(header) == f"{header}; SameSite=Lax"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("sid=v", ["SameSite=Lax"]),
        ("sid=v; Max-Age=60; Path=/x; Expires=Fri, 01 Jan 2038 00:00:00 GMT; HttpOnly",
         ["Path=/x", "HttpOnly", "SameSite=Lax"]),
        (" sid = v ;domain=.example.org;SECURE; samesite=None; Partitioned; Priority=High",
         ["domain=.example.org", "SECURE", "samesite=None", "Partitioned"]),
    ],
    ids=["bare", "times", "all"],
)  # fmt: skip
def test_what_takes_a_cookie_away_has_its_attributes(header: str, kept: list[str]) -> None:
    told = clearing(header).split("; ")
    assert told[:-2] == ["sid=", *kept]
    assert told[-2:] == ["Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    assert read_set_cookie(clearing(header)).ends
