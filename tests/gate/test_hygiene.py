"""What reaches the upstream on each of the ways a request can take: one hygiene for all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gate.recorder import Recorder, Seen
from tests.gate.served import Served, hidden
from tests.gate.yaml_config import by_session
from tests.support.http import basic

Serve = Callable[..., Served]

TOKEN = "the-token"
HOSTILE = {
    "Forwarded": "for=1.2.3.4",
    "X-Forwarded-For": "1.2.3.4",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "1.2.3.4",
    "X-Original-URL": "/evil",
    "X-Rewrite-URL": "/evil",
    "X-Outside-URL": "http://evil.example",
    "X-HTTP-Method-Override": "DELETE",
    "Remote-User": "root",
    "X-Remote-User": "root",
    "X-WebAuth-User": "root",
    "X-Auth-Request-User": "root",
    "X-Authenticated-User": "root",
    "SSL-Client-Verify": "SUCCESS",
    "X-Script-Name": "/evil",
    "X-Scheme": "gopher",
    "Proxy": "http://evil.example",
    "X_Devpi_Auth": "eDp5",
    "Proxy-Authorization": "Basic eDp5",
    "TE": "trailers",
    "Upgrade": "h2c",
    "X-Named": "by Connection",
    "Connection": "close, X-Named, X-Outside-URL",
}
COOKIES = "first=1; ig-session=s; ig-device=d; second=2; __Host-ig-pending=p"


def as_devpi(seen: Seen) -> bytes:
    """Takes the password `right`, and says that passwords change."""
    answer: dict[str, object] = {"type": "userpassword", "result": {"password": "x"}}
    status = b"200 OK"
    if seen.line.startswith(b"POST /+login"):
        told = json.loads(seen.body)
        answer = {"type": "proxyauth", "result": {"password": TOKEN, "expiration": 36000}}
        if told["password"] != "right":
            status, answer = b"401 No", {"message": "no"}
    body = json.dumps(answer).encode()
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


@pytest.fixture
def upstream() -> Iterator[Recorder]:
    with Recorder(as_devpi) as recorder:
        yield recorder


@pytest.fixture
def served(serve: Serve, upstream: Recorder) -> Served:
    gateway = serve("devpi", upstream.url)
    gateway.enrol("alice")
    return gateway


def by_pass(served: Served) -> tuple[str, str, dict[str, str]]:
    return "GET", "/alice/dev/+f/x", {}


def by_code(served: Served) -> tuple[str, str, dict[str, str]]:
    """Judged with a code and forwarded by the forwarder."""
    secret = f"right,{served.code('alice')}"
    return "PATCH", "/alice/dev", {"Authorization": basic("alice", secret)}


def by_watch(served: Served) -> tuple[str, str, dict[str, str]]:
    """Judged, handed over, and sent by a call of the gateway's own."""
    secret = f"right,{served.code('alice')}"
    return "PATCH", "/alice", {"Authorization": basic("alice", secret)}


def by_login(served: Served) -> tuple[str, str, dict[str, str]]:
    return "POST", "/+login", {"X-OTP": served.code("alice")}


WAYS = [by_pass, by_code, by_watch, by_login]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_hostile_passes(
    served: Served, upstream: Recorder, way: Callable[[Served], tuple[str, str, dict[str, str]]]
) -> None:
    method, target, own = way(served)
    fields = {**HOSTILE, "Cookie": COOKIES, "X-Kept": "kept", "User-Agent": "test", **own}
    fields.pop("Upgrade")
    body = json.dumps({"user": "alice", "password": "right"}).encode() if method != "GET" else b""
    told = served.client().call(method, target, fields=fields, body=body)
    assert told.status == 200, told.body
    seen = upstream.seen[-1]
    assert seen.line.startswith(f"{method} {target} ".encode())
    for name in HOSTILE:
        if name == "Connection":
            assert set(seen.all(name)) <= {"keep-alive", "close"}
        elif name == "X-Outside-URL":
            assert seen.all(name) == [served.url]
        else:
            assert seen.all(name) == [], name
    assert seen.all("x-otp") == []
    assert seen.all("cookie") == ["first=1; second=2"]
    assert seen.all("x-kept") == ["kept"]
    assert seen.all("user-agent") == ["test"]
    assert len(seen.all("host")) == 1


@pytest.mark.parametrize("way", [by_code, by_watch], ids=lambda way: way.__name__)
def test_the_code_is_taken_out(
    served: Served, upstream: Recorder, way: Callable[[Served], tuple[str, str, dict[str, str]]]
) -> None:
    method, target, own = way(served)
    told = served.client().call(method, target, fields=own, body=b'{"title": "x"}')
    assert told.status == 200
    assert upstream.seen[-1].all("authorization") == [basic("alice", "right")]
    assert upstream.seen[-1].body == b'{"title": "x"}'


