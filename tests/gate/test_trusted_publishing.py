"""Trusted publishing at a gateway before real index servers: the exchange on the wire, and every
way to upload what nobody but a publisher may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.core.audit.events import Event
from gateway.core.publishing.accounts import PublisherAccounts
from gateway.core.upstream import Credential
from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.gate.served import Served
from tests.gate.test_tokens import entries, make, upload
from tests.support import issuer as issuers
from tests.support import servers, uploads
from tests.support.http import Answer, basic
from tests.support.issuer import Issuer, publisher
from tests.support.names import unused

MINT = "/_/oidc/mint-token"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuers.running() as found:
        yield found


def minted(served: Served, issuer: Issuer, at: str = MINT, **changes: object) -> Answer:
    claims = issuers.github(served.clock(), f"localhost:{served.port}", **changes)
    return served.client().post(at, send={"token": issuer.token(claims)})


def told(answer: Answer) -> tuple[int, str]:
    """Status and code of a refused exchange."""
    assert answer.json["message"] == "Token request failed"
    (error,) = answer.json["errors"]
    assert set(error) == {"code", "description"}
    return answer.status, error["code"]


# -- before pypiserver --------------------------------------------------------------------------


@pytest.fixture
def simple(serve: Serve, pypiserver: servers.Index, issuer: Issuer) -> Iterator[Served]:
    service = {"user": "carol", "password": "env:CAROL"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROL", PYPISERVER_USERS["carol"])
        keys = {
            "publishers": [publisher(issuer, "foo", only=True)],
            "upstream__service_account": service,
        }
        yield serve("pypiserver", pypiserver.url, **keys)
    for left in (pypiserver.place / "packages").glob("foo*"):
        left.unlink()


def test_the_exchange_on_the_wire(simple: Served, issuer: Issuer) -> None:
    client = simple.client()
    answer = client.get("/_/oidc/audience")
    assert answer.status == 200
    assert answer.json == {"audience": f"localhost:{simple.port}"}
    assert client.call("HEAD", "/_/oidc/audience").status == 200
    for at in (MINT, "/_/oidc/github/mint-token"):
        made = minted(simple, issuer, at)
        assert made.status == 200, made.text
        assert set(made.json) == {"success", "token", "expires"}
        assert made.json["success"] is True
        assert made.json["token"].startswith("pypi-AgE")
        assert abs(made.json["expires"] - simple.clock() - 900) < 60
        assert made.first("cache-control") == "no-store"
    assert upload(simple, "/", made.json["token"]).status == 200
    assert client.post("/_/oidc/audience").status == 405
    assert client.get(MINT).status == 405
    assert client.get("/_/oidc/other").status == 404
    entry = entries(simple, Event.TOKEN_MADE)[-1]
    assert entry["user"] == "carol"
    assert "repository Acme/Foo" in entry["detail"]


def test_refusals_have_the_codes_of_pypi(simple: Served, issuer: Issuer) -> None:
    client = simple.client()
    for body in (b"", b"[]", b"{}", b'{"token": 7}', b'{"token": "a.b.c"}', b"\xff"):
        assert told(client.post(MINT, body=body)) == (422, "invalid-payload"), body
    asked = dict(issuer.asked)
    now, audience = simple.clock(), f"localhost:{simple.port}"
    good = issuers.github(now, audience)
    elsewhere = issuer.token({**good, "iss": issuer.url + "/"})
    assert told(client.post(MINT, send={"token": elsewhere})) == (422, "invalid-payload")
    other = issuer.token({**good, "aud": "pypi"})
    assert told(client.post(MINT, send={"token": other})) == (422, "invalid-token")
    none = issuer.token(good, algorithm="RS256").split(".")[1]
    unsigned = f"eyJhbGciOiJub25lIn0.{none}.AA"
    assert told(client.post(MINT, send={"token": unsigned})) == (422, "invalid-token")
    assert dict(issuer.asked) == asked  # nobody was asked
    stranger = issuers.signed(issuers.rsa("first"), {"iss": issuer.url, **good})
    assert told(client.post(MINT, send={"token": stranger})) == (422, "invalid-token")
    assert told(minted(simple, issuer, event_name="workflow_run")) == (422, "invalid-publisher")
    once = issuer.token(good)
    assert client.post(MINT, send={"token": once}).status == 200
    assert told(client.post(MINT, send={"token": once})) == (422, "invalid-reuse-token")
    refused = entries(simple, Event.PUBLISHER_REFUSED)
    assert [one["detail"].partition(";")[0] for one in refused] == [
        "release of foo: event_name differ",
        "release of foo: a second time",
    ]


def test_who_tries_many_is_slowed(simple: Served, issuer: Issuer) -> None:
    """Each is another one, signed by a key that is nobody's."""
    key, codes = issuers.rsa("first"), []
    client = simple.client()
    for _ in range(40):
        claims = issuers.github(simple.clock(), f"localhost:{simple.port}")
        wrong = issuers.signed(key, {"iss": issuer.url, **claims})
        answer = client.post(MINT, send={"token": wrong})
        codes.append(told(answer))
    assert codes[0] == (422, "invalid-token")
    assert codes[-1] == (429, "throttled")
    assert int(answer.first("retry-after")) > 0
    assert minted(simple, issuer).status == 200  # a right one holds nobody back


