"""API tokens at a gateway before real index servers: every way to send one, what it opens, and
what reaches the index."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pypitoken
import pytest

from gateway.cli.demo.indexes import write_htpasswd
from gateway.cli.demo.processes import Children
from gateway.core.audit.events import Event, Origin
from gateway.core.tokens import messages
from gateway.core.tokens.models import NewToken
from gateway.core.tokens.records import scope_of
from gateway.core.upstream import Credential
from tests.conftest import PYPISERVER_USERS
from tests.gate.recorder import Recorder
from tests.gate.served import Served
from tests.gate.test_other_policies import only
from tests.support import servers, uploads
from tests.support.http import Answer, Client, basic, raw
from tests.support.pages import form

DAY = 86400.0
HERE = Origin(address="192.0.2.1", user_agent="test")
Person = Callable[[], tuple[str, str]]
Serve = Callable[..., Served]


def make(served: Served, user: str, password: str, name: str = "", **scope: Any) -> NewToken:
    """A token of somebody, as the pages and the command make it."""
    lifetime = scope.pop("lifetime", 7 * DAY)
    tokens = served.running.parts.tokens
    wanted = scope_of(scope.pop("actions", ["upload"]), **scope)
    label = name or f"token {served.clock()}"
    return served.run(tokens.make(user, label, wanted, lifetime, Credential(user, password), HERE))


def upload(
    served: Served,
    target: str,
    text: str,
    project: str = "foo",
    *,
    file: str = "",
    action: str = "file_upload",
    user: str = "__token__",
    fields: Mapping[str, str] | None = None,
    content: bytes = b"x",
) -> Answer:
    named = {":action": action, "name": project, "version": "1.0", "metadata_version": "2.1"}
    body = uploads.form({**named, **(fields or {})}, (file or f"{project}-1.0.tar.gz", content))
    kind = f"multipart/form-data; boundary={uploads._BOUNDARY}"
    own = {"Content-Type": kind, "Authorization": basic(user, text)}
    return served.client().post(target, body=body, fields=own)


def entries(served: Served, event: Event) -> list[dict[str, Any]]:
    async def read() -> list[bytes]:
        return [raw async for raw in served.running.parts.audit.lines(after=0)]

    found = [json.loads(one) for one in served.run(read())]
    return [one for one in found if one["event"] == event]


@pytest.fixture
def alice(simple: Served, pypiserver: servers.Index) -> Iterator[str]:
    yield PYPISERVER_USERS["alice"]
    for left in (pypiserver.place / "packages").glob("foo*"):
        left.unlink()


# -- every way to send one --------------------------------------------------------------------


def coded(text: str) -> str:
    return b64encode(text.encode()).decode()


WAYS: dict[str, Callable[[str, str], dict[str, str]]] = {
    "__token__:TOKEN": lambda u, t: {"Authorization": f"Basic {coded(f'__token__:{t}')}"},
    "USER:TOKEN": lambda u, t: {"Authorization": f"Basic {coded(f'{u}:{t}')}"},
    "the user in capitals": lambda u, t: {"Authorization": f"Basic {coded(f'{u.upper()}:{t}')}"},
    ":TOKEN": lambda u, t: {"Authorization": f"Basic {coded(f':{t}')}"},
    "TOKEN:": lambda u, t: {"Authorization": f"Basic {coded(f'{t}:')}"},
    "TOKEN": lambda u, t: {"Authorization": f"Basic {coded(t)}"},
    "blanks around": lambda u, t: {"Authorization": f"Basic {coded(f'__token__: {t}' + chr(10))}"},
    "without padding": lambda u, t: {"Authorization": f"Basic {coded(f':{t}').rstrip('=')}"},
    "Bearer": lambda u, t: {"Authorization": f"Bearer {t}"},
    "bearer": lambda u, t: {"authorization": f"bearer {t}"},
    "token": lambda u, t: {"Authorization": f"token {t}"},
    "X-Devpi-Auth": lambda u, t: {"X-Devpi-Auth": coded(f"{u}:{t}")},
    "X-Devpi-Auth :TOKEN": lambda u, t: {"X-Devpi-Auth": coded(f":{t}")},
    "both": lambda u, t: {"Authorization": f"Bearer {t}", "X-Devpi-Auth": coded(f"{u}:{t}")},
}


def test_every_way_to_send_one_to_devpi(devpi: Served, person: Person) -> None:
    user, password = person()
    text = make(devpi, user, password, actions=["read"]).text
    for name, way in WAYS.items():
        fields = {"Accept": "application/json", **way(user, text)}
        told = devpi.client().get("/+api", fields=fields)
        assert told.status == 200, (name, told.text)
        assert told.json["result"]["authstatus"][:2] == ["ok", user], name


def session_of(served: Served, user: str, password: str) -> str:
    """The cookies of somebody's browser."""
    browser = served.browse_in(user, password)
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def test_a_session_of_its_owner_may_stand_beside_it(simple: Served, alice: str) -> None:
    text = make(simple, "alice", alice, actions=["read"]).text
    fields = {"Authorization": f"Bearer {text}", "Cookie": session_of(simple, "alice", alice)}
    for _ in range(2):
        assert simple.client().get("/simple/", fields=fields).status == 200
    fields["Cookie"] = session_of(simple, "bob", PYPISERVER_USERS["bob"])
    told = simple.client().get("/simple/", fields=fields)
    assert (told.status, told.slug) == (401, "mixed_credentials")
    assert "session" in told.text