@pytest.mark.parametrize(
    ("target", "rule"), [("/alice/dev", "index settings"), ("/alice", "account")]
)
def test_a_cookie_with_its_code_taken_out_carries_none_of_ours(
    serve: Serve, upstream: Recorder, target: str, rule: str
) -> None:
    served = serve("devpi", upstream.url, rules=by_session("devpi", rule))
    served.enrol("alice")
    cookie = f"ig-device=secret; auth_tkt=alice%3Aright%2C{served.code('alice')}; other=1"
    fields = {"Cookie": cookie, **served.ours()}
    told = served.client().call("PATCH", target, fields=fields, body=b"{}")
    assert told.status == 200, told.body
    assert upstream.seen[-1].all("cookie") == ["auth_tkt=alice%3Aright; other=1"]


@pytest.mark.parametrize(
    "target", ["/alice/dev/+f/a%20b", "/alice/dev/+f/%C3%A4?x=%2e%2e&y=//", "/alice/"]
)
def test_the_target_is_forwarded_untouched(served: Served, upstream: Recorder, target: str) -> None:
    method = "GET"
    fields: dict[str, str] = {}
    if target == "/alice/":
        method, _, fields = by_watch(served)
    assert served.client().call(method, target, fields=fields).status == 200
    assert upstream.seen[-1].line == f"{method} {target} HTTP/1.1".encode()


def test_the_order_is_password_code_act(served: Served, upstream: Recorder) -> None:
    upstream.seen.clear()
    for secret, slug in (
        (f"wrong,{served.current('alice')}", "password_invalid"),
        (f"right,{served.wrong('alice')}", "otp_invalid"),
    ):
        fields = {"Authorization": basic("alice", secret)}
        told = served.client().call("PATCH", "/alice/dev", fields=fields, body=b"{}")
        assert told.slug == slug
    assert {seen.line for seen in upstream.seen} == {b"POST /+login HTTP/1.1"}


def test_a_login_says_nothing_but_what_was_read(served: Served, upstream: Recorder) -> None:
    """Written anew, so that the upstream can read no second meaning into it."""
    body = b'{"password" :"right", "user":"\\u0061lice", "new": [1, {"user": "root"}]}'
    fields = {
        "X-OTP": served.code("alice"),
        "Authorization": basic("root", "x"),
        "X-Devpi-Auth": "eDp5",
        "Cookie": "auth_tkt=root%3Ax; other=1",
        "Content-Type": "application/json; charset=utf-7",
        "Accept": "text/html",
    }
    assert served.client().post("/+login", body=body, fields=fields).status == 200
    seen = upstream.seen[-1]
    assert json.loads(seen.body) == {"user": "alice", "password": "right"}
    assert seen.all("content-type") == ["application/json"]
    assert seen.all("accept") == ["application/json"]
    assert seen.all("authorization") == seen.all("x-devpi-auth") == []
    assert seen.all("cookie") == ["other=1"]


def test_the_session_lends_its_credential_and_hides_itself(
    served: Served, upstream: Recorder
) -> None:
    browser = served.browse_in("alice", "right")
    browser.cookies["other"] = "1"
    assert browser.browse("GET", "/alice/dev").status == 200
    seen = upstream.seen[-1]
    assert seen.all("cookie") == ["other=1"]
    assert len(seen.all("x-devpi-auth")) == 1
    # With a credential of its own the request keeps just that one.
    own = {"Authorization": basic("bob", "x")}
    assert browser.browse("GET", "/alice/dev", fields=own).status == 200
    # What the gateway itself asks of that credential may have come behind it.
    seen = next(one for one in reversed(upstream.seen) if b" /alice/dev " in one.line)
    assert seen.all("authorization") == [own["Authorization"]]
    assert seen.all("x-devpi-auth") == []
    # A page elsewhere that makes the browser send something gets no credential lent.
    cross = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert browser.call("POST", "/alice/dev/+f/x", fields=cross, body=b"x").status == 200
    assert upstream.seen[-1].all("x-devpi-auth") == []


SIBLINGS = (
    "ig-session2=a; IG-session=b; ig-foo=c; __host-ig-session=d; big-session=e; ig-session-=f"
)


