"""What a browser adds to a change by itself, on routes that let changes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.gate.recorder import Recorder, Seen
from tests.gate.served import Served
from tests.support.http import basic

Serve = Callable[..., Served]

RULES = [
    {"name": "open", "match": {"path": "/open/**"}, "policy": "pass", "session": True},
    {
        "name": "with any password",
        "match": {"path": "/closed/**"},
        "policy": "authenticated",
        "session": True,
    },
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


EVIL = {"Origin": "https://evil.example"}
NULL = {"Origin": "null"}
REMEMBERED = {
    "a foreign form": {**EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    "a foreign picture": {**EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "a foreign form, plain http": EVIL,
    "a sandboxed form": {**NULL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    "a sandboxed form, plain http": NULL,
    "a form of the index": {
        "Origin": "{url}",
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "navigate",
    },
}
"""Who has a browser send what it remembers of a name and password."""

GIVEN = {
    "a program": {},
    "a foreign script, which the index allowed by CORS itself": {
        **EVIL,
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "cors",
    },
}


def asked_by(served: Served, fields: dict[str, str], password: str) -> dict[str, str]:
    who = {"Authorization": basic("alice", password)}
    return who | {name: value.format(url=served.url) for name, value in fields.items()}


@pytest.mark.parametrize("who", REMEMBERED)
def test_a_name_and_password_that_the_browser_remembers_stay_behind(
    served: Served, upstream: Recorder, who: str
) -> None:
    fields = asked_by(served, REMEMBERED[who], "right")
    assert served.client().call("POST", "/up", fields=fields, body=b"").status == 200
    assert last(upstream).all("authorization") == []
    if "foreign" in who or "sandboxed" in who:
        told = served.client().call("POST", "/closed/up", fields=fields, body=b"")
        assert told.status == 403, "nor are they a credential where one is needed"


@pytest.mark.parametrize("who", GIVEN)
def test_a_name_and_password_that_are_given_go_on(
    served: Served, upstream: Recorder, who: str
) -> None:
    fields = asked_by(served, GIVEN[who], "right")
    assert served.client().call("POST", "/up", fields=fields, body=b"").status == 200
    assert last(upstream).all("authorization")


def test_what_stays_behind_is_no_guess(serve: Serve) -> None:
    """A foreign page names whom it likes in an address; the index judges none of it."""
    no = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
    with Recorder(lambda _: no) as closed:
        served = serve("devpi", closed.url, rules=RULES, tests=None)
        for number in range(40):
            fields = asked_by(served, REMEMBERED["a foreign form"], f"wrong {number}")
            assert served.client().call("POST", "/up", fields=fields, body=b"").status == 401
        program = {"Authorization": basic("bob", "wrong, too")}
        told = served.client().call("POST", "/up", fields=program, body=b"")
        assert told.status == 401, "nobody waits for it"