def test_two_carriers_name_one_token(devpi: Served, person: Person) -> None:
    user, password = person()
    one, other = (make(devpi, user, password, n, actions=["read"]).text for n in "ab")
    for fields in (
        {"Authorization": f"Bearer {one}", "X-Devpi-Auth": coded(f"{user}:{other}")},
        {"Authorization": f"Bearer {one}", "X-Devpi-Auth": coded(f"{user}:{password}")},
        {"Authorization": f"Bearer {one}", "X-Devpi-Auth": "not readable"},
        {"Authorization": basic(user, password), "X-Devpi-Auth": coded(f"{user}:{one}")},
        {"Authorization": f"Bearer {one}", "Cookie": f"auth_tkt={user}%3A{password}"},
        {"Authorization": basic("somebody", one)},
        {"Authorization": f"Bearer {one}", "Cookie": session_of(devpi, *person())},
    ):
        told = devpi.client().get("/+api", fields=fields)
        assert (told.status, told.slug) == (401, "mixed_credentials"), fields


# -- what reaches the index -------------------------------------------------------------------


def test_the_index_gets_what_the_token_stands_for_and_nothing_of_it(
    serve: Callable[..., Served],
) -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    no = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    good = basic("alice", "pass word")
    body = uploads.form({":action": "file_upload", "name": "foo"}, ("foo-1.0.zip", b"x"))
    kind = f"multipart/form-data; boundary={uploads._BOUNDARY}"
    with Recorder(lambda seen: ok if good in seen.all("authorization") else no) as index:
        served = serve("pypiserver", index.url)
        text = make(served, "alice", "pass word").text
        for name, way in WAYS.items():
            fields = {"Content-Type": kind, **way("alice", text)}
            told = served.client().post("/", body=body, fields=fields)
            assert told.status == 200, (name, told.text)
            last = index.seen[-1]
            assert last.all("authorization") == [good], name
            assert last.body == body, name
        whole = b"".join(one.head + one.body for one in index.seen)
    for part in (text, coded(text)[:40], coded(f"alice:{text}")[:60], coded(f":{text}")[:40]):
        assert part.encode() not in whole
    assert b"x-devpi-auth" not in whole.lower()
    # What the index took is not asked about with each request.
    assert len(index.seen) == len(WAYS) + 2


# -- what it opens ----------------------------------------------------------------------------


def test_an_upload_to_pypiserver_within_its_scope(
    simple: Served, alice: str, pypiserver: servers.Index
) -> None:
    text = make(simple, "alice", alice, projects=["Foo"]).text
    assert upload(simple, "/", text).status == 200
    assert (pypiserver.place / "packages" / "foo-1.0.tar.gz").exists()
    (used,) = entries(simple, Event.TOKEN_USED)
    assert used["user"] == "alice"
    assert used["origin"]["rule"] == "uploads"


OUTSIDE: dict[str, dict[str, Any]] = {
    "another project": {"project": "bar"},
    "a file of another": {"file": "bar-1.0.tar.gz"},
    "a wheel of another": {"file": "bar-1.0-py3-none-any.whl"},
    "a file that pypiserver files elsewhere": {"file": "foo-2-1.0.tar.gz"},
    "a file without a version": {"file": "foo.tar.gz"},
    "a longer name": {"project": "foo-bar"},
    "a longer file": {"file": "foo-bar-1.0.tar.gz"},
    "a deletion": {"action": "remove_pkg"},
    "nothing of the kind": {"action": "something"},
}


