"""Changes are taken only from pages of our own origin."""

from __future__ import annotations

import pytest

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts
from gateway.core.http.origin import check_opened, check_own_origin, origin_of

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


# -- what a person opens ---------------------------------------------------------------------------

OPENED = {
    "an address opened": ({"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, True),
    "a browser that says nothing": ({}, True),
    "a link in a mail": (
        {
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
            "sec-fetch-site": "cross-site",
        },
        True,
    ),
    "fetch": ({"sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, False),
    "fetch, same origin": ({"sec-fetch-mode": "same-origin", "sec-fetch-dest": "empty"}, False),
    "an image": ({"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, False),
    "a script": ({"sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, False),
    "a module": ({"sec-fetch-mode": "cors", "sec-fetch-dest": "script"}, False),
    "a websocket": ({"sec-fetch-mode": "websocket", "sec-fetch-dest": "websocket"}, False),
    "an unknown mode": ({"sec-fetch-mode": "x", "sec-fetch-dest": "document"}, False),
    "only a destination": ({"sec-fetch-dest": "document"}, False),
    **{
        f"a navigation into {place}": (
            {"sec-fetch-mode": "navigate", "sec-fetch-dest": place},
            False,
        )
        for place in ("iframe", "frame", "embed", "object", "fencedframe", "empty", "worker")
    },
    **{
        f"a prefetch ({name})": (
            {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", name: purpose},
            False,
        )
        for name, purpose in (
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "Prefetch"),
        )
    },
}
BY_OUR_SCRIPT = {"fetch", "fetch, same origin"}


@pytest.mark.parametrize("by_script", [False, True])
@pytest.mark.parametrize("case", OPENED)
def test_only_what_a_person_opens_is_answered(case: str, by_script: bool) -> None:
    fields, opened = OPENED[case]
    facts = Facts("GET", "/+auth/", "/+auth/", "", tuple(fields.items()), None)
    if opened or (by_script and case in BY_OUR_SCRIPT):
        check_opened(facts, "https://index.example.org", by_script=by_script)
    else:
        with pytest.raises(Refusal, match="page_only") as refused:
            check_opened(facts, "https://index.example.org", by_script=by_script)
        assert "https://index.example.org/+auth/" in refused.value.text
