"""What a body makes devpi do, asked of devpi's own views: whatever pushes a release or uploads
documentation there took more than a password here, and an archive that it was looked into."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts, Field
from gateway.core.http.path import parse_target
from gateway.core.rules.rules import Policy, Rule, RuleSet
from gateway.gate.form_inspector import FormInspector
from gateway.gate.xml_body import XmlInspector, called_xml
from gateway.proxy.ports import Answer, Forward, Inspector, Plan
from gateway.settings import load
from tests.oracle import reading

pytestmark = pytest.mark.server  # devpi opens a socket as it starts, in this process
CONFIG = Path(__file__).parents[2] / "config/devpi.yaml"
TARGET = "/root/pypi"
GUARDED = {"push", "doc_upload"}


class Devpi:
    """The application, asked only what it would do with a body; it does none of it."""

    def __init__(self, app: Any, views: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._app = app
        self.did: set[str] = set()
        self.contents: list[bytes] = []
        getjson = views.getjson

        def push(request: Any) -> Any:
            getjson(request)
            self.did.add("push")
            views.abort(request, 400, "seen")

        def submit(view: Any) -> Any:
            form = view.request.POST
            self.did.add(str(form[":action"]))
            for content in form.getall("content"):
                self.contents.append(content.file.read() if hasattr(content, "file") else b"")
            views.abort(view.request, 400, "seen")

        def search(_view: Any, _body: bytes) -> Any:
            self.did.add("search")
            raise ValueError

        monkeypatch.setattr(views, "getjson", push)
        monkeypatch.setattr(views.PyPIView, "submit", submit)
        searching = import_module("devpi_web.views").SearchView
        monkeypatch.setattr(searching, "query_from_xmlrpc", search)

    def does(self, method: str, fields: list[Field], body: bytes) -> set[str]:
        """What a request with this body is for: `push`, `search`, the value of `:action`."""
        self.did.clear()
        self.contents.clear()
        sized = [*fields, ("Content-Length", "0")]
        environ = reading.environ_of(method, TARGET, sized)
        if environ is None:
            return set()
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        list(self._app(environ, lambda *_: None))
        return set(self.did)


@pytest.fixture(scope="module")
def devpi(devpi_app: Any) -> Iterator[Devpi]:
    with pytest.MonkeyPatch.context() as patched:
        yield Devpi(devpi_app, import_module("devpi_server.views"), patched)


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load(CONFIG).ruleset()


class Sent(NamedTuple):
    """What went to devpi: by which policy, and how much of the body (None: nothing of it all)."""

    policy: Policy | None
    body: bytes | None
    complete: bool = False


def through(rules: RuleSet, method: str, fields: list[Field], body: bytes, piece: int) -> Sent:
    """What the gateway lets through, fed in pieces."""
    lowered = tuple((name.lower(), value) for name, value in fields)
    facts = Facts(method, TARGET, *parse_target(TARGET), fields=lowered, client=None)
    decided: list[Policy] = []

    def decide(_facts: Facts, _rule: Rule | None, policy: Policy) -> Plan:
        decided.append(policy)
        return Forward()

    def refuse(_facts: Facts, refusal: Refusal) -> Answer:
        return Answer(refusal.status, (), refusal.slug.encode())

    try:
        matched = rules.match(facts)
        inspector: Inspector
        if called_xml(facts, matched):
            inspector = XmlInspector(
                facts, lambda: decide(facts, matched.rule, matched.policy), refuse
            )
        elif not matched.needs_form:
            return Sent(matched.policy, body, True)
        else:
            inspector = FormInspector(facts, matched, rules, decide, refuse)
    except Refusal:
        return Sent(None, None)
    safe = 0
    for start in range(0, len(body), piece or len(body) or 1):
        if isinstance(inspector.feed(body[start : start + (piece or len(body))]), Answer):
            break
        safe = inspector.safe if decided else 0
    else:
        if not isinstance(inspector.finish(), Answer):
            return Sent(decided[-1], body, True)
    return Sent(decided[-1] if decided else None, body[:safe] if safe else None)


def hold(devpi: Devpi, rules: RuleSet, method: str, fields: list[Field], body: bytes) -> set[str]:
    """What this request does at devpi, where it goes there whole; what goes there is right."""
    done: set[str] = set()
    for piece in (0, 1, 50):
        sent = through(rules, method, fields, body, piece)
        if sent.body is None:
            continue
        did = devpi.does(method, fields, sent.body)
        done |= did if sent.complete else set()
        assert sent.policy in (Policy.TOKEN, Policy.SECOND_FACTOR) or not did & GUARDED, sent
        if "doc_upload" in did:
            for content in devpi.contents:
                assert all(".." not in name for name in names_in(content)), sent
    return done


def names_in(content: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.namelist()
    except zipfile.BadZipFile:
        return []


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(name, b"x")
    return file.getvalue()


GOOD_ZIP, BAD_ZIP = archive("index.html"), archive("../../evil")
PUSH = json.dumps({"name": "x", "version": "1", "posturl": "http://127.0.0.1:1/", "username": "u"})
# A JSON document that is an urlencoded form as well.
BOTH = '{"name":"x","version":"1","posturl":"http://x/","u":"&:action=submit&x="}'
MULTIPART = "multipart/form-data; boundary=b"
URLENCODED = "application/x-www-form-urlencoded"


def part(name: str, value: bytes, *, filename: str = "", more: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{more}\r\n'
    return head.encode() + value + b"\r\n"


def upload(action: str, content: bytes = b"x", *, first: bool = False) -> bytes:
    file = part("content", content, filename="x-1.zip")
    fields = part(":action", action.encode()) + part("name", b"x") + part("version", b"1")
    return (file + fields if first else fields + file) + b"--b--\r\n"


CASES: dict[str, tuple[str, str | None, bytes, set[str]]] = {
    "an upload": ("POST", MULTIPART, upload("file_upload"), {"file_upload"}),
    "a release's metadata": ("POST", URLENCODED, b":action=submit&name=x", {"submit"}),
    "documentation": ("POST", MULTIPART, upload("doc_upload", GOOD_ZIP), {"doc_upload"}),
    "its archive first": (
        "POST", MULTIPART, upload("doc_upload", GOOD_ZIP, first=True), {"doc_upload"},
    ),
    "an archive that leaves its folder": ("POST", MULTIPART, upload("doc_upload", BAD_ZIP), set()),
    "the same, the archive first": (
        "POST", MULTIPART, upload("doc_upload", BAD_ZIP, first=True), set(),
    ),
    "the same by PUSH": ("PUSH", MULTIPART, upload("doc_upload", BAD_ZIP), set()),
    "such a release": ("POST", MULTIPART, upload("file_upload", BAD_ZIP), {"file_upload"}),
    "such a release, first": (
        "POST", MULTIPART, upload("file_upload", BAD_ZIP, first=True), {"file_upload"},
    ),
    "a tar archive": ("POST", MULTIPART, upload("doc_upload", bytes(1024)), set()),
    "a push": ("POST", "application/json", PUSH.encode(), {"push"}),
    "a push by PUSH": ("PUSH", "application/json", PUSH.encode(), {"push"}),
    "a push in a form": ("POST", MULTIPART, PUSH.encode(), set()),
    "a push as a form in capitals": ("POST", URLENCODED.upper(), BOTH.encode(), set()),
    "with a blank": ("POST", URLENCODED + " ; charset=utf-8", BOTH.encode(), set()),
    "both at once": ("POST", URLENCODED, BOTH.encode(), {"submit"}),
    "a push as a search": ("POST", "Text/XML", PUSH.encode(), set()),
    "a push as a search, with a blank": ("POST", "text/xml ;a=b", PUSH.encode(), set()),
    "a search": ("POST", "text/xml", b"<x/>", {"search"}),
    "a search in UTF-8": ("POST", "text/xml; charset=utf-8", b"<x/>", {"search"}),
    "a push that calls itself XML": ("POST", "text/xml", PUSH.encode(), set()),
    "in another charset": ("POST", "text/xml; charset=punycode", b"<x/>", set()),
    "an empty search": ("POST", "text/xml", b"", set()),
    "a push without a type": ("POST", None, PUSH.encode(), set()),
    "a push as text": ("POST", "text/plain", PUSH.encode(), set()),
    "a form without an action": ("POST", URLENCODED, b"name=x", set()),
    "an empty action": ("POST", URLENCODED, b":action=&x=" + PUSH.encode(), set()),
    "two actions": (
        "POST", MULTIPART, part(":action", b"submit") + upload("doc_upload", BAD_ZIP), set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("method", "kind", "body", "does"), CASES.values(), ids=CASES)
def test_what_a_body_does_at_devpi(
    devpi: Devpi, rules: RuleSet, method: str, kind: str | None, body: bytes, does: set[str]
) -> None:
    fields = [] if kind is None else [("Content-Type", kind)]
    assert hold(devpi, rules, method, fields, body) == does


def test_the_oracle_sees_what_goes_straight_to_devpi(devpi: Devpi) -> None:
    """So that the property below cannot hold for want of anything to see."""
    blank = [("Content-Type", URLENCODED + " ; charset=utf-8")]
    assert devpi.does("POST", blank, BOTH.encode()) == {"push"}
    assert devpi.does("POST", [("Content-Type", "Text/XML")], PUSH.encode()) == {"push"}
    assert devpi.does("POST", [("Content-Type", "text/xml")], PUSH.encode()) == {"search"}
    assert devpi.does("POST", [], b":action=doc_upload") == {"doc_upload"}
    bad = upload("doc_upload", BAD_ZIP)
    assert devpi.does("PUSH", [("Content-Type", MULTIPART)], bad) == {"doc_upload"}
    assert names_in(devpi.contents[0]) == ["../../evil"]


VALUE = st.sampled_from([b"submit", b"file_upload", b"doc_upload", b"", b"x", PUSH.encode()])
CONTENT = st.sampled_from([GOOD_ZIP, BAD_ZIP, b"x", b"", GOOD_ZIP + BAD_ZIP, PUSH.encode()])
PART = st.one_of(
    st.builds(part, st.sampled_from([":action", ":Action", "name", "content", "x"]), VALUE),
    st.builds(
        lambda name, value, more: part(name, value, filename="x-1.zip", more=more),
        st.sampled_from(["content", ":action", "Content"]),
        CONTENT,
        st.sampled_from(["", "Content-Type: text/x\r\n", "Content-Length: 3\r\n", "\t\r\n"]),
    ),
)
FORM = st.tuples(st.lists(PART, max_size=5), st.sampled_from([b"--b--\r\n", b"--b--", b""])).map(
    lambda made: b"".join(made[0]) + made[1]
)
PAIR = st.tuples(
    st.sampled_from([":action", "%3Aaction", ":action ", "name", "content", PUSH]),
    st.sampled_from(["submit", "doc_upload", "file%5Fupload", "x", ""]),
).map("=".join)
BODY = st.one_of(
    FORM,
    st.lists(PAIR, max_size=4).map(lambda pairs: "&".join(pairs).encode()),
    st.sampled_from([PUSH.encode(), BOTH.encode(), b"\xef\xbb\xbf" + PUSH.encode(), b"[]", b""]),
)
TYPE = st.builds(
    lambda base, change, end: change(base) + end,
    st.sampled_from(
        ["multipart/form-data", URLENCODED, "application/json", "text/xml", "text/plain", ""]
    ),
    st.sampled_from([str, str, str, str.upper, str.title, lambda base: base + " "]),
    st.sampled_from(["", "; boundary=b", ";boundary=b", "; charset=utf-8", "; charset=latin-1"]),
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(["POST", "POST", "PUSH"]), TYPE, BODY)
@example("POST", URLENCODED + ";charset=utf-8", BOTH.encode())
def test_whatever_pushes_or_documents_took_more_than_a_password(
    devpi: Devpi, rules: RuleSet, method: str, kind: str, body: bytes
) -> None:
    hold(devpi, rules, method, [("Content-Type", kind)] if kind.strip() else [], body)