def test_an_upload_outside_of_its_scope(
    simple: Served, alice: str, pypiserver: servers.Index
) -> None:
    text = make(simple, "alice", alice, projects=["foo"]).text
    before = set((pypiserver.place / "packages").iterdir())
    for name, more in OUTSIDE.items():
        told = upload(simple, "/", text, **more)
        assert (told.status, told.slug) == (403, "token_scope"), (name, told.text)
        assert set((pypiserver.place / "packages").iterdir()) == before, name
        assert entries(simple, Event.TOKEN_REFUSED)[-1]["detail"] == "token_scope", name


BODY = uploads.form({":action": "file_upload", "name": "foo"}, ("foo-1.0.tar.gz", b"x" * 3_000_000))
LATER = {
    "another name": (b'Content-Disposition: form-data; name="name"\r\n\r\nbar', 400),
    "another action": (b'Content-Disposition: form-data; name=":action"\r\n\r\nremove_pkg', 400),
    "a file of another": (
        b'Content-Disposition: form-data; name="gpg_signature"; filename="bar-1.0.tar.gz"\r\n\r\nx',
        403,
    ),
}


def test_what_comes_behind_the_file_does_not_contradict(
    simple: Served, alice: str, pypiserver: servers.Index
) -> None:
    """The body is larger than what is held, so its beginning is on its way by then."""
    text = make(simple, "alice", alice, projects=["foo"]).text
    mark = f"--{uploads._BOUNDARY}".encode()
    for name, (part, status) in LATER.items():
        body = BODY.removesuffix(b"--\r\n") + b"\r\n" + part + b"\r\n" + mark + b"--\r\n"
        head = (
            f"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {text}\r\n"
            f"Content-Type: multipart/form-data; boundary={uploads._BOUNDARY}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        ).encode()
        told = raw(simple.port, head + body)
        assert told.startswith(b"HTTP/1.1 %d " % status), (name, told[:200])
        assert not list((pypiserver.place / "packages").glob("foo*")), name


def test_names_come_before_a_file_that_is_not_held(simple: Served, alice: str) -> None:
    text = make(simple, "alice", alice, projects=["foo"]).text
    late = {":action": "file_upload", "summary": "x" * 3_000_000, "name": "foo"}
    body = uploads.form(late, ("foo-1.0.tar.gz", b"x"))
    kind = f"multipart/form-data; boundary={uploads._BOUNDARY}"
    fields = {"Content-Type": kind, "Authorization": f"Bearer {text}"}
    told = simple.client().post("/", body=body, fields=fields)
    assert (told.status, told.slug) == (400, "unreadable_form")


def test_a_read_token_uploads_nothing_and_an_upload_token_reads_nothing(
    simple: Served, alice: str
) -> None:
    read = make(simple, "alice", alice, "r", actions=["read"]).text
    assert upload(simple, "/", read).slug == "token_scope"
    fields = {"Authorization": f"Bearer {read}"}
    assert simple.client().get("/simple/", fields=fields).status == 200
    up = {"Authorization": f"Bearer {make(simple, 'alice', alice, 'u').text}"}
    assert simple.client().get("/simple/", fields=up).slug == "token_scope"


def test_devpi_by_index_and_project(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    scope: dict[str, Any] = {"indexes": [f"{user}/dev"], "projects": ["foo", "acme-*"]}
    text = make(devpi, user, password, actions=["upload", "read"], **scope).text
    assert upload(devpi, f"/{user}/dev/", text).status == 200
    assert upload(devpi, f"/{user}/dev/", text, "acme-core").status == 200
    assert upload(devpi, f"/{user}/dev/", text, action="submit").status == 200
    for target, project in ((f"/{user}/dev/", "bar"), (f"/{user}/other/", "foo")):
        assert upload(devpi, target, text, project).slug == "token_scope"
    own = {"Authorization": f"Bearer {text}"}
    plain = {":action": "submit", "name": "foo", "version": "2.0"}  # devpi-client's registration
    assert devpi.client().post(f"/{user}/dev/", form=plain, fields=own).status == 200
    told = devpi.client().post(f"/{user}/dev/", form={**plain, "name": "bar"}, fields=own)
    assert told.slug == "token_scope"
    page = devpi.client().get(f"/{user}/dev/+simple/foo/", fields=own)
    assert page.status == 200
    link = page.text.partition('href="')[2].partition("#")[0].replace("../../", "/")
    file = f"/{user}/dev/+f/" + link.partition("+f/")[2]
    assert devpi.client().get(file, fields=own).body == b"x"
    for target in (f"/{user}/dev/+simple/bar/", f"/{user}/dev/+simple/", "/root/pypi/+simple/foo/"):
        assert devpi.client().get(target, fields=own).slug == "token_scope", target


NEVER = {
    "a login": ("POST", "/+login", {"user": "U", "password": "P"}),
    "an account": ("PATCH", "/U", {"password": "n3w secret of mine"}),
    "another account": ("PUT", "/new", {"password": "n3w secret of mine"}),
    "no account left": ("DELETE", "/U", None),
    "a token of devpi-tokens": ("POST", "/U/+token-create", {"allowed": ["upload"]}),
}


def test_what_no_token_opens(devpi: Served, person: Person) -> None:
    user, password = person()
    text = make(devpi, user, password, actions=["upload", "read"]).text
    fields = {"Authorization": f"Bearer {text}", "Accept": "application/json"}
    for name, (method, target, send) in NEVER.items():
        told = devpi.client().call(method, target.replace("U", user), send=send, fields=fields)
        assert told.status == 403, (name, told.text)
        wanted = "token_no_login" if name == "a login" else "token_scope"
        assert told.slug == wanted, name


# -- refusals ---------------------------------------------------------------------------------


def test_a_refusal_says_why_in_the_reason_and_in_the_body(simple: Served, alice: str) -> None:
    made = make(simple, "alice", alice)
    simple.run(simple.running.parts.tokens.revoke("alice", made.token.id, HERE))
    head = (
        "GET /simple/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {made.text}\r\n"
    )
    told = raw(simple.port, f"{head}\r\n".encode())
    words = b"This token was revoked. Make a new one and use that."
    assert told.startswith(b"HTTP/1.1 401 " + words + b"\r\n")
    assert b'WWW-Authenticate: Basic realm="index"' in told
    said = json.loads(told.rpartition(b"\r\n\r\n")[2])
    assert (said["message"], said["slug"]) == (words.decode(), "token_revoked")
    told = raw(simple.port, f"{head}Accept: application/json\r\n\r\n".encode())
    assert told.startswith(b"HTTP/1.1 401 Unauthorized\r\n")


def test_an_expired_and_a_foreign_one(simple: Served, alice: str) -> None:
    made = make(simple, "alice", alice, lifetime=60.0)
    simple.offset += 61
    assert upload(simple, "/", made.text).slug == "token_expired"
    pypi = pypitoken.Token.create("pypi.org", "0d7a", "key").dump()
    assert upload(simple, "/", pypi).slug == "token_elsewhere"
    assert upload(simple, "/", "pypi-oops").slug == "token_unreadable"


def test_wrong_tokens_count_as_guesses_and_right_ones_pass(simple: Served, alice: str) -> None:
    made = make(simple, "alice", alice)
    good = pypitoken.Token.load(made.text)
    slugs = []
    for number in range(60):
        wrong = pypitoken.Token.create(good.domain, good.identifier, f"key {number}").dump()
        slugs.append(upload(simple, "/", wrong).slug)
    assert slugs[0] == "token_unknown"
    assert slugs[-1] == "throttled"
    assert upload(simple, "/", made.text).status == 200


def test_a_changed_password_marks_it_and_says_so(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    user, password = person()
    made = make(devpi, user, password)
    assert upload(devpi, f"/{user}/dev/", made.text).status == 200
    index = Client(devpi_server.port)
    told = index.call("PATCH", f"/{user}", auth=(user, password), send={"password": "an0ther s3c"})
    assert told.status == 200
    devpi.offset += 301
    told = upload(devpi, f"/{user}/dev/", made.text)
    assert (told.status, told.slug) == (401, "token_needs_renewal"), told.text
    (listed,) = devpi.run(devpi.running.parts.tokens.of(user))
    assert listed.token.refused
    assert entries(devpi, Event.TOKEN_NEEDS_RENEWAL)[-1]["user"] == user


def test_the_first_refusal_after_a_changed_password_says_so(
    serve: Serve, children: Children, tmp_path: Path
) -> None:
    """Though the index took it a moment ago, and whether it is a program that reads or uploads."""
    (tmp_path / "index").mkdir()
    index = servers.start_pypiserver(children, tmp_path / "index", PYPISERVER_USERS)
    served = serve("pypiserver", index.url)
    served.enrol("alice", "bob")
    made = {name: make(served, name, PYPISERVER_USERS[name]) for name in ("alice", "bob")}
    for name, one in made.items():
        assert upload(served, "/", one.text, name).status == 200
    again = upload(served, "/", made["alice"].text, "alice")
    assert (again.status, again.slug) == (409, ""), "what the index says of another thing"
    changed = {**PYPISERVER_USERS, "alice": "an0ther s3c"}
    write_htpasswd(tmp_path / "index/htpasswd", changed, rounds=servers.FEWEST_ROUNDS)
    told = upload(served, "/", made["alice"].text, "next", content=b"x" * 3_000_000)
    assert (told.status, told.slug) == (401, "token_needs_renewal"), told.text
    assert upload(served, "/", made["bob"].text, "next").status == 200
    (listed,) = served.run(served.running.parts.tokens.of("alice"))
    assert listed.token.refused


def test_another_refusal_of_the_index_is_its_own(devpi: Served, person: Person) -> None:
    user, password = person()
    other, _ = person()
    told = upload(devpi, f"/{other}/dev/", make(devpi, user, password).text)
    assert (told.status, told.slug) == (403, ""), told.text


def test_what_another_process_heard_of_it_counts_at_once(simple: Served, alice: str) -> None:
    """It asks anew, though the index took the password a moment ago."""
    made = make(simple, "alice", alice)
    tokens = simple.running.parts.tokens
    assert upload(simple, "/", made.text, action="verify").status == 200
    simple.run(tokens.index_says(made.token, HERE, right=False))
    assert simple.run(tokens.of("alice"))[0].token.refused
    assert upload(simple, "/", made.text, action="verify").status == 200
    assert not simple.run(tokens.of("alice"))[0].token.refused


def test_a_narrowed_one_passes_where_the_whole_would(
    devpi: Served, person: Person, devpi_server: servers.Index
) -> None:
    """As devpi-client narrows what it has for one upload."""
    user, password = person()
    token = pypitoken.Token.load(make(devpi, user, password).text)
    now = int(devpi.clock())
    token.restrict(project_names=["foo"], not_before=now - 1, not_after=now + 60)
    assert upload(devpi, f"/{user}/dev/", token.dump()).status == 200
    assert upload(devpi, f"/{user}/dev/", token.dump(), "bar").slug == "token_scope"
    devpi.offset += 61
    assert upload(devpi, f"/{user}/dev/", token.dump()).slug == "token_expired"


def test_a_foreign_page_cannot_use_what_a_browser_remembers(simple: Served, alice: str) -> None:
    text = make(simple, "alice", alice).text
    body = uploads.form({":action": "file_upload", "name": "foo"}, ("foo-1.0.tar.gz", b"x"))
    fields = {
        "Content-Type": f"multipart/form-data; boundary={uploads._BOUNDARY}",
        "Authorization": basic("__token__", text),
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "cross-site",
        "Origin": "https://evil.example",
    }
    assert simple.client().post("/", body=body, fields=fields).status == 403


def test_without_the_store_no_token_passes(simple: Served, alice: str) -> None:
    text = make(simple, "alice", alice, actions=["read"]).text
    simple.run(simple.running.store.close())
    told = simple.client().get("/simple/", fields={"Authorization": f"Bearer {text}"})
    assert (told.status, told.slug) == (503, "store_unavailable")


# -- how programs make and end them -----------------------------------------------------------


def asked(served: Served, send: object, **fields: str) -> Answer:
    return served.client().post("/+auth/api/tokens", send=send, fields=fields)


def test_a_program_makes_one_with_password_and_code(simple: Served, alice: str) -> None:
    wish = {"user": "alice", "name": "ci", "actions": ["upload"], "projects": ["Foo"], "days": 30}
    send = {**wish, "password": alice}
    assert asked(simple, send).slug == "otp_required"
    assert asked(simple, {**send, "password": "wrong"}).slug == "password_invalid"
    assert asked(simple, {**send, "code": simple.wrong("alice")}).slug == "otp_invalid"
    told = asked(simple, {**send, "code": simple.code("alice")})
    assert told.status == 201, told.text
    assert told.first("cache-control") == "no-store"
    jsonschema.validate(told.json, dict(messages.TOKEN))
    jsonschema.validate(send, dict(messages.REQUEST))
    assert told.json["projects"] == ["foo"]
    assert upload(simple, "/", told.json["token"]).status == 200
    other = {**send, "name": "other", "password": f"{alice},{simple.code('alice')}"}
    assert asked(simple, other).status == 201
    third = {**send, "name": "third", "code": simple.code("alice")}
    for wrong in ({"days": 1000}, {"name": ""}, {"actions": ["manage"]}, {"indexes": ["a/dev"]}):
        assert asked(simple, {**third, **wrong}).slug == "token_request", wrong
    assert asked(simple, third).status == 201, "what was wrong used up no code"


BAD = {
    "no JSON": b"nothing",
    "a list": b"[]",
    "deep": b"[" * 9999,
    "a key too many": b'{"user":"alice","more":1}',
    "a key too few": b'{"user":"alice"}',
    "no text": b'{"user":1,"password":"x","name":"x","actions":["upload"],"days":1}',
    "no days": b'{"user":"a","password":"x","name":"x","actions":["upload"],"days":true}',
    "no number": b'{"user":"a","password":"x","name":"x","actions":["upload"],"days":NaN}',
    "no action": b'{"user":"a","password":"x","name":"x","actions":[],"days":1}',
    "half a character": b'{"user":"a","password":"\\ud800","name":"x","actions":["read"],"days":1}',
    "no list": b'{"user":"a","password":"x","name":"x","actions":"upload","days":1}',
}


def test_what_is_no_request_for_a_token(simple: Served) -> None:
    for name, body in BAD.items():
        kind = {"Content-Type": "application/json"}
        told = simple.client().post("/+auth/api/tokens", body=body, fields=kind)
        assert (told.status, told.slug) == (400, "token_request"), (name, told.text)
    told = simple.client().post("/+auth/api/tokens", form={"user": "alice"})
    assert told.slug == "unsupported_type"
    assert simple.client().get("/+auth/api/tokens").slug == "method_not_allowed"
    told = asked(simple, {}, Origin=simple.url)
    assert told.slug == "cross_site"


def test_a_token_ends_itself(simple: Served, alice: str) -> None:
    text = make(simple, "alice", alice).text
    fields = {"Authorization": f"Bearer {text}"}
    told = simple.client().post("/+auth/api/tokens/burn", fields=fields)
    assert told.status == 200, told.text
    assert upload(simple, "/", text).slug == "token_revoked"
    assert simple.client().post("/+auth/api/tokens/burn").slug == "credential_required"
    other = text[:-1] + ("Q" if text.endswith("A") else "A")
    fields = {"Authorization": f"Bearer {other}"}
    assert simple.client().post("/+auth/api/tokens/burn", fields=fields).status == 401


def test_a_service_account_stands_for_every_token(
    serve: Callable[..., Served], pypiserver: servers.Index, tmp_path: Path
) -> None:
    (tmp_path / "bob.password").write_text(PYPISERVER_USERS["bob"] + "\n")
    account = {"user": "bob", "password": f"file:{tmp_path}/bob.password"}
    served = serve("pypiserver", pypiserver.url, upstream__service_account=account)
    served.enrol("alice")
    send = {"user": "alice", "password": PYPISERVER_USERS["alice"], "code": served.code("alice")}
    told = asked(served, {**send, "name": "ci", "actions": ["upload"], "days": 1})
    assert told.status == 201, told.text
    (kept,) = served.run(served.running.parts.tokens.of("alice"))
    assert kept.token.credential == ""
    told = upload(served, "/", told.json["token"])
    assert told.status == 200, told.text
    (pypiserver.place / "packages" / "foo-1.0.tar.gz").unlink()


def test_manage_opens_deletions_where_it_is_allowed(
    serve: Callable[..., Served], pypiserver: servers.Index
) -> None:
    served = serve("pypiserver", pypiserver.url, tokens={"manage": True})
    password = PYPISERVER_USERS["alice"]
    text = make(served, "alice", password, actions=["upload", "manage"], projects=["foo"]).text
    assert upload(served, "/", text).status == 200
    fields = {"Authorization": f"Bearer {text}"}
    form = {":action": "remove_pkg", "name": "bar", "version": "1.0"}
    assert served.client().post("/", form=form, fields=fields).slug == "token_scope"
    kept = pypiserver.place / "packages" / "foo-1.0.tar.gz"
    assert kept.exists()
    assert served.client().post("/", form={**form, "name": "foo"}, fields=fields).status == 200
    assert not kept.exists()


def test_a_token_is_no_password(devpi: Served, person: Person) -> None:
    user, password = person()
    text = make(devpi, user, password).text
    told = devpi.client().post("/+login", send={"user": user, "password": text})
    assert (told.status, told.slug) == (403, "token_no_login")


# -- policies, and the tokens of devpi-tokens -------------------------------------------------


def test_where_a_rule_asks_for_a_token_one_passes_and_a_password_does_not(
    serve: Callable[..., Served], devpi_server: servers.Index
) -> None:
    served = serve("devpi", devpi_server.url, tests=None, **only("token"))
    user = "tokenonly"
    password = devpi_server.person(user)
    text = make(served, user, password, actions=["upload", "read"]).text
    assert upload(served, f"/{user}/dev/", text).status == 200
    fields = {"Authorization": f"Bearer {text}"}
    assert served.client().get(f"/{user}/dev/+simple/", fields=fields).status == 200
    told = upload(served, f"/{user}/dev/", password, user=user)
    assert (told.status, told.slug) == (401, "second_factor_required")
    assert "send an API token" in told.text
    told = served.client().call("DELETE", f"/{user}/dev/foo", fields=fields)
    assert told.slug == "token_scope"


def test_tokens_of_devpi_tokens_in_every_way(
    serve: Callable[..., Served], devpi_server: servers.Index
) -> None:
    served = serve("devpi", devpi_server.url, tests=None, **only("authenticated"))
    user = "accessed"
    password = devpi_server.person(user)
    index = Client(devpi_server.port)
    json_only = {"Accept": "application/json"}
    fields = {**json_only, "X-Devpi-Auth": coded(f"{user}:{password}")}
    made = index.post(f"/{user}/+token-create", send={"allowed": ["pkg_read"]}, fields=fields)
    assert made.status == 200, made.text
    theirs = made.json["result"]["token"]
    assert theirs.startswith("devpi-")
    ours = make(served, user, password, actions=["read"]).text
    for text in (theirs, ours):
        for name, way in WAYS.items():
            if text == theirs and name in ("without padding", "blanks around", "both", "token"):
                continue  # devpi does not read these
            if text == theirs and name == "the user in capitals":
                continue
            fields = way(user, text)
            told = served.client().get(f"/{user}/dev/+simple/", fields=fields)
            assert told.status == 200, (name, text[:9], told.text)
    broken = theirs[:-4] + "AAAA"
    for name in ("Bearer", ":TOKEN", "USER:TOKEN", "__token__:TOKEN"):
        told = served.client().get(f"/{user}/dev/+simple/", fields=WAYS[name](user, broken))
        assert told.status in (401, 403), name
    assert served.client().get(f"/{user}/dev/+simple/").status == 401


# -- given by a browser -----------------------------------------------------------------------


def test_a_browsers_login_at_devpi_stands_for_it(devpi: Served, person: Person) -> None:
    """What devpi handed out to the browser goes to the index, as long as devpi takes it."""
    user, password = person()
    browser = devpi.browse_in(user, password)
    begun = devpi.client().post("/+auth/api/login", send={"actions": ["upload", "read"]}).json
    here = begun["approve"].removeprefix(devpi.url)
    page = browser.browse("GET", here)
    assert page.status == 200, page.fields
    fields = form(page, here) | {"number": begun["number"]}
    assert browser.browse("POST", here, form=fields, fields=devpi.ours()).status == 303
    assert "Login approved" in browser.browse("GET", here).text
    fetched = devpi.client().post("/+auth/api/login/poll", send={"secret": begun["secret"]})
    assert fetched.status == 200, fetched.text
    assert fetched.json["user"] == user
    text = fetched.json["token"]
    assert upload(devpi, f"/{user}/dev/", text).status == 200
    listing = devpi.client().get(f"/{user}/dev/+simple/foo/", auth=("__token__", text))
    assert listing.status == 200
    assert "foo-1.0.tar.gz" in listing.text
    devpi.browse_in(user, password)
    others = browser.browse("GET", "/+auth/")
    fields = form(others, "/+auth/sessions/end-others")
    ended = browser.browse("POST", "/+auth/sessions/end-others", form=fields, fields=devpi.ours())
    assert ended.status == 303
    assert upload(devpi, f"/{user}/dev/", text, "bar").slug == "token_revoked"