def test_off_without_publishers(serve: Serve, pypiserver: servers.Index, issuer: Issuer) -> None:
    served = serve("pypiserver", pypiserver.url)
    answer = served.client().get("/_/oidc/audience")
    assert (answer.status, answer.json) == (
        403,
        {"message": "Trusted publishing functionality not enabled"},
    )
    assert told(minted(served, issuer)) == (422, "not-enabled")


def test_nobody_else_uploads(simple: Served, issuer: Issuer) -> None:
    """pypiserver files what comes by its file name, whatever the form calls it."""
    simple.enrol("alice")
    password = PYPISERVER_USERS["alice"]
    mine = make(simple, "alice", password).text
    for user, secret in (("alice", password), ("__token__", mine), ("", "")):
        for project, file in (("foo", ""), ("Foo", ""), ("bar", "foo-1.0.tar.gz")):
            answer = upload(simple, "/", secret, project, file=file, user=user)
            assert answer.slug in ("publisher_only", "token_scope"), (user, project, answer.text)
    assert upload(simple, "/", password, "foobar", user="alice").status == 200
    fields = {"name": "bar", "version": "1"}
    form = uploads.form({"content": "x", ":action": "file_upload", **fields}, ("foo-1.tgz", b"x"))
    own = {"Content-Type": f"multipart/form-data; boundary={uploads._BOUNDARY}"}
    own["Authorization"] = basic("alice", password)
    assert simple.client().post("/", body=form, fields=own).slug == "publisher_only"
    token = minted(simple, issuer).json["token"]
    assert upload(simple, "/", token).status == 200
    assert upload(simple, "/", token, "bar").slug == "token_scope"
    assert simple.client().get("/simple/foo/", auth=("__token__", token)).status == 403


# -- before devpi -------------------------------------------------------------------------------


def test_before_devpi_in_somebodys_name(
    serve: Serve, devpi_server: servers.Index, issuer: Issuer
) -> None:
    alice = unused("publisher")
    password = devpi_server.person(alice)
    index = f"{alice}/dev"
    served = serve(
        "devpi",
        devpi_server.url,
        publishers=[publisher(issuer, "foo", index=index, user=alice, only=True)],
    )
    served.enrol(alice)
    assert told(minted(served, issuer)) == (422, "invalid-publisher")
    parts = served.running.parts
    accounts = PublisherAccounts(parts.flow.services.store, parts.flow.services.ring)
    served.run(accounts.keep(Credential(alice, password)))
    token = minted(served, issuer).json["token"]
    assert upload(served, f"/{index}/", token).status == 200
    assert upload(served, f"/{index}/", token, "bar").slug == "token_scope"
    assert upload(served, "/root/dev/", token).slug == "token_scope"
    (entry,) = entries(served, Event.TOKEN_USED)
    assert entry["user"] == alice

    # By whatever else alice has, also with a second factor.
    login = served.login(alice, password)
    mine = make(served, alice, password).text
    for secret in (password, f"{password},{served.code(alice)}", login, mine):
        assert upload(served, f"/{index}/", secret, user=alice).slug == "publisher_only"
    for action in ("submit", "doc_upload", "other"):
        archive = b"PK\5\6" + bytes(18)
        answer = upload(served, f"/{index}/", password, user=alice, action=action, content=archive)
        assert answer.slug == "publisher_only", action
    assert upload(served, f"/{index}/", password, "bar", user=alice).status == 200

    # devpi's push takes a release from one index to another.
    send = {"name": "Foo", "version": "1.0", "targetindex": index}

    def push(body: bytes, kind: str = "application/json", method: str = "POST", **more: str) -> str:
        fields = {"Content-Type": kind, "X-Devpi-Auth": basic(alice, login)[6:], **more}
        return served.client().call(method, f"/{index}", body=body, fields=fields).slug

    whole = json.dumps(send).encode()
    assert push(whole) == "publisher_only"
    assert push(whole, method="PUSH") == "publisher_only"
    assert push(json.dumps({**send, "targetindex": f"/{index}/"}).encode()) == "publisher_only"
    refused = {
        "named twice": (whole[:-1] + b', "name": "bar"}', "application/json"),
        "no type": (whole, ""),
        "as XML": (whole, "text/xml"),
        "a form in JSON's place": (b"<=1&:action=submit&name=foo&version=1", ""),
        "another charset": (json.dumps(send).encode("utf-16"), "application/json"),
        "said so": (whole, "application/json; charset=utf-7"),
        "a list": (b"[]", "application/json"),
        "a name of its own": (whole.replace(b'"Foo"', b'["Foo"]'), "application/json"),
        "long": (b" " * 70_000 + whole, "application/json"),
    }
    for what, (body, kind) in refused.items():
        assert push(body, kind) in ("bad_request", "unreadable_form"), what
    assert push(whole, **{"Content-Encoding": "gzip"}) == "bad_request"
    other = json.dumps({**send, "name": "bar"}).encode()
    assert push(other) == ""  # the index says what becomes of it
    assert push(json.dumps({**send, "targetindex": "root/other"}).encode()) == ""
    assert push(b"<?xml version='1.0'?><methodCall/>", "text/xml") == ""


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "gitlab": (
        {"project": "acme/group/foo", "project_id": 17, "workflow": ".gitlab-ci.yml"},
        {},
        "project_id",
    ),
    "google": (
        {"email": "ci@acme.iam.gserviceaccount.example", "subject": "1042"},
        {"email": "ci@acme.iam.gserviceaccount.example", "email_verified": True, "sub": "1042",
         "azp": "1042", "jti": None, "nbf": None},
        "sub",
    ),
    "activestate": (
        {"organization": "acme", "project": "foo", "actor_id": "a-1"},
        {"organization": "acme", "organization_id": "o-1", "project": "foo", "project_id": "p-1",
         "project_path": "acme/foo", "sub": "org:acme:project:foo", "actor": "alice",
         "actor_id": "a-1", "builder": "pypi-publisher", "ingredient": "foo",
         "artifact_id": "x-1"},
        "actor_id",
    ),
    "oidc": ({"claims": {"sub": "job:nightly"}}, {"sub": "job:nightly"}, "sub"),
}  # fmt: skip
"""What the configuration says of each kind but GitHub, what its issuer says of a job, and a claim
that has to be as it is."""


