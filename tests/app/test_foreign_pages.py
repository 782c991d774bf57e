"""What a browser adds to a change by itself, on routes that let changes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.app.recorder import Recorder, Seen
from tests.app.served import Served
from tests.support.http import basic

Serve = Callable[..., Served]

RULES = [
    {"name": "open", "match": {"path": "/open/**"}, "policy": "pass", "session": True},
    {"name": "uploads", "match": {"methods": ["POST", "GET"], "path": "/**"}, "policy": "pass"},
]
COOKIES = "theme=dark; auth_tkt=alice%3Atoken; other=1"
NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def upstream() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def served(serve: Serve, upstream: Recorder) -> Served:
    return serve("devpi", upstream.url, rules=RULES, tests=None)


# Who asks, whether the rule says `session: true`, and whether the index's cookie goes on.
CASES = {
    "a program": ("POST", "/up", {}, True),
    "a page that reads": ("GET", "/up", {"Sec-Fetch-Site": "cross-site", **NAVIGATES}, True),
    "a foreign form": ("POST", "/up", {"Sec-Fetch-Site": "cross-site", **NAVIGATES}, False),
    "a foreign form, an old browser": ("POST", "/up", {"Origin": "https://evil.example"}, False),
    "a sandboxed page": ("POST", "/up", {"Origin": "null"}, False),
    "a sibling": ("POST", "/up", {"Sec-Fetch-Site": "same-site"}, False),
    "a foreign form, sessions count": (
        "POST",
        "/open/up",
        {"Origin": "https://evil.example"},
        False,
    ),
    "a page of the index": ("POST", "/up", {"Origin": "{url}"}, False),
    "a page of the index, sessions count": ("POST", "/open/up", {"Origin": "{url}"}, True),
}


def last(upstream: Recorder) -> Seen:
    """The last request that was forwarded; the gateway asks for credentials on its own account."""
    return next(seen for seen in reversed(upstream.seen) if b"/up" in seen.line)


@pytest.mark.parametrize("case", CASES)
def test_whose_cookies_go_on(served: Served, upstream: Recorder, case: str) -> None:
    method, path, fields, kept = CASES[case]
    sent = {name: value.format(url=served.url) for name, value in fields.items()}
    for cookie in (COOKIES, f"ig-session=x; {COOKIES}", COOKIES.replace("alice", '"alice')):
        told = served.client().call(method, path, fields={"Cookie": cookie, **sent}, body=b"")
        assert told.status == 200, told.body
        got = "; ".join(last(upstream).all("cookie"))
        assert ("auth_tkt" in got) is kept, got
        assert "theme=dark" in got and "other=1" in got
        assert "ig-session" not in got


def test_what_is_left_of_nothing_is_no_field(served: Served, upstream: Recorder) -> None:
    fields = {"Cookie": "auth_tkt=x", "Origin": "https://evil.example"}
    assert served.client().call("POST", "/up", fields=fields, body=b"").status == 200
    assert last(upstream).all("cookie") == []


@pytest.mark.parametrize("mode", ["navigate", "no-cors"])
def test_a_name_and_password_that_the_browser_remembers_stay_behind(
    served: Served, upstream: Recorder, mode: str
) -> None:
    fields = {"Authorization": basic("alice", "right"), "Sec-Fetch-Site": "cross-site"}
    foreign = {**fields, "Sec-Fetch-Mode": mode, "Origin": "https://evil.example"}
    assert served.client().call("POST", "/up", fields=foreign, body=b"").status == 200
    assert last(upstream).all("authorization") == []
    allowed = {**foreign, "Sec-Fetch-Mode": "cors"}
    assert served.client().call("POST", "/up", fields=allowed, body=b"").status == 200
    assert last(upstream).all("authorization"), "which the index allowed by CORS itself"
    program = {"Authorization": basic("alice", "right")}
    assert served.client().call("POST", "/up", fields=program, body=b"").status == 200
    assert last(upstream).all("authorization")