def test_cookies_of_a_sibling_domain_break_nothing(served: Served, upstream: Recorder) -> None:
    """A neighbour may set cookies of any name for the parent domain, and more than one of ours."""
    browser = served.browse_in("alice", "right")
    session = browser.cookies["ig-session"]
    own = f"ig-session={session}"
    planted = "ig-session=x.y.z; ig-session=alice"
    for cookie in (
        f"{planted}; {own}",
        f"{own}; {planted}",
        f"{SIBLINGS}; {own}",
        SIBLINGS,
        planted,
    ):
        for path in ("/alice/dev", "/alice/dev/+f/x", "/+api"):
            told = served.client().get(path, fields={"Cookie": cookie})
            assert told.status == 200, (cookie, told.body)
            seen = upstream.seen[-1].all("cookie")
            assert seen == ([SIBLINGS] if SIBLINGS in cookie else [])
            lent = own in cookie and path == "/alice/dev"
            assert not lent or len(upstream.seen[-1].all("x-devpi-auth")) == 1
        page = served.client().browse("GET", "/+auth/", fields={"Cookie": cookie})
        assert page.status == (200 if own in cookie else 303), cookie


def test_two_sessions_of_ours_choose_nobody(served: Served, upstream: Recorder) -> None:
    """Somebody's own session, planted beside another's."""
    served.enrol("bob")
    alice, bob = (
        served.browse_in(name, "right").cookies["ig-session"] for name in ("alice", "bob")
    )
    cookie = f"ig-session={bob}; ig-session={alice}"
    assert served.client().get("/alice/dev", fields={"Cookie": cookie}).status == 200
    assert upstream.seen[-1].all("x-devpi-auth") == []
    page = served.client().browse("GET", "/+auth/", fields={"Cookie": cookie})
    assert page.status == 303
    told = served.client().call("PATCH", "/alice/dev", fields={"Cookie": cookie}, body=b"{}")
    assert told.slug == "second_factor_required"


def test_a_login_passes_beside_planted_cookies(served: Served) -> None:
    client = served.client()
    planted = {
        name: f"{name}=planted.by.neighbour" for name in ("ig-form", "ig-pending", "ig-session")
    }

    def fields() -> dict[str, str]:
        ours = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        return {"Cookie": "; ".join([*planted, ours]), **served.ours()}

    page = client.browse("GET", "/+auth/login", fields=fields())
    form = {**hidden(page), "user": "alice", "password": "right"}
    told = client.browse("POST", "/+auth/login", form=form, fields=fields())
    assert told.first("location") == "/+auth/verify", told.body
    page = client.browse("GET", "/+auth/verify", fields=fields())
    form = {**hidden(page), "kind": "totp", "code": served.code("alice")}
    told = client.browse("POST", "/+auth/verify", form=form, fields=fields())
    assert told.status == 303 and "ig-session" in client.cookies, told.body
    assert client.browse("GET", "/+auth/", fields=fields()).status == 200


@pytest.mark.parametrize("size", [65_537, 3_000_000])
def test_a_login_that_is_too_large(served: Served, upstream: Recorder, size: int) -> None:
    before = len(upstream.seen)
    told = served.client().post("/+login", body=b" " * size)
    assert (told.status, told.slug) == (413, "body_too_large")
    assert len(upstream.seen) == before


def test_a_compressed_login(served: Served) -> None:
    import gzip

    body = gzip.compress(b'{"user": "alice", "password": "right"}')
    told = served.client().post("/+login", body=body, fields={"Content-Encoding": "gzip"})
    assert (told.status, told.slug) == (400, "bad_request")


def test_head_gets_the_same_head_without_a_body(served: Served) -> None:
    told = served.client().call("HEAD", "/alice/+tokens")
    assert (told.status, told.body) == (401, b"")
    assert int(told.first("content-length") or 0) > 0


def test_an_upstream_on_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    with Recorder(as_devpi, unix=tmp_path / "u") as upstream:
        served = serve("devpi", upstream.url)
        served.enrol("alice")
        assert served.client().get("/alice/dev").status == 200
        for way in (by_code, by_watch, by_login):
            method, target, fields = way(served)
            body = b'{"user": "alice", "password": "right"}'
            assert served.client().call(method, target, fields=fields, body=body).status == 200
        assert {len(seen.all("host")) for seen in upstream.seen} == {1}


def test_a_login_answered_in_unknown_words(served: Served, upstream: Recorder) -> None:
    """What may be a credential is not handed out unread."""
    upstream.answer = lambda _: b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"token": "xyz"}\n'
    told = served.client().post("/+login", send={"user": "alice", "password": "right"})
    assert (told.status, told.slug) == (502, "upstream_broken")


def test_a_login_in_the_body_of_a_get(serve: Serve, upstream: Recorder) -> None:
    """devpi reads the form of a GET, too; a rule for every method is still a login."""
    rules = [{"name": "login", "match": {"path": "/+login"}, "policy": "login"}]
    served = serve("devpi", upstream.url, rules=rules, tests=None)
    assert served.client().get("/+login").status == 200
    body = b'{"user": "alice", "password": "right"}'
    told = served.client().call("GET", "/+login", body=body)
    assert (told.status, told.slug) == (403, "not_enrolled")
