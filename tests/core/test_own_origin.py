"""Changes are taken only from pages of our own origin."""

from __future__ import annotations

import pytest

from gateway.core.errors import Refusal
from gateway.core.facts import Facts
from gateway.core.own_origin import check_own_origin, origin_of

PUBLIC = "https://packages.example.org"
OWN = ("origin", PUBLIC)


def asked(*fields: tuple[str, str], method: str = "POST") -> Facts:
    return Facts(method, "/+auth/login", "/+auth/login", "", fields, None)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://packages.example.org", "https://packages.example.org"),
        ("https://packages.example.org:443/", "https://packages.example.org"),
        ("http://localhost:8080/x", "http://localhost:8080"),
        ("http://EXAMPLE.org:80", "http://example.org"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([OWN, ("sec-fetch-site", "same-origin")], id="browser"),
        pytest.param([OWN, ("sec-fetch-site", "none")], id="reload"),
        pytest.param([OWN], id="old browser"),
        pytest.param([("sec-fetch-site", "same-origin")], id="no origin"),
    ],
)
def test_a_change_from_here_is_taken(fields: list[tuple[str, str]]) -> None:
    check_own_origin(asked(*fields), PUBLIC)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="neither"),
        pytest.param([("origin", "null"), ("sec-fetch-site", "cross-site")], id="sandbox"),
        pytest.param([("origin", "null"), ("sec-fetch-site", "same-origin")], id="null"),
        pytest.param([("origin", "null")], id="null alone"),
        pytest.param([("origin", "https://evil.example")], id="foreign"),
        pytest.param([("origin", "http://packages.example.org")], id="scheme"),
        pytest.param([("origin", PUBLIC + ":8443")], id="port"),
        pytest.param([("origin", PUBLIC + ".evil.example")], id="suffix"),
        pytest.param([OWN, ("sec-fetch-site", "same-site")], id="sibling host"),
        pytest.param([OWN, ("sec-fetch-site", "cross-site")], id="cross-site"),
        pytest.param([OWN, ("sec-fetch-site", "Same-Origin")], id="odd case"),
        pytest.param([("sec-fetch-site", "none")], id="none without origin"),
        pytest.param([("sec-fetch-site", "")], id="empty site"),
        pytest.param([("origin", ""), ("sec-fetch-site", "same-origin")], id="empty origin"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "get"])
def test_a_change_from_elsewhere_is_refused(fields: list[tuple[str, str]], method: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_own_origin(asked(*fields, method=method), PUBLIC)
    assert caught.value.slug == "cross_site"
    assert PUBLIC in caught.value.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_may_come_from_anywhere(method: str) -> None:
    check_own_origin(asked(("origin", "https://evil.example"), method=method), PUBLIC)