def test_every_other_kind_of_issuer(
    serve: Serve,
    pypiserver: servers.Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each with discovery and keys of its own, at the places where Google's and ActiveState's
    would be."""
    (tmp_path / "carol").write_text(PYPISERVER_USERS["carol"])
    service = {"user": "carol", "password": f"file:{tmp_path / 'carol'}"}
    with ExitStack() as stack:
        found = {kind: stack.enter_context(issuers.running()) for kind in KINDS}
        fixed = {kind: found[kind].url for kind in ("google", "activestate")}
        monkeypatch.setattr("gateway.settings.publishers._ISSUERS", fixed)
        publishers = [
            {"name": kind, "kind": kind, "projects": [f"of-{kind}"], **keys}
            | ({} if kind in fixed else {"issuer": found[kind].url})
            for kind, (keys, _, _) in KINDS.items()
        ]
        keys = {"publishers": publishers, "upstream__service_account": service}
        served = serve("pypiserver", pypiserver.url, **keys)
        audience = f"localhost:{served.port}"
        for kind, (_, said, decides) in KINDS.items():
            issuer = found[kind]

            def asked(
                changes: dict[str, object], issuer: Issuer = issuer, kind: str = kind
            ) -> Answer:
                claims = {**issuers.times(served.clock()), "aud": audience, **KINDS[kind][1]}
                if kind == "gitlab":
                    host = issuer.url.partition("//")[2]
                    claims = issuers.gitlab(served.clock(), audience, host)
                claims = {
                    name: one for name, one in {**claims, **changes}.items() if one is not None
                }
                return served.client().post(MINT, send={"token": issuer.token(claims)})

            assert told(asked({decides: "another"}))[1] == "invalid-publisher", kind
            made = asked({})
            assert made.status == 200, (kind, made.text)
            name = f"of_{kind}"
            assert upload(served, "/", made.json["token"], name).status == 200, kind
            assert upload(served, "/", made.json["token"], "of_another").status == 403, kind
            (pypiserver.place / "packages" / f"{name}-1.0.tar.gz").unlink()
            if said.get("jti", "") is None:  # Google's have no name of their own
                claims = {**issuers.times(served.clock()), "aud": audience, **said}
                once = issuer.token({name: one for name, one in claims.items() if one is not None})
                assert served.client().post(MINT, send={"token": once}).status in (200, 422)
                again = served.client().post(MINT, send={"token": once})
                assert told(again) == (422, "invalid-reuse-token")
            stranger = issuers.signed(issuers.rsa("first"), {"iss": issuer.url, **said})
            assert served.client().post(MINT, send={"token": stranger}).status == 422, kind
