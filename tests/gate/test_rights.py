"""Rights per person, group and project: who gets through, by whatever a request names itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.core.audit.events import Event
from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.gate.recorder import Recorder
from tests.gate.served import Served
from tests.gate.test_tokens import make
from tests.support import servers
from tests.support.http import Answer, basic

GROUPS = {
    "release": {"users": ["Alice"], "groups": ["seniors"], "projects": ["billing-*"]},
    "seniors": {"users": ["carol"]},
}
ACTIONS = {":action": ["file_upload", "doc_upload", "submit"]}
POST = {"methods": ["POST"], "path": "/"}
OWNED: dict[str, Any] = {
    "name": "owned",
    "match": POST | {"form": ACTIONS, "projects": "@owned", "groups": "@owners"},
    "policy": "pass",
}
OTHERS: dict[str, Any] = {"name": "others", "match": POST | {"form": ACTIONS}, "policy": "pass"}
REMOVAL = {
    "name": "removal",
    "match": POST
    | {"form": {":action": "remove_pkg"}, "projects": "billing-*", "groups": "release"},
    "policy": "second_factor",
}
READING = {"name": "reading", "match": {"methods": ["GET"], "path": "/**"}, "policy": "pass"}
PRIVATE = {
    "name": "private",
    "match": {"methods": ["GET"], "path": "/**", "projects": "@release", "users": "carol"},
    "policy": "pass",
}
TYPE = "multipart/form-data; boundary=xYzZY"
ALICE, BOB = ("alice", "a password"), ("bob", "a password")


def part(name: str, value: str, file: str | None = None) -> bytes:
    named = f'; filename="{file}"' if file is not None else ""
    return (
        f'--xYzZY\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n{value}\r\n'
    ).encode()


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xYzZY--\r\n"


UPLOAD, VERSION = part(":action", "file_upload"), part("version", "1.0")


def upload(name: str, file: str = "", action: str = "file_upload") -> bytes:
    file = file or f"{name}-1.0.tar.gz"
    return form(part(":action", action), part("name", name), VERSION, part("content", "x", file))


def send(
    served: Served, body: bytes, auth: tuple[str, str] | None, target: str = "/", **fields: str
) -> Answer:
    kind = {"Content-Type": TYPE}
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return served.client().post(target, body=body, auth=auth, fields=kind | named)


@pytest.fixture
def index() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def gate(serve: Serve, index: Recorder) -> Served:
    rules = [OWNED, OTHERS, REMOVAL, PRIVATE, READING]
    return serve("pypiserver", index.url, groups=GROUPS, rules=rules, tests=[])


def outcome(told: Answer, index: Recorder) -> str:
    """The refusal, or "" where it reached the index as often as it should."""
    reached = sum(b"verify" not in one.body for one in index.seen)
    index.seen.clear()
    if told.status == 200:
        assert reached == 1
        return ""
    assert reached == 0, "nothing of a refused request goes on"
    return told.slug


WHO = {
    "a member": (ALICE, ""),
    "in another spelling": (("ALICE", "x"), ""),
    "a member by a group": (("carol", "x"), ""),
    "somebody else": (BOB, "not_permitted"),
    "nobody": (None, "credential_required"),
    "a name nobody can have": (("\u202ealice", "x"), "not_permitted"),
}


@pytest.mark.parametrize(("auth", "slug"), WHO.values(), ids=WHO)
def test_who_uploads_what_a_group_owns(
    gate: Served, index: Recorder, auth: tuple[str, str] | None, slug: str
) -> None:
    for name in ("billing-core", "Billing_Core", "billing.core"):
        assert outcome(send(gate, upload(name), auth), index) == slug
    body = upload("billing-core", "docs.zip", "doc_upload")
    assert outcome(send(gate, body, auth), index) == slug


@pytest.mark.parametrize("auth", [ALICE, BOB, None], ids=["member", "other", "nobody"])
def test_what_nobody_owns_is_as_before(
    gate: Served, index: Recorder, auth: tuple[str, str] | None
) -> None:
    assert outcome(send(gate, upload("billing"), auth), index) == ""
    assert outcome(send(gate, upload("tools"), auth), index) == ""


BIG = part("content", "x" * 3_000_000, "tools-1.0.tar.gz")
TWO_NAMES = form(UPLOAD, part("name", "tools"), part("name", "billing-core"))
TWO_SPELLINGS = form(UPLOAD, part("Name", "tools"), part("name", "tools"))
OTHER_WHEEL = "billing_core-1.0-py3-none-any.whl"
UNCLEAR = {
    "the name twice": (TWO_NAMES, "unreadable_form"),
    "almost called name": (TWO_SPELLINGS, "unreadable_form"),
    "no name": (form(UPLOAD, VERSION, part("content", "x", "tools-1.0.tar.gz")), "project_unclear"),
    "an empty name": (upload(""), "project_unclear"),
    "a name that is none": (upload("billing core", "billing-core-1.0.tar.gz"), "project_unclear"),
    "letters that fold to others": (upload("bi\u2113ling"), "unreadable_form"),
    "the file of another project": (upload("tools", "billing-core-1.0.tar.gz"), "project_unclear"),
    "a wheel of another project": (upload("tools", OTHER_WHEEL), "project_unclear"),
    "a path as the file": (upload("tools", "billing-core/tools-1.0.tar.gz"), "project_unclear"),
    "a second file of another": (
        form(UPLOAD, part("name", "tools"), VERSION, part("content", "x", "tools-1.0.tar.gz"),
             part("content", "x", "billing-core-1.0.tar.gz")),
        "project_unclear",
    ),
    "the name as a file": (form(UPLOAD, part("name", "tools", "tools")), "unreadable_form"),
    "the name behind a big file": (form(UPLOAD, BIG, part("name", "tools")), "unreadable_form"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "slug"), UNCLEAR.values(), ids=UNCLEAR)
@pytest.mark.parametrize("auth", [ALICE, BOB], ids=["member", "other"])
def test_what_could_be_another_project_is_refused(
    gate: Served, index: Recorder, auth: tuple[str, str], body: bytes, slug: str
) -> None:
    told = send(gate, body, auth)
    assert told.slug == slug
    assert not any(one.body for one in index.seen)


def test_a_name_behind_a_small_file_decides_as_well(gate: Served, index: Recorder) -> None:
    body = form(
        UPLOAD, part("content", "x", "billing-core-1.0.tar.gz"), part("name", "billing-core")
    )
    assert outcome(send(gate, body, BOB), index) == "not_permitted"
    assert outcome(send(gate, body, ALICE), index) == ""


def test_a_big_upload_goes_on_as_it_came(gate: Served, index: Recorder) -> None:
    body = form(UPLOAD, part("name", "tools"), VERSION, BIG)
    assert send(gate, body, BOB).status == 200
    assert index.seen[0].body == body


def test_a_second_file_behind_what_has_gone_on_ends_the_request(
    gate: Served, index: Recorder
) -> None:
    body = form(
        UPLOAD, part("name", "tools"), VERSION, BIG, part("sig", "x", "billing-core-1.0.tar.gz")
    )
    told = send(gate, body, BOB)
    assert told.slug == "project_unclear"
    assert not any(one.body == body for one in index.seen)


def test_two_names_in_one_request(gate: Served, index: Recorder) -> None:
    """Everybody named has to fit, and a credential that names nobody does not."""
    body = upload("billing-core")
    told = send(gate, body, ALICE, X_Devpi_Auth=basic("bob", "x").removeprefix("Basic "))
    assert outcome(told, index) == "", "pypiserver reads no such field"
    told = send(gate, body, None, Authorization="Bearer something")
    assert outcome(told, index) == "not_permitted"


def test_a_session_stands_for_who_logged_in(
    serve: Serve, pypiserver: servers.Index, index: Recorder
) -> None:
    """To read; for changes it is no credential, so nobody asks."""
    readers = {"name": "all", "match": {"methods": ["GET"], "path": "/**", "users": "alice"}}
    rules = [readers | {"policy": "authenticated"}, OWNED]
    served = serve("pypiserver", pypiserver.url, groups=GROUPS, rules=rules, tests=[])
    served.enrol("alice", "bob")
    for user, status in (("alice", 200), ("bob", 403)):
        browser = served.browse_in(user, PYPISERVER_USERS[user])
        told = browser.get("/simple/hello/", fields=served.ours())
        assert told.status == status, told.text
        kind = {"Content-Type": TYPE} | served.ours()
        told = browser.post("/", body=upload("billing-core"), fields=kind)
        assert told.slug == ("session_not_enough" if user == "alice" else "not_permitted")
    assert served.client().get("/simple/hello/").slug == "credential_required"
    led = served.client().browse("GET", "/simple/hello/")
    assert led.status == 303 and led.first("location").startswith("/+auth/login")


def test_what_a_browser_adds_for_a_foreign_page_names_nobody(gate: Served, index: Recorder) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    told = send(gate, upload("billing-core"), ALICE, **foreign, Sec_Fetch_Mode="navigate")
    assert told.status == 403
    assert outcome(told, index) in ("cross_site", "")
    assert not index.seen


def test_reading_what_a_group_owns(gate: Served, index: Recorder) -> None:
    paths = (
        "/simple/billing-core/", "/simple/Billing_Core/", "/billing-core", "/billing.core/json",
        "/packages/billing_core-1.0-py3-none-any.whl", "/packages/x/billing-core-1.0.tar.gz",
    )  # fmt: skip
    for path in paths:
        assert outcome(gate.client().get(path, auth=BOB), index) == "not_permitted", path
        assert gate.client().get(path, auth=("carol", "x")).status == 200, path
        index.seen.clear()
    assert gate.client().get("/packages/billing-core").slug == "project_unclear"
    for path in ("/", "/simple/", "/simple/tools/", "/packages/tools-1.0.tar.gz"):
        assert outcome(gate.client().get(path), index) == "", path


def test_a_token_counts_as_its_owner(serve: Serve, pypiserver: servers.Index) -> None:
    served = serve(
        "pypiserver", pypiserver.url, groups=GROUPS, rules=[OWNED, OTHERS, READING], tests=[]
    )
    for user, slug in (("alice", ""), ("bob", "not_permitted")):
        token = make(served, user, PYPISERVER_USERS[user]).text
        told = send(served, upload("billing-core"), ("__token__", token))
        assert told.slug == slug, told.text
        told = send(served, upload("billing-core", "tools-1.0.tar.gz"), ("__token__", token))
        assert told.slug == "project_unclear"
    for left in (pypiserver.place / "packages").glob("billing*"):
        left.unlink()


def test_a_removal_takes_the_right_and_the_factor(gate: Served, index: Recorder) -> None:
    body = {":action": "remove_pkg", "name": "Billing.Core", "version": "1.0"}
    told = gate.client().post("/", form=body, auth=BOB)
    assert outcome(told, index) == "not_permitted"
    told = gate.client().post("/", form=body, auth=ALICE)
    assert told.slug == "second_factor_required"
    told = gate.client().post("/", form=body | {"name": "tools"}, auth=ALICE)
    assert told.slug == "second_factor_required", "no rule is for it, so the default"


def test_a_refusal_says_who_may_only_if_told_to(serve: Serve, index: Recorder) -> None:
    for rule in (OWNED, OWNED | {"tell_who": True}):
        served = serve("pypiserver", index.url, groups=GROUPS, rules=[rule], tests=[])
        told = send(served, upload("billing-core"), BOB)
        assert ("It is for the group that owns it." in told.text) == ("tell_who" in rule)
        assert "alice" not in told.text


def test_it_stands_in_the_trail(gate: Served) -> None:
    send(gate, upload("billing-core"), BOB)

    async def read() -> list[bytes]:
        return [raw async for raw in gate.running.parts.audit.lines()]

    last = json.loads(gate.run(read())[-1])
    assert (last["event"], last["user"], last["detail"]) == (
        *(Event.GUARDED_REFUSED, "bob"),
        "not_permitted",
    )
    assert last["origin"]["rule"] == "owned"


def test_a_later_rule_for_people_may_still_open(serve: Serve, index: Recorder) -> None:
    others = {
        "name": "others by two factors",
        "match": POST | {"form": ACTIONS, "users": "*"},
        "policy": "second_factor",
    }
    served = serve("pypiserver", index.url, groups=GROUPS, rules=[OWNED, others], tests=[])
    assert send(served, upload("billing-core"), ALICE).status == 200
    assert send(served, upload("billing-core"), BOB).slug == "second_factor_required"
    assert send(served, upload("billing-core"), None).slug == "credential_required"


# -- devpi ------------------------------------------------------------------------------------

AT_INDEX = "/{user:[^+]+}/{index:[^+]+}"
DEVPI: list[dict[str, Any]] = [
    {
        "name": "owned",
        "match": {"methods": ["POST", "PUT", "DELETE"], "path": "/**", "projects": "@release",
                  "groups": "release"},
        "policy": "pass",
    },
    {
        "name": "private indexes",
        "match": {"methods": ["GET"], "indexes": "prod/*", "groups": "seniors"},
        "policy": "pass",
    },
    {"name": "rest", "match": {"path": "/**"}, "policy": "pass"},
]  # fmt: skip


@pytest.fixture
def before_devpi(serve: Serve, index: Recorder) -> Served:
    return serve("devpi", index.url, groups=GROUPS, rules=DEVPI, tests=[])


def test_other_ways_to_change_a_project_at_devpi(before_devpi: Served, index: Recorder) -> None:
    def ask(method: str, path: str, user: str, **more: Any) -> str:
        told = before_devpi.client().call(method, path, auth=(user, "x"), **more)
        index.seen.clear()
        return told.slug if told.status != 200 else ""

    for path in ("/prod/main/billing-core", "/prod/main/Billing_core/1.0"):
        assert ask("DELETE", path, "bob") == "not_permitted"
        assert ask("DELETE", path, "alice") == ""
    file = "/prod/main/+f/ab/cd/billing_core-1.0-py3-none-any.whl"
    assert ask("DELETE", file, "bob") == "not_permitted"
    assert ask("PUT", "/prod/main/billing-core", "bob") == "not_permitted"
    push = {"name": "billing-core", "version": "1.0", "targetindex": "prod/main"}
    assert ask("POST", "/bob/dev", "bob", send=push) == "project_unclear", "its JSON is not read"
    assert ask("POST", "/bob/dev", "alice", send=push) == "project_unclear"
    assert ask("DELETE", "/prod/main", "alice") == "project_unclear", "of all its projects"
    assert ask("DELETE", "/prod/main/tools", "bob") == ""
    for action in ("submit", "file_upload", "doc_upload"):
        body = upload("billing-core", action=action)
        for user, slug in (("bob", "not_permitted"), ("carol", "")):
            told = send(before_devpi, body, (user, "x"), "/prod/main/")
            assert outcome(told, index) == slug


def test_indexes_that_a_group_reads(before_devpi: Served, index: Recorder) -> None:
    for path in ("/prod/main/+simple/x/", "/prod/main", "/prod/main/+f/a/b/x-1.0.tar.gz"):
        assert before_devpi.client().get(path).slug == "credential_required"
        assert before_devpi.client().get(path, auth=BOB).slug == "not_permitted"
        assert before_devpi.client().get(path, auth=("carol", "x")).status == 200
    assert before_devpi.client().get("/dev/main/+simple/x/").status == 200


def test_the_host_of_documentation_knows_nobody(serve: Serve, index: Recorder) -> None:
    """No credential comes there, so what is for certain people is read at the index."""
    paths = "/{user}/{index}/{project}/{version}/+doc/**"
    docs = {"policy": "pass", "response": "documentation"}
    mine = {"methods": ["GET"], "path": paths, "projects": "@release", "groups": "release"}
    rules = [
        docs | {"name": "private", "match": mine},
        docs | {"name": "open", "match": {"methods": ["GET"], "path": paths}},
    ]
    url = "http://docs.example.net"
    served = serve("devpi", index.url, groups=GROUPS, rules=rules, tests=[], documentation_url=url)
    private, anybodys = (f"/prod/main/{name}/1.0/+doc/index.html" for name in ("billing-ui", "x"))
    home = {"Host": "docs.example.net"}
    assert served.client().get(anybodys, fields=home).status == 200
    told = served.client().get(private, fields=home)
    assert told.status == 303 and told.first("location").startswith(served.url)
    index.seen.clear()
    assert served.client().get(private).slug == "credential_required"
    assert served.client().get(private, auth=BOB).slug == "not_permitted"
    assert not index.seen
    assert served.client().get(private, auth=ALICE).status == 200
    assert served.client().get(anybodys).first("location").startswith(url)


@pytest.mark.parametrize(
    "second",
    [
        {"X-Devpi-Auth": basic("bob", "x").removeprefix("Basic ")},
        {"Cookie": "auth_tkt=bob%3Ax"},
        {"X-Devpi-Auth": "not readable"},
    ],
    ids=["header", "cookie", "unreadable"],
)
def test_every_credential_has_to_fit(
    before_devpi: Served, index: Recorder, second: dict[str, str]
) -> None:
    client = before_devpi.client()
    told = client.get("/prod/main", auth=("carol", "x"), fields=second)
    assert told.slug == "not_permitted"
    assert not index.seen


# -- names that are new -------------------------------------------------------------------------

NEW = OTHERS | {"new_projects": "seniors"}


def test_only_a_group_begins_a_project(serve: Serve, pypiserver: servers.Index) -> None:
    served = serve("pypiserver", pypiserver.url, groups=GROUPS, rules=[NEW], tests=[])
    bob, carol = (("bob", PYPISERVER_USERS["bob"]), ("carol", PYPISERVER_USERS["carol"]))
    told = send(served, upload("brandnew"), bob)
    assert told.slug == "not_permitted" and "brandnew is not there yet" in told.text
    told = send(served, upload("brandnew"), ("bob", "wrong"))
    assert told.slug == "credential_required", "nobody learns of projects without a password"
    assert send(served, upload("brandnew"), carol).status == 200
    assert send(served, upload("Brandnew", "brandnew-1.1.tar.gz"), bob).status == 200
    for left in (pypiserver.place / "packages").glob("brandnew*"):
        left.unlink()


def test_an_index_that_does_not_say_has_no_such_project(serve: Serve) -> None:
    for answer in (b"500 Oops", b"302 Found", b"404 Not Found", b"403 Forbidden"):

        def says(seen: Any, answer: bytes = answer) -> bytes:
            wrong = b"wrong" not in seen.head and b"Basic" in seen.head
            simple = seen.line.startswith(b"GET /simple/")
            status = answer if simple else b"200 OK" if wrong else b"401 No"
            return b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"

        with Recorder(says) as upstream:
            served = serve("pypiserver", upstream.url, groups=GROUPS, rules=[NEW], tests=[])
            told = send(served, upload("tools"), BOB)
            assert told.status in (403, 502), (answer, told.text)
            assert not any(b"tools" in one.body for one in upstream.seen)


def test_at_devpi_what_an_index_inherits_is_new_to_it(
    serve: Serve, devpi_server: servers.Index
) -> None:
    rule = {
        "name": "uploads",
        "match": {"methods": ["POST"], "path": AT_INDEX, "form": ACTIONS},
        "policy": "pass",
        "new_projects": "seniors",
    }
    from gateway.cli.demo import indexes
    from gateway.cli.demo.indexes import Package

    base = "inherited"
    password = devpi_server.person(base, Package("alreadythere", "1.0"))
    user = "inheriting"
    secret = devpi_server.person(user)
    own = indexes.DevpiServer(devpi_server.port, user, secret)
    own.add_index(f"{user}/prod", bases=[f"{base}/dev"])
    rules = [rule, READING]
    served = serve("devpi", devpi_server.url, groups=GROUPS, rules=rules, tests=[])
    body = upload("alreadythere")
    told = send(served, body, (user, secret), f"/{user}/prod/")
    assert told.slug == "not_permitted", told.text
    again = upload("alreadythere", "alreadythere-1.0.zip")
    told = send(served, again, (base, password), f"/{base}/dev/")
    assert told.status == 200, told.text
