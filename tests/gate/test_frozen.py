"""The emergency stop before both kinds of index: what is stopped, what not, and ways around it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest

from gateway.core.audit.events import Origin
from gateway.core.freezes import Freezes, Frozen
from gateway.core.store import StoreUnavailable
from gateway.core.tokens.records import scope_of
from gateway.core.upstream import Credential
from tests.gate.conftest import Serve
from tests.gate.recorder import OK, Recorder, Seen
from tests.gate.served import Served, hidden
from tests.gate.test_tokens import coded
from tests.support import servers, uploads
from tests.support.http import Answer, Client, basic
from tests.support.pages import form

KIND = f"multipart/form-data; boundary={uploads._BOUNDARY}"
FORM = {":action": "file_upload", "name": "foo", "version": "1.0"}
SEARCH = b"<?xml version='1.0'?><methodCall><methodName>search</methodName></methodCall>"
PUSH = {"name": "foo", "version": "1.0", "targetindex": "alice/prod"}


def freezes(served: Served) -> Freezes:
    return served.running.parts.flow.services.freezes


@contextmanager
def frozen(served: Served, *keys: str, reason: str = "key leaked") -> Iterator[None]:
    for key in keys:
        what, _, name = key.partition(":")
        served.run(freezes(served).put(Frozen(what), name, lasts=3600, reason=reason))
    yield
    served.run(freezes(served).lift(None))


def upload(
    served: Served,
    target: str,
    fields: dict[str, str] | None = None,
    *,
    file: str = "foo-1.0.tar.gz",
    user: str = "alice",
    method: str = "POST",
    action: str = "file_upload",
    name: str = "foo",
) -> Answer:
    body = uploads.form({**FORM, ":action": action, "name": name}, (file, b"x"))
    own = {"Content-Type": KIND, "Authorization": basic(user, "p")} | (fields or {})
    own = {name: value for name, value in own.items() if value}
    return served.client().call(method, target, body=body, fields=own)


def urlencoded(served: Served, target: str, **changes: str) -> Answer:
    return served.client().post(target, form={**FORM, **changes}, auth=("alice", "p"))


def send(served: Served, method: str, target: str, **more: Any) -> Answer:
    more = {"auth": ("alice", "p")} | more
    return served.client().call(method, target, **more)


@pytest.fixture(scope="module")
def index() -> Iterator[Recorder]:
    def says(seen: Seen) -> bytes:
        return OK

    with Recorder(says) as recorder:
        yield recorder


OPEN = [
    {"name": "login", "match": {"methods": ["POST"], "path": "/+login"}, "policy": "login"},
    {"name": "all", "match": {"path": "/**"}, "policy": "pass"},
]
"""Rules that let everything through, so that nothing but the freeze stops it."""


@pytest.fixture
def devpi(serve: Serve, index: Recorder) -> Served:
    index.seen.clear()
    return serve("devpi", index.url, rules=OPEN, tests=[])


@pytest.fixture
def simple(serve: Serve, index: Recorder) -> Served:
    index.seen.clear()
    return serve("pypiserver", index.url, rules=OPEN, tests=[])


Way = Callable[[Served], Answer]

DEVPI_UPLOADS: dict[str, Way] = {
    "a form": lambda it: upload(it, "/alice/dev/"),
    "without a slash": lambda it: upload(it, "/alice/dev"),
    "escaped": lambda it: upload(it, "/%61lice/%64ev"),
    "with a query": lambda it: upload(it, "/alice/dev?x=/+simple/"),
    "PUSH": lambda it: upload(it, "/alice/dev", method="PUSH"),
    "metadata": lambda it: upload(it, "/alice/dev", action="submit"),
    "documentation": lambda it: upload(it, "/alice/dev", action="doc_upload"),
    "another action": lambda it: upload(it, "/alice/dev", action="whatever"),
    "urlencoded": lambda it: urlencoded(it, "/alice/dev"),
    "without a credential": lambda it: upload(it, "/alice/dev", {"Authorization": ""}),
    "X-Devpi-Auth": lambda it: upload(
        it, "/alice/dev", {"Authorization": "", "X-Devpi-Auth": coded("alice:p")}
    ),
    "a cookie": lambda it: upload(
        it, "/alice/dev", {"Authorization": "", "Cookie": f"auth_tkt={quote('alice:p')}"}
    ),
    "a push": lambda it: send(it, "POST", "/alice/dev", send=PUSH),
    "a push by PUSH": lambda it: send(it, "PUSH", "/alice/dev", send=PUSH),
    "a push out": lambda it: send(
        it, "POST", "/alice/dev", send={"name": "foo", "version": "1", "posturl": "http://x/"}
    ),
    "a push without a type": lambda it: send(
        it, "POST", "/alice/dev", body=json.dumps(PUSH).encode()
    ),
    "a push that says XML": lambda it: send(
        it,
        "POST",
        "/alice/dev",
        body=json.dumps(PUSH).encode(),
        fields={"Content-Type": "text/xml"},
    ),
    "test results": lambda it: send(it, "POST", "/alice/dev/+f/ab/foo-1.0.tar.gz", send={}),
}
DEVPI_DELETIONS: dict[str, Way] = {
    "a release": lambda it: send(it, "DELETE", "/alice/dev/foo/1.0"),
    "a project": lambda it: send(it, "DELETE", "/alice/dev/foo"),
    "in another spelling": lambda it: send(it, "DELETE", "/alice/dev/%46OO/"),
    "a file": lambda it: send(it, "DELETE", "/alice/dev/+f/ab/foo-1.0.tar.gz"),
    "an index": lambda it: send(it, "DELETE", "/alice/dev"),
    "an account": lambda it: send(it, "DELETE", "/alice"),
}
DEVPI_CHANGES: dict[str, Way] = {
    "an index's settings": lambda it: send(it, "PATCH", "/alice/dev", send=[]),
    "a password": lambda it: send(it, "PATCH", "/alice", send={"password": "x"}),
    "a new index": lambda it: send(it, "PUT", "/alice/prod", send={}),
    "a token": lambda it: send(it, "POST", "/alice/+token-create", send={}),
    "a plugin's": lambda it: send(it, "POST", "/+something", send={}),
}
DEVPI_READS: dict[str, Way] = {
    "a file": lambda it: send(it, "GET", "/alice/dev/+f/ab/foo-1.0.tar.gz"),
    "a page": lambda it: send(it, "GET", "/alice/dev/+simple/foo/"),
    "a search": lambda it: send(
        it, "POST", "/alice/dev", body=SEARCH, fields={"Content-Type": "text/xml"}
    ),
    "without a credential": lambda it: it.client().get("/alice/dev/foo"),
    "logging out": lambda it: send(it, "POST", "/+logout"),
}

SIMPLE_UPLOADS: dict[str, Way] = {
    "a form": lambda it: upload(it, "/"),
    "with a query": lambda it: upload(it, "/?:action=verify"),
    "another action": lambda it: upload(it, "/", action="whatever"),
    "urlencoded": lambda it: urlencoded(it, "/", **{":action": "submit"}),
    "without a credential": lambda it: upload(it, "/", {"Authorization": ""}),
    "nothing that is known": lambda it: send(it, "PUT", "/foo", body=b"x"),
}
SIMPLE_DELETIONS: dict[str, Way] = {
    "remove_pkg": lambda it: urlencoded(it, "/", **{":action": "remove_pkg"}),
    "remove_pkg with a file": lambda it: upload(it, "/", action="remove_pkg"),
    "another action": lambda it: upload(it, "/", action="whatever"),
    "DELETE": lambda it: send(it, "DELETE", "/foo"),
}
SIMPLE_READS: dict[str, Way] = {
    "a file": lambda it: send(it, "GET", "/packages/foo-1.0.tar.gz"),
    "a search": lambda it: send(it, "POST", "/RPC2", body=SEARCH),
    "is the password right": lambda it: urlencoded(it, "/", **{":action": "verify"}),
}


def outcome(ways: dict[str, Way], served: Served) -> dict[str, str]:
    return {name: way(served).slug for name, way in ways.items()}


def all_of(ways: dict[str, Way], slug: str) -> dict[str, str]:
    return dict.fromkeys(ways, slug)


def test_what_is_stopped_at_devpi(devpi: Served, index: Recorder) -> None:
    everything = (DEVPI_UPLOADS, DEVPI_DELETIONS, DEVPI_CHANGES, DEVPI_READS)
    open_ways = {name: "" for ways in everything for name in ways}
    assert {k: v for ways in everything for k, v in outcome(ways, devpi).items()} == open_ways
    index.seen.clear()
    with frozen(devpi, "uploads"):
        assert outcome(DEVPI_UPLOADS, devpi) == all_of(DEVPI_UPLOADS, "frozen") | {
            "a push that says XML": "bad_request"
        }
        assert index.seen == []
        for ways in (DEVPI_DELETIONS, DEVPI_CHANGES, DEVPI_READS):
            assert outcome(ways, devpi) == all_of(ways, "")
    with frozen(devpi, "deletions"):
        assert outcome(DEVPI_DELETIONS, devpi) == all_of(DEVPI_DELETIONS, "frozen")
        assert outcome(DEVPI_UPLOADS, devpi) == all_of(DEVPI_UPLOADS, "") | {
            "another action": "frozen",
            "a push that says XML": "bad_request",
        }
    with frozen(devpi, "all"):
        for ways in (DEVPI_UPLOADS, DEVPI_DELETIONS, DEVPI_CHANGES):
            assert set(outcome(ways, devpi).values()) <= {"frozen", "bad_request"}
        assert outcome(DEVPI_READS, devpi) == all_of(DEVPI_READS, "")
    assert {k: v for ways in everything for k, v in outcome(ways, devpi).items()} == open_ways


def test_what_is_stopped_at_pypiserver(simple: Served) -> None:
    with frozen(simple, "uploads"):
        assert outcome(SIMPLE_UPLOADS, simple) == all_of(SIMPLE_UPLOADS, "frozen")
        assert outcome(SIMPLE_READS, simple) == all_of(SIMPLE_READS, "")
        assert SIMPLE_DELETIONS["remove_pkg"](simple).slug == ""
    with frozen(simple, "deletions"):
        assert outcome(SIMPLE_DELETIONS, simple) == all_of(SIMPLE_DELETIONS, "frozen")
        assert SIMPLE_UPLOADS["a form"](simple).slug == ""
    with frozen(simple, "all"):
        for ways in (SIMPLE_UPLOADS, SIMPLE_DELETIONS):
            assert outcome(ways, simple) == all_of(ways, "frozen")
        told = SIMPLE_READS["a file"](simple)
        assert told.slug == ""


# -- projects, people, tokens -------------------------------------------------------------------


def test_a_project_by_each_of_its_names_at_devpi(devpi: Served) -> None:
    ways: dict[str, tuple[Way, str]] = {
        "its name": (lambda it: upload(it, "/a/dev", name="Foo_Bar", file="x-1.tar.gz"), "frozen"),
        "a file": (lambda it: upload(it, "/a/dev", name="x", file="foo.bar-1.0.tar.gz"), "frozen"),
        "no name": (lambda it: upload(it, "/a/dev", name=""), "frozen"),
        "no name that is one": (lambda it: upload(it, "/a/dev", name="foo bar"), "frozen"),
        "another": (lambda it: upload(it, "/a/dev", name="foobar", file="foobar-1.tar.gz"), ""),
        "its documentation": (
            lambda it: upload(it, "/a/dev", name="foo.bar", action="doc_upload"),
            "frozen",
        ),
        "a push": (
            lambda it: send(it, "POST", "/a/dev", send={**PUSH, "name": "FOO-bar"}),
            "frozen",
        ),
        "a push of another": (lambda it: send(it, "POST", "/a/dev", send=PUSH), ""),
        "a push in two ways": (
            lambda it: send(
                *(it, "POST", "/a/dev"),
                body=b'{"name":"x","name":"foo-bar","version":"1","targetindex":"a/b"}',
                fields={"Content-Type": "application/json"},
            ),
            "bad_request",
        ),
        "a push without a type": (
            lambda it: send(it, "POST", "/a/dev", body=json.dumps(PUSH).encode()),
            "bad_request",
        ),
        "removed": (lambda it: send(it, "DELETE", "/a/dev/Foo.Bar/1.0"), "frozen"),
        "another removed": (lambda it: send(it, "DELETE", "/a/dev/foo/1.0"), ""),
        "its file removed": (lambda it: send(it, "DELETE", "/a/dev/+f/a/foo_bar-1.zip"), "frozen"),
        "an index removed": (lambda it: send(it, "DELETE", "/a/dev"), "frozen"),
        "an account removed": (lambda it: send(it, "DELETE", "/a"), "frozen"),
        "test results": (
            lambda it: send(it, "POST", "/a/dev/+f/a/foo_bar-1.zip", send={}),
            "frozen",
        ),
        "read": (lambda it: send(it, "GET", "/a/dev/+simple/foo-bar/"), ""),
        "settings": (lambda it: send(it, "PATCH", "/a/dev", send=[]), ""),
    }
    with frozen(devpi, "project:foo-bar"):
        found = {name: way(devpi).slug for name, (way, _) in ways.items()}
    assert found == {name: slug for name, (_, slug) in ways.items()}


def test_a_project_by_what_pypiserver_files_it_under(simple: Served) -> None:
    with frozen(simple, "project:foo"):
        assert upload(simple, "/", name="bar", file="foo-1.0.tar.gz").slug == "frozen"
        assert upload(simple, "/", name="bar", file="FOO-1.0-py3-none-any.whl").slug == "frozen"
        assert upload(simple, "/", name="foo", file="bar-1.0.tar.gz").slug == "frozen"
        assert upload(simple, "/", name="bar", file="bar-1.0.tar.gz").slug == ""
        assert urlencoded(simple, "/", **{":action": "remove_pkg", "name": "Foo"}).slug == "frozen"
        assert urlencoded(simple, "/", **{":action": "remove_pkg", "name": "bar"}).slug == ""


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_a_person_by_each_credential(serve: Serve, index: Recorder, kind: str) -> None:
    served = serve(kind, index.url, rules=OPEN, tests=[])
    place = "/alice/dev" if kind == "devpi" else "/"
    ways = {
        "a password": {"Authorization": basic("alice", "p")},
        "in capitals": {"Authorization": basic("ALICE", "p")},
        "full width": {"Authorization": basic("ａlice", "p")},
        "blanks": {"Authorization": basic(" alice ", "p")},
        "a scheme nobody knows": {"Authorization": "Other abc"},
    }
    if kind == "devpi":
        ways |= {
            "X-Devpi-Auth": {"Authorization": "", "X-Devpi-Auth": coded("alice:p")},
            "both": {"Authorization": basic("bob", "p"), "X-Devpi-Auth": coded("alice:p")},
            "a cookie": {"Authorization": "", "Cookie": f"auth_tkt={quote('alice:p')}"},
        }
    with frozen(served, "user:alice"):
        found = {name: upload(served, place, fields) for name, fields in ways.items()}
        assert {name: one.slug for name, one in found.items()} == dict.fromkeys(ways, "frozen")
        # Nobody has proven anything, so nobody is told why.
        assert not [name for name, one in found.items() if "key leaked" in one.text]
        assert upload(served, place, user="bob").slug == ""
        assert upload(served, place, {"Authorization": ""}).slug == ""
        assert send(served, "GET", "/").slug == ""
        with frozen(served, "uploads"):
            assert "key leaked" in upload(served, place, user="bob").text


def test_a_token_and_whose_it_is(serve: Serve, index: Recorder) -> None:
    served = serve("devpi", index.url, rules=OPEN, tests=[])

    def make(name: str) -> Any:
        tokens = served.running.parts.tokens
        scope = scope_of(["upload", "read"])
        held = Credential("alice", '["alice", [], true].abcdef.' + "x" * 27)
        return served.run(tokens.make("alice", name, scope, 86400, held, Origin()))

    one, other = make("one"), make("other")

    def by(text: str, **fields: str) -> str:
        return upload(served, "/alice/dev", {"Authorization": f"Bearer {text}", **fields}).slug

    with frozen(served, f"token:{one.token.id}"):
        assert (by(one.text), by(other.text) == "frozen") == ("frozen", False)
        swapped = {"Authorization": basic("__token__", one.text)}
        assert upload(served, "/alice/dev", swapped).slug == "frozen"
        told = served.client().get("/alice/dev/+simple/", fields=swapped)
        assert told.slug != "frozen"
    with frozen(served, "user:alice"):
        assert (by(one.text), by(other.text)) == ("frozen", "frozen")


# -- logins -------------------------------------------------------------------------------------


def finish(served: Served, browser: Client, user: str) -> Answer:
    """Send the code of a login that waits for it."""
    page = browser.browse("GET", "/+auth/verify")
    values = {**hidden(page), "kind": "totp", "code": served.code(user)}
    return browser.browse("POST", "/+auth/verify", form=values, fields=served.ours())


def test_logins_in_each_way(serve: Serve, devpi_server: servers.Index) -> None:
    served = serve("devpi", devpi_server.url)
    alice, bob = "frozen-alice", "frozen-bob"
    passwords = {name: devpi_server.person(name) for name in (alice, bob)}
    served.enrol(alice, bob)
    pending = served.client()
    served.give_password(pending, alice, passwords[alice])
    asked = served.client().post("/+auth/api/login", send={})
    inside = served.browse_in(bob, passwords[bob])
    with frozen(served, "logins"):
        for password in (f"{passwords[alice]},{served.code(alice)}", "wrong"):
            told = served.client().post("/+login", send={"user": alice, "password": password})
            assert (told.status, told.slug) == (403, "frozen")
        assert told.json["message"].startswith("Logins are stopped here until ")
        assert told.json["message"].endswith("Downloads go on. The administrator says: key leaked")
        assert 3500 < int(told.first("retry-after")) <= 3600
        page = served.client().browse("GET", "/+auth/login")
        assert page.status == 403 and "Logins are stopped here until" in page.text
        late = finish(served, pending, alice)
        assert late.status == 403 and "Logins are stopped here until" in late.text
        assert served.client().post("/+auth/api/login", send={}).slug == "frozen"
        poll = {"secret": asked.json["secret"]}
        assert served.client().post("/+auth/api/login/poll", send=poll).status == 202
        wish = {"user": alice, "password": passwords[alice], "code": served.code(alice)}
        more = {"name": "x", "actions": ["read"], "days": 1}
        told = served.client().post("/+auth/api/tokens", send=wish | more)
        assert told.slug == "frozen", told.text
        assert inside.browse("GET", "/+auth/").status == 200
        told = upload(served, f"/{alice}/dev", {"Authorization": basic(alice, passwords[alice])})
        assert told.status == 200, told.text
    with frozen(served, f"user:{alice}"):
        sent = {"user": alice, "password": f"{passwords[alice]},{served.code(alice)}"}
        told = served.client().post("/+login", send=sent)
        assert told.slug == "frozen" and f"in the name of {alice}" in told.json["message"]
        assert served.login(bob, passwords[bob])
        # What she began before goes on to nothing, either; what only ends something does.
        assert finish(served, pending, alice).status == 403
    with frozen(served, f"user:{bob}"):
        page = inside.browse("GET", "/+auth/confirm")
        values = {**hidden(page), "kind": "totp", "code": served.code(bob)}
        told = inside.browse("POST", "/+auth/confirm", form=values, fields=served.ours())
        assert told.status == 403 and f"in the name of {bob}" in told.text
        values = form(inside.browse("GET", "/+auth/"), "/+auth/logout")
        told = inside.browse("POST", "/+auth/logout", form=values, fields=served.ours())
        assert told.status == 303
    assert finish(served, pending, alice).status == 303


# -- the store, and the trail -------------------------------------------------------------------


def test_other_gateways_see_it_without_being_asked_and_keep_it_without_the_store(
    simple: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = simple.running.parts.flow.services
    elsewhere = Freezes(services.store, simple.clock)
    assert upload(simple, "/").slug == ""
    simple.run(elsewhere.put(Frozen.UPLOADS, "", lasts=3600, reason="x"))
    end = time.monotonic() + 30
    while upload(simple, "/").slug != "frozen":
        assert time.monotonic() < end
        time.sleep(0.05)
    real = services.store.get
    away = True

    async def get(key: Any) -> Any:
        if away:
            raise StoreUnavailable("away")
        return await real(key)

    monkeypatch.setattr(services.store, "get", get)
    time.sleep(1.2)  # several looks
    assert upload(simple, "/").slug == "frozen"
    simple.offset += 3601
    assert upload(simple, "/").slug == ""  # it ends by itself
    away = False


def test_a_gateway_that_starts_during_a_freeze(serve: Serve, index: Recorder) -> None:
    served = serve("pypiserver", index.url, rules=OPEN, tests=[])
    with frozen(served, "uploads"):
        freezes(served).known = False
        freezes(served)._all = ()
        assert upload(served, "/").slug == "frozen"


def test_who_is_stopped_stands_in_the_trail(devpi: Served) -> None:
    with frozen(devpi, "uploads"):
        for _ in range(30):
            send(devpi, "POST", "/alice/dev/+f/ab/foo-1.0.tar.gz", send={})
    devpi.run(devpi.running.parts.transfers.late.close())

    async def read() -> list[dict[str, Any]]:
        return [json.loads(raw) async for raw in devpi.running.parts.audit.lines()]

    found = [one for one in devpi.run(read()) if one["event"] != "upload"]
    assert [one["event"] for one in found] == ["guarded_refused"] * 20 + ["not_recorded"]
    assert (found[0]["user"], found[0]["detail"], found[0]["project"]) == ("alice", "frozen", "foo")
