"""What requests do at devpi, and what it holds: accounts, indexes, releases, tokens."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import zipfile
from typing import Any
from urllib.parse import urlencode

from gateway.cli.demo import indexes
from gateway.cli.demo.indexes import Package
from tests.fuzz.whole import FILE, ROOT, VICTIM, Act
from tests.support.gateways import Gateway
from tests.support.http import Client, basic
from tests.support.servers import ROOT_PASSWORD, Index

JSON, URLENCODED = "application/json", "application/x-www-form-urlencoded"
BOUNDARY = "f2b0c7d5"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
KEPT = Package("hello", "1.0")
PASSWORD = f"password of {VICTIM}"  # as `Index.person` makes it
ADDED = "added"  # what is uploaded while requests are tried
_EARNED = re.compile(
    rb'"(?:proxyauth|userpassword|token-info|tokens-info)"'
    rb"|^set-cookie:[ \t]*auth_tkt=[^;\s\"]", re.IGNORECASE | re.MULTILINE
)  # fmt: skip


def _object(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _part(name: str, value: bytes, file: str = "") -> bytes:
    named = f'; filename="{file}"' if file else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def _form(
    action: str, name: str, *, file: str = "", content: bytes = b"", more: bytes = b""
) -> bytes:
    made = _part(":action", action.encode()) + _part("name", name.encode())
    made += _part("version", b"1.0") + more
    if file:
        made += _part("content", content, file)
    return made + f"--{BOUNDARY}--\r\n".encode()


def _documentation() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.html", "<p>x</p>")
    return file.getvalue()


_PUSH = {"name": "hello", "version": "1.0"}
_AWAY = {**_PUSH, "posturl": "http://127.0.0.1:<prt>/", "username": "u", "password": "p"}
_INDEX, _ACCOUNT = (VICTIM, "dev"), (VICTIM,)
_LOGIN = _object(user=VICTIM, password=PASSWORD)
_PASSWORD = urlencode({"username": VICTIM, "password": PASSWORD, "submit": ""}).encode()
_DOCS = _form("doc_upload", "hello", file="hello.zip", content=_documentation())
# A JSON document that is a form as well.
_BOTH = b'{"name":"hello","version":"1.0","targetindex":"victim/other","u":"&:action=submit&x="}'

GUARDED = [
    Act("POST", ("+login",), JSON, _LOGIN),
    Act("POST", ("+login",), URLENCODED, _PASSWORD, "text/html"),
    Act("GET", ("+login",), URLENCODED, _PASSWORD, "text/html"),
    Act("GET", ("+authcheck",)),
    Act("PATCH", _ACCOUNT, JSON, _object(password="taken")),
    Act("PATCH", _ACCOUNT, JSON, _object(email="taken@example.org")),
    Act("PATCH", (ROOT,), JSON, _object(password="taken")),
    Act("PUT", ("another",), JSON, _object(password="another")),
    Act("DELETE", _ACCOUNT),
    Act("POST", (VICTIM, "+token-create"), JSON, b"{}"),
    Act("GET", (VICTIM, "+tokens")),
    Act("DELETE", (VICTIM, "+tokens", "1")),
    Act("PUT", (VICTIM, "another"), JSON, _object(type="stage", bases=[])),
    Act("PATCH", _INDEX, JSON, _object(acl_upload=[":ANONYMOUS:"])),
    Act("PATCH", _INDEX, JSON, json.dumps(["volatile=False"]).encode()),
    Act("DELETE", _INDEX),
    Act("DELETE", (*_INDEX, "hello")),
    Act("DELETE", (*_INDEX, "hello", "1.0")),
    Act("DELETE", (*_INDEX, FILE)),
    Act("POST", _INDEX, JSON, _object(**_PUSH, targetindex="victim/other")),
    Act("PUSH", _INDEX, JSON, _object(**_PUSH, targetindex="victim/other")),
    Act("POST", _INDEX, JSON, _object(**_AWAY)),
    Act("POST", _INDEX, MULTIPART, _object(**_AWAY)),
    Act("POST", _INDEX, URLENCODED + " ; charset=utf-8", _BOTH),
    Act("POST", _INDEX, "Text/XML", _BOTH),
    Act("POST", _INDEX, URLENCODED, _BOTH),
    Act("POST", _INDEX, "text/plain", _BOTH),
    Act("POST", _INDEX, "", _BOTH),
    Act("POST", _INDEX, MULTIPART, _DOCS),
    Act("PUSH", _INDEX, MULTIPART, _DOCS),
    Act("POST", _INDEX, MULTIPART, _part(":action", b"file_upload") + _DOCS),
    Act("POST", _INDEX, URLENCODED, b":action=submit&:action=doc_upload&name=hello&version=1.0"),
]
OPEN = [
    Act("POST", _INDEX, MULTIPART, _form("file_upload", ADDED, file="added-1.0.zip",
    content=_documentation())),
    Act("POST", _INDEX, MULTIPART, _form("submit", ADDED)),
    Act("POST", _INDEX, URLENCODED, b":action=submit&name=added&version=1.0"),
    Act("POST", (*_INDEX, FILE), JSON, b"{}"),
    Act("POST", (*_INDEX, "hello", "refresh")),
    Act("POST", _INDEX, "text/xml", b"<methodCall><methodName>search</methodName></methodCall>"),
    Act("GET", (*_INDEX, FILE)),
    Act("GET", (*_INDEX, "+simple", "hello")),
    Act("GET", _INDEX),
    Act("GET", ("+api",)),
    Act("GET", ("+login",), accept="text/html"),
    Act("POST", ("+logout",)),
]  # fmt: skip
ACTS = [*GUARDED, *GUARDED, *OPEN]


class DevpiSite:
    """devpi with an account, two indexes and a release. gateway: None to send straight to it."""

    def __init__(self, index: Index, gateway: Gateway | None) -> None:
        self._index = index
        self.port = gateway.port if gateway else index.port
        password = index.person(VICTIM, KEPT)
        assert password == PASSWORD
        indexes.DevpiServer(index.port, VICTIM, password).add_index(f"{VICTIM}/other")
        if gateway is not None:
            gateway.enrol(VICTIM)
        self._sink = socket.create_server(("127.0.0.1", 0))
        self._sink.setblocking(False)
        self._pushed = 0
        self._root = self._token(ROOT, ROOT_PASSWORD)
        self.known = {
            f"{VICTIM}.password": password.encode(),
            f"{VICTIM}.token": self._token(VICTIM, password).encode(),
            f"{VICTIM}.wrong": b"wrong",
            f"{ROOT}.password": ROOT_PASSWORD.encode(),
            f"{ROOT}.token": self._root.encode(),
            "nobody.password": b"nobody",
            "prt": b"%05d" % self._sink.getsockname()[1],
            "file": self._file().encode(),
        }

    def _client(self) -> Client:
        return Client(self._index.port)

    def _token(self, user: str, password: str) -> str:
        fields = {"Accept": JSON}
        given = {"user": user, "password": password}
        answer = self._client().post("/+login", send=given, fields=fields)
        return str(answer.json["result"]["password"]) if answer.status == 200 else ""

    def _ask(self, path: str) -> Any:
        fields = {"Accept": "application/json", "Authorization": basic(ROOT, self._root)}
        answer = self._client().get(path, fields=fields)
        return answer.json.get("result") if answer.status == 200 else answer.status

    def _file(self) -> str:
        links = self._ask(f"/{VICTIM}/dev/hello/1.0")["+links"]
        return str(next(each["href"] for each in links if each["rel"] == "releasefile")).split(
            "/dev/", 1
        )[1]

    def stamp(self) -> object:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._sink.accept()[0].close()
                self._pushed += 1
        return self._client().get("/+api").first("x-devpi-serial"), self._pushed

    def state(self) -> dict[str, Any]:
        people = self._ask("/")
        found: dict[str, Any] = {"people": people, "pushed": self._pushed}
        for person, account in people.items():
            for name in account.get("indexes", {}):
                for project in self._ask(f"/{person}/{name}")["projects"]:
                    place = f"/{person}/{name}/{project}"
                    found[place] = self._ask(place)
        found["login"] = bool(self._token(VICTIM, PASSWORD) and self._token(ROOT, ROOT_PASSWORD))
        found["tokens"] = self._ask(f"/{VICTIM}/+tokens")
        return found

    def wrong(self, before: object, after: object) -> str:
        assert isinstance(before, dict) and isinstance(after, dict)
        kept = f"/{VICTIM}/dev/hello"
        for name in ("people", "login", "tokens"):
            if before[name] != after[name]:
                return f"{name}: {before[name]} became {after[name]}"
        strange = set(after) - set(before) - {f"/{VICTIM}/dev/{ADDED}"}
        if strange:
            return f"there is {strange}"
        if _untested(before.get(kept)) != _untested(after.get(kept)):
            return f"{before.get(kept)} became {after.get(kept)}"
        documented = [name for name, held in after.items() if '"doczip"' in json.dumps(held)]
        if documented:
            return f"documentation for {documented}"
        return "a release was pushed away" if before["pushed"] != after["pushed"] else ""

    def handed_out(self, answer: bytes) -> bool:
        return _EARNED.search(answer) is not None


def _untested(project: Any) -> Any:
    """Less the test results, which whoever may upload may add."""
    if not isinstance(project, dict):
        return project
    return {
        version: {
            **held, "+links": [each for each in held.get("+links",
            []) if each["rel"] != "toxresult"]
        }
        for version, held in project.items()
    }  # fmt: skip
