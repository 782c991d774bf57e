"""Reading a private index: who is asked how often, what goes on, and what a stranger is told."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gateway.core.upstream import Credential
from gateway.settings.shipped import shipped
from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.gate.served import Served
from tests.gate.test_devpi_evidence import another_second, carried, token_at_upstream
from tests.support import servers
from tests.support.http import Answer, basic

ALICE = ("alice", PYPISERVER_USERS["alice"])


def private(kind: str) -> dict[str, Any]:
    """The rules of `init --private`."""
    from ruamel.yaml import YAML

    data = YAML(typ="safe").load(shipped(kind, private=True))
    return {"rules": data["rules"], "tests": data["tests"]}


@contextmanager
def counted(served: Served) -> Iterator[Counter[str]]:
    """How often the index is asked: targets of calls of the gateway's own."""
    calls, found = served.running.parts.passwords._calls, Counter[str]()
    asked = calls.ask

    async def ask(call: Any, *more: Any) -> Any:
        found[call.target] += 1
        return await asked(call, *more)

    calls.ask = ask  # type: ignore[assignment, method-assign]
    try:
        yield found
    finally:
        calls.ask = asked  # type: ignore[method-assign]


def at_once(times: int, work: Callable[[], Answer]) -> list[Answer]:
    barrier = threading.Barrier(times)

    def one(_: int) -> Answer:
        barrier.wait(20)
        return work()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def test_many_at_once_ask_the_index_once(serve: Serve, pypiserver: servers.Index) -> None:
    served = serve("pypiserver", pypiserver.url, **private("pypiserver"))

    def read(secret: str) -> Answer:
        return served.client().get("/simple/hello/", auth=("alice", secret))

    with counted(served) as asked:
        told = at_once(30, lambda: read(ALICE[1]))
        assert {one.status for one in told} == {200}
        assert asked == {"/": 2}, "the password, and a made-up one that has to be refused"
        assert read(ALICE[1]).status == 200
        told = at_once(30, lambda: read("wrong"))
        assert {(one.status, one.slug) for one in told} == {(401, "credential_required")}
        assert asked.total() < 10, "those that came at one time share what was said"


def test_a_password_is_judged_anew_in_time(serve: Serve, pypiserver: servers.Index) -> None:
    served = serve(
        "pypiserver", pypiserver.url, **private("pypiserver"), first_factor__remember="2m"
    )

    def asked_for_a_read() -> int:
        with counted(served) as asked:
            assert served.client().get("/simple/", auth=ALICE).status == 200
        return asked.total()

    assert asked_for_a_read() > 0
    assert asked_for_a_read() == 0
    served.offset += 60
    assert asked_for_a_read() == 0
    served.offset += 61
    assert asked_for_a_read() == 1


def test_nothing_is_remembered_where_that_is_off(serve: Serve, pypiserver: servers.Index) -> None:
    served = serve(
        "pypiserver", pypiserver.url, **private("pypiserver"), first_factor__remember="off"
    )
    for _ in range(2):
        with counted(served) as asked:
            assert served.client().get("/simple/", auth=ALICE).status == 200
            assert asked.total() > 0


@pytest.fixture
def closed(serve: Serve, devpi_server: servers.Index) -> Served:
    return serve("devpi", devpi_server.url, **private("devpi"))


def test_devpi_gets_a_token_and_not_the_password(
    closed: Served, devpi_server: servers.Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = devpi_server.person("swapped")
    seen: list[str] = []
    upstream = closed.running.parts.upstream
    with_secret = upstream.with_secret

    def noted(facts: Any, carrier: Any, secret: str) -> Any:
        seen.append(secret)
        return with_secret(facts, carrier, secret)

    monkeypatch.setattr(type(upstream), "with_secret", lambda _, *args: noted(*args))
    here = "/swapped/dev/+simple/"
    for place in ("authorization", "x-devpi-auth", "cookie"):
        told = closed.client().get(here, fields=carried(place, "swapped", password))
        assert told.status == 200, (place, told.text)
    assert seen and all(secret.startswith('["swapped"') for secret in seen)
    token = token_at_upstream(devpi_server, "swapped", password)
    seen.clear()
    assert closed.client().get(here, auth=("swapped", token)).status == 200
    assert not seen, "a token goes on as it is"


def test_a_code_behind_the_password_is_no_hindrance(
    closed: Served, devpi_server: servers.Index
) -> None:
    """Reading needs none, so it is cut off and can be used elsewhere."""
    password = devpi_server.person("coded")
    closed.enrol("coded")
    code = closed.code("coded")
    here = "/coded/dev/+simple/"
    for _ in range(2):
        told = closed.client().get(here, auth=("coded", f"{password},{code}"))
        assert told.status == 200, told.text
    token = closed.client().post(
        "/+login", send={"user": "coded", "password": f"{password},{code}"}
    )
    assert token.status == 200, token.text
    told = closed.client().get(here, auth=("coded", f"wrong,{code}"))
    assert (told.status, told.slug) == (401, "credential_required")


def test_a_changed_password_ends_at_once(closed: Served, devpi_server: servers.Index) -> None:
    password = devpi_server.person("changes")
    closed.enrol("changes")
    here = "/changes/dev/+simple/"
    assert closed.client().get(here, auth=("changes", password)).status == 200
    another_second()
    fields = carried("x-devpi-auth", "changes", closed.login("changes", password))
    told = closed.client().call(
        "PATCH", "/changes", send={"password": "another one"}, fields=fields
    )
    assert told.status == 200, told.text
    told = closed.client().get(here, auth=("changes", password))
    assert (told.status, told.slug) == (401, "credential_required")
    assert closed.client().get(here, auth=("changes", "another one")).status == 200


def test_what_another_gateway_ended_is_seen_within_seconds(
    closed: Served, devpi_server: servers.Index
) -> None:
    password = devpi_server.person("elsewhere")
    closed.enrol("elsewhere")
    here, auth = "/elsewhere/dev/+simple/", ("elsewhere", password)
    assert closed.client().get(here, auth=auth).status == 200

    async def ended() -> None:
        services = closed.running.parts.flow.services
        await services.accounts.change(
            "elsewhere",
            "elsewhere",
            lambda one: (type(one)(**{**_fields(one), "epoch": one.epoch + 1}), None),
            now=closed.clock(),
        )

    closed.run(ended())
    closed.offset += 4
    with counted(closed) as asked:
        assert closed.client().get(here, auth=auth).status == 200
    assert asked.total() == 1, "it is judged anew"


def _fields(account: Any) -> dict[str, Any]:
    from dataclasses import fields

    return {each.name: getattr(account, each.name) for each in fields(account)}


class Index(ThreadingHTTPServer):
    """As pypiserver, with one password that changes."""

    password = "first"
    asked = 0


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_POST(self) -> None:
        self.server.asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        right = self.headers["Authorization"] == basic("alice", self.server.password)
        self.send_response(200 if right else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_what_the_index_refuses_is_asked_about_anew(serve: Serve) -> None:
    """A password that was changed at the index itself: refused by it once, then by us."""
    with Index(("127.0.0.1", 0), Handler) as index:
        threading.Thread(target=index.serve_forever, daemon=True).start()
        served = serve(
            "pypiserver", f"http://127.0.0.1:{index.server_port}", **private("pypiserver")
        )

        def read(secret: str) -> tuple[int, str]:
            told = served.client().get("/simple/", auth=("alice", secret))
            return told.status, told.slug

        assert read("first") == (200, "")
        index.password = "second"
        asked = index.asked
        assert read("first") == (403, "")
        assert index.asked == asked, "it was remembered"
        assert read("first") == (401, "credential_required")
        assert read("second") == (200, "")
        index.shutdown()


@pytest.mark.parametrize("one", ["alike", "alike after a while"])
def test_one_connection_reads_many(closed: Served, devpi_server: servers.Index, one: str) -> None:
    """The quick way of a connection that repeats its fields is the same as the long one."""
    import http.client

    password = devpi_server.person(one.replace(" ", ""))
    user = one.replace(" ", "")
    connection = http.client.HTTPConnection("127.0.0.1", closed.port, timeout=20)

    def get(target: str, secret: str = password) -> tuple[int, str]:
        connection.request("GET", target, headers={"Authorization": basic(user, secret)})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Cache-Control") or ""

    for _ in range(4):
        assert get(f"/{user}/dev/+simple/") == (200, "private")
        assert get("/+api")[0] == 200
        if one == "alike after a while":
            closed.offset += 100
    assert get(f"/{user}/dev/+simple/", "wrong")[0] == 401
    assert get(f"/{user}/dev/+simple/") == (200, "private")
    closed.running.parts.readers.forget(user)
    with counted(closed) as asked:
        assert get(f"/{user}/dev/+simple/")[0] == 200
    assert asked["/+login"] == 1
    connection.close()


def test_a_token_on_one_connection_is_judged_each_time(
    closed: Served, devpi_server: servers.Index
) -> None:
    import http.client

    from gateway.core.audit.events import Origin
    from gateway.core.tokens.records import scope_of

    password = devpi_server.person("bearer")
    tokens = closed.running.parts.tokens

    async def make() -> tuple[str, str]:
        scope = scope_of(("read",), (), ("hello",), ())
        held = Credential("bearer", password)
        made = await tokens.make("bearer", "one", scope, 86400, held, Origin("", ""))
        return made.text, made.token.id

    text, id = closed.run(make())
    connection = http.client.HTTPConnection("127.0.0.1", closed.port, timeout=20)

    def get(target: str) -> int:
        connection.request("GET", target, headers={"Authorization": basic("__token__", text)})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    for _ in range(4):
        assert get("/bearer/dev/+simple/hello/") == 404, "devpi has no such project"
        assert get("/bearer/dev/+simple/other/") == 403, "not in its scope"
    closed.run(_revoked(closed, id))
    assert get("/bearer/dev/+simple/hello/") == 401
    text, id = closed.run(make())
    for _ in range(4):
        assert get("/bearer/dev/+simple/hello/") == 404
    ended = tokens._records.change("bearer", id, lambda one: one.ended(closed.clock()))
    assert closed.run(ended) is not None
    closed.offset += 61
    assert get("/bearer/dev/+simple/hello/") == 401, "another gateway revoked it"
    text, _ = closed.run(make())
    for _ in range(4):
        assert get("/bearer/dev/+simple/hello/") == 404
    closed.offset += 86400
    assert get("/bearer/dev/+simple/hello/") == 401, "its time is over"
    connection.close()


async def _revoked(served: Served, id: str) -> None:
    from gateway.core.audit.events import Origin

    assert await served.running.parts.tokens.revoke("bearer", id, Origin("", ""))


BROWSERS = {
    "a style sheet": {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "style"},
    "a script of a page": {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    "a style sheet over plain http": {"User-Agent": "Mozilla/5.0 X", "Accept": "text/css,*/*"},
    "a picture over plain http": {"User-Agent": "Mozilla/5.0 X", "Accept": "image/avif,*/*"},
    "a script over plain http": {"User-Agent": "Mozilla/5.0 X", "Referer": "http://x/"},
}
OPENED = {
    "a page": {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    "a page over plain http": {"User-Agent": "Mozilla/5.0 X", "Accept": "text/html,*/*;q=0.8"},
}
PROGRAMS = {
    "pip": {"User-Agent": "pip/25", "Accept": "application/vnd.pypi.simple.v1+json, text/html"},
    "curl": {"User-Agent": "curl/8", "Accept": "*/*"},
    "PowerShell": {"User-Agent": "Mozilla/5.0 (Windows NT) WindowsPowerShell/5.1"},
    "nothing": {},
}
PLACES = ["/", "/simple/hello/", "/simple/nothing/", "/packages/hello-1.0.tar.gz", "/hello/json"]


@pytest.fixture
def shut(serve: Serve, pypiserver: servers.Index) -> Served:
    return serve("pypiserver", pypiserver.url, **private("pypiserver"))


def test_programs_are_asked_for_a_password_and_browsers_never(shut: Served) -> None:
    client = shut.client()
    for auth in (None, ("alice", "wrong")):
        for name, fields in PROGRAMS.items():
            for target in PLACES:
                told = client.get(target, fields=fields, auth=auth)
                assert told.status == 401, (name, target)
                assert told.first("www-authenticate") == 'Basic realm="index"', name
        for name, fields in BROWSERS.items():
            told = client.get("/simple/hello/", fields=fields, auth=auth)
            assert told.status == 401, name
            assert "basic" not in told.first("www-authenticate").lower(), name
        for name, fields in OPENED.items():
            told = client.get("/simple/hello/?x=1", fields=fields, auth=auth)
            assert told.status == 303, name
            assert told.first("location") == "/+auth/login?next=/simple/hello/%3Fx%3D1", name


def test_the_login_leads_back(shut: Served) -> None:
    shut.enrol("alice")
    browser = shut.browse_in(*ALICE, goto="/simple/hello/")
    told = browser.browse("GET", "/simple/hello/")
    assert (told.status, told.first("cache-control")) == (200, "private")
    assert b"hello-1.0" in told.body


STRANGERS = [
    ("GET", "/alice/dev"), ("GET", "/alice/nothing"), ("GET", "/nobody"), ("GET", "/"),
    ("GET", "/hidden/dev/+simple/"), ("GET", "/hidden/dev/+simple/secret-project/"),
    ("GET", "/hidden/dev/secret-project"), ("GET", "/hidden/dev/secret-project/1.0"),
    ("GET", "/hidden/dev/+simple/nothing/"), ("GET", "/+search?query=secret"),
    ("GET", "/hidden/dev/secret-project/1.0/+doc/index.html"), ("GET", "/+status"),
    ("GET", "/hidden/dev/secret-project/+api"), ("HEAD", "/hidden/dev/secret-project"),
    ("OPTIONS", "/hidden/dev/secret-project"), ("DELETE", "/hidden/dev/secret-project"),
    ("POST", "/hidden/dev/+simple/secret-project/refresh"), ("PUT", "/hidden/dev"),
    ("GET", "/+static-5.1.1/../hidden/dev"), ("GET", "/+login/hidden"), ("GET", "/+changelog/1"),
    ("FOO", "/hidden/dev/secret-project"), ("GET", "/hidden/+api/secret-project"),
]  # fmt: skip


def test_a_stranger_learns_the_name_of_no_project(
    closed: Served, devpi_server: servers.Index
) -> None:
    """No answer differs by whether a project or a person is there, whatever is asked how."""
    from gateway.cli.demo.indexes import Package

    devpi_server.person("hidden", Package("secret-project", "1.0"))
    accepted = ("*/*", "text/html", "application/json", "application/vnd.pypi.simple.v1+json")
    for method, target in STRANGERS:
        for accept in accepted:
            there = closed.client().call(method, target, fields={"Accept": accept})
            away = target.replace("secret-project", "no-such-one").replace("hidden", "nobody")
            not_there = closed.client().call(method, away, fields={"Accept": accept})
            assert there.status in (400, 401, 403), (method, target, accept, there.status)
            assert there.status == not_there.status, (method, target)
            assert there.unnumbered == not_there.unnumbered, (method, target)
    form = {":action": "submit", "name": "secret-project", "version": "1.0"}
    told = closed.client().post("/hidden/dev", form=form)
    assert (told.status, told.slug) == (401, "credential_required")
    told = closed.client().post(
        "/hidden/dev", body=b"<methodCall/>", fields={"Content-Type": "text/xml"}
    )
    assert (told.status, told.slug) == (401, "credential_required")
    for open_one in ("/+api", "/hidden/dev/+api", "/+login", "/+logout", "/favicon.ico"):
        told = closed.client().get(open_one)
        assert b"secret-project" not in told.body, open_one


TRICKS: dict[str, dict[str, str]] = {
    "a path to cut off": {"X-Outside-URL": "http://x/hidden"},
    "a path that is open": {"X-Original-URI": "/+api", "X-Rewrite-URL": "/+api"},
    "a method": {"X-HTTP-Method-Override": "GET"},
    "a host": {"Host": "docs.example.net", "X-Forwarded-Host": "localhost"},
    "a network": {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
    "a replica": {"X-Devpi-Replica-Uuid": "x", "X-Devpi-Expected-Master-Id": "x"},
    "a name": {"X-Remote-User": "hidden", "Remote-User": "hidden"},
    "an empty name": {"Authorization": "Basic Og=="},
    "a wrong password": {"Authorization": basic("hidden", "wrong")},
    "a token of nobody": {"Authorization": "Bearer devpi-AgEBeAAA"},
    "another field": {"X-Devpi-Auth": basic("hidden", "wrong")[6:]},
    "a cookie of the index": {"Cookie": "auth_tkt=hidden%3Ax"},
    "a session": {"Cookie": "ig-session=x.y"},
    "a part": {"Range": "bytes=0-10"},
    "what is known": {"If-None-Match": "*", "If-Modified-Since": "Wed, 21 Oct 2037 07:28:00 GMT"},
    "a page": {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"},
    "a part of a page": {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "style"},
}


def test_no_header_tells_it_either(closed: Served, devpi_server: servers.Index) -> None:
    from gateway.cli.demo.indexes import Package

    devpi_server.person("covered", Package("hidden-project", "1.0"))
    targets = (
        *("/covered/dev/hidden-project", "/covered/dev/hidden-project/1.0/+doc/index.html"),
        *("/covered/dev/+simple/hidden-project/", "/covered/dev/hidden-project/1.0/+d/x.html"),
        *("/foo/covered/dev/hidden-project", "/+auth/read/x/covered/dev/hidden-project/1.0/+doc/a"),
    )
    for name, fields in TRICKS.items():
        for target in targets:
            there = closed.client().get(target, fields=fields)
            not_there = closed.client().get(
                target.replace("hidden-project", "nothing").replace("covered", "nobody"),
                fields=fields,
            )
            assert there.status in (303, 400, 401, 403, 404, 429), (name, target)
            assert there.status == not_there.status, (name, target)
            assert there.unnumbered == not_there.unnumbered, (name, target)
            kept = there.first("cache-control")
            assert there.status != 303 or kept in ("", "no-store"), (name, target, kept)


def test_a_connection_lends_nobody_the_credential_before(
    closed: Served, devpi_server: servers.Index
) -> None:
    import http.client

    password = devpi_server.person("lender")
    connection = http.client.HTTPConnection("127.0.0.1", closed.port, timeout=20)
    for _ in range(3):
        for secret, expected in ((password, 200), ("", 401), ("wrong", 401), (password, 200)):
            fields = {"Authorization": basic("lender", secret)} if secret else {}
            connection.request("GET", "/lender/dev/+simple/", headers=fields)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected
    connection.close()


def test_a_file_of_devpi_stays_out_of_shared_caches(
    closed: Served, devpi_server: servers.Index
) -> None:
    """devpi calls its files public."""
    from gateway.cli.demo.indexes import Package

    password = devpi_server.person("cached", Package("kept", "1.0"))
    auth = ("cached", password)
    page = closed.client().get("/cached/dev/+simple/kept/", auth=auth)
    link = page.text.partition('href="../../')[2].partition("#")[0]
    for _ in range(2):
        told = closed.client().get(f"/cached/dev/{link}", auth=auth)
        assert told.status == 200
        assert told.all("cache-control") == ["private, max-age=365000000, immutable"]


def test_while_the_store_is_away_who_is_remembered_reads_on(shut: Served) -> None:
    assert shut.client().get("/simple/", auth=ALICE).status == 200
    accounts = shut.running.parts.flow.services.accounts

    async def away(user_id: str) -> int:
        await asyncio.sleep(0)
        from gateway.core.store import StoreUnavailable

        raise StoreUnavailable("gone")

    accounts.epoch = away  # type: ignore[method-assign]
    shut.offset += 10
    assert shut.client().get("/simple/", auth=ALICE).status == 200
    told = shut.client().get("/simple/", auth=("bob", PYPISERVER_USERS["bob"]))
    assert told.status == 503
