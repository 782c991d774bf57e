"""The gateway before a real pypiserver: uploads pass, a deletion hidden in one does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gateway.cli.demo.indexes import Package, write
from gateway.cli.demo.processes import Children
from gateway.core.audit.entry import Entry, parse
from gateway.core.audit.trail import Trail
from tests.conftest import PYPISERVER_USERS
from tests.gate.served import Served, hidden
from tests.support import servers
from tests.support.http import Answer, Client, basic, raw

Serve = Callable[..., Served]
BOUNDARY = "xYzZY"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def target(pypiserver: servers.Index) -> Iterator[Path]:
    """A release that deletions aim at; put back before each test."""
    place = pypiserver.place / "packages"
    (path, *_) = write(place, Package("victim", "1.0"))
    assert path.exists()
    yield path
    for left in place.glob("victim*"):
        left.unlink()


def part(name: str, value: str, *, filename: str = "", head: str = "") -> str:
    file = f'; filename="{filename}"' if filename else ""
    return (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
        f'name="{name}"{file}\r\n{head}\r\n{value}\r\n'
    )


def multipart(*parts: str, end: str = f"--{BOUNDARY}--\r\n") -> bytes:
    return ("".join(parts) + end).encode("latin-1")


REMOVE = part(":action", "remove_pkg")
UPLOAD = part(":action", "file_upload")
NAMES = part("name", "victim") + part("version", "1.0")
FILE = part("content", "x", filename="victim-2.0.tar.gz")
FIELDS = {"name": "victim", "version": "1.0"}
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"

DELETIONS = {
    "plain": (MULTIPART, multipart(REMOVE, NAMES)),
    "action last": (MULTIPART, multipart(NAMES, REMOVE)),
    "second action after the file": (MULTIPART, multipart(UPLOAD, NAMES, FILE, REMOVE)),
    "second action first": (MULTIPART, multipart(REMOVE, NAMES, UPLOAD)),
    "urlencoded": (FORM, urlencode({":action": "remove_pkg", **FIELDS}).encode()),
    "urlencoded twice": (
        FORM,
        b":action=file_upload&name=victim&version=1.0&:action=remove_pkg",
    ),
    "escaped name": (FORM, b"%3aaction=remove_pkg&name=victim&version=1.0"),
    "semicolons": (FORM, b":action=submit;:action=remove_pkg;name=victim;version=1.0"),
    "no content type": ("", urlencode({":action": "remove_pkg", **FIELDS}).encode()),
    "odd content type": ("text/plain", urlencode({":action": "remove_pkg", **FIELDS}).encode()),
    "charset": (f"{FORM}; charset=utf-16", urlencode({":action": "remove_pkg"}).encode()),
    "quoted boundary": (
        f'multipart/form-data; boundary="{BOUNDARY}"',
        multipart(REMOVE, NAMES),
    ),
    "two boundaries": (
        f"multipart/form-data; boundary=zzz; boundary={BOUNDARY}",
        multipart(REMOVE, NAMES),
    ),
    "preamble": (MULTIPART, b"junk\r\n" + multipart(REMOVE, NAMES)),
    "bare line feeds": (MULTIPART, multipart(REMOVE, NAMES).replace(b"\r\n", b"\n")),
    "no end": (MULTIPART, multipart(REMOVE, NAMES, end="")),
    "unquoted name": (
        MULTIPART,
        multipart(NAMES, REMOVE).replace(b'name=":action"', b"name=:action"),
    ),
    "starred name": (
        MULTIPART,
        multipart(NAMES, REMOVE).replace(b'name=":action"', b"name*=utf-8''%3Aaction"),
    ),
    "upper case head": (
        MULTIPART,
        multipart(NAMES, REMOVE).replace(b"Content-Disposition", b"CONTENT-DISPOSITION"),
    ),
    "after a long field": (MULTIPART, multipart(part("description", "d" * 1_200_000), REMOVE)),
    "mixed case type": ("Multipart/Form-Data; boundary=" + BOUNDARY, multipart(REMOVE, NAMES)),
}


def post(served: Served, body: bytes, content_type: str, secret: str = "", **fields: str) -> Answer:
    headers = {"Authorization": basic("alice", secret or PYPISERVER_USERS["alice"]), **fields}
    if content_type:
        headers["Content-Type"] = content_type
    return served.client().post("/", body=body, fields=headers)


@pytest.mark.parametrize("shape", DELETIONS, ids=str)
def test_a_deletion_with_the_password_alone(simple: Served, target: Path, shape: str) -> None:
    content_type, body = DELETIONS[shape]
    told = post(simple, body, content_type)
    assert told.status in (400, 401), (told.status, told.body)
    assert told.slug in ("second_factor_required", "unreadable_form"), told.body
    assert target.exists()


@pytest.mark.parametrize("shape", DELETIONS, ids=str)
def test_the_same_in_chunks_of_seven_bytes(simple: Served, target: Path, shape: str) -> None:
    content_type, body = DELETIONS[shape]
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    head = (
        f"POST / HTTP/1.1\r\nHost: localhost\r\n{kind}Connection: close\r\n"
        f"Authorization: {basic('alice', PYPISERVER_USERS['alice'])}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    ).encode()
    step = 7 if len(body) < 10_000 else 60_000
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    told = raw(simple.port, head + chunks + b"0\r\n\r\n")
    assert told.split(b" ")[1] in (b"400", b"401"), told[:200]
    assert target.exists()


@pytest.mark.parametrize("path", ["/?x", "/?:action=file_upload", "/?:action=remove_pkg"])
def test_the_query_does_not_matter(simple: Served, target: Path, path: str) -> None:
    told = simple.client().post(
        path,
        form={":action": "remove_pkg", **FIELDS},
        auth=("alice", PYPISERVER_USERS["alice"]),
    )
    assert (told.status, told.slug) == (401, "second_factor_required")
    assert target.exists()


@pytest.mark.parametrize("shape", ["plain", "action last", "urlencoded"])
@pytest.mark.parametrize("how", ["password", "header"])
def test_a_deletion_with_a_code(simple: Served, target: Path, shape: str, how: str) -> None:
    content_type, body = DELETIONS[shape]
    code = simple.code("alice")
    if how == "password":
        told = post(simple, body, content_type, f"{PYPISERVER_USERS['alice']},{code}")
    else:
        told = post(simple, body, content_type, **{"X-OTP": code})
    assert told.status == 200, (told.status, told.body)
    assert not target.exists()
    act = last_entry(simple)
    assert (act.event, act.user, act.factor) == ("guarded_act", "alice", "totp")
    assert (act.project, act.detail) == ("victim", "version 1.0")


def last_entry(served: Served) -> Entry:
    async def read() -> Entry:
        trail = served.running.parts.audit
        assert isinstance(trail, Trail)
        return [parse(line) async for line in trail.lines()][-1]

    return served.run(read())


def test_a_deletion_with_a_recovery_code(simple: Served, target: Path) -> None:
    content_type, body = DELETIONS["plain"]
    secret = f"{PYPISERVER_USERS['alice']},{simple.recovery['alice'][0]}"
    assert post(simple, body, content_type, secret).status == 200
    assert not target.exists()
    assert post(simple, body, content_type, secret).slug == "otp_invalid"


def test_a_wrong_code_deletes_nothing(simple: Served, target: Path) -> None:
    content_type, body = DELETIONS["plain"]
    told = post(simple, body, content_type, **{"X-OTP": simple.wrong("alice")})
    assert (told.status, told.slug) == (401, "otp_invalid")
    assert target.exists()
    refused = last_entry(simple)
    assert (refused.event, refused.project) == ("guarded_refused", "victim")


def test_a_session_neither_deletes_nor_uploads(simple: Served, target: Path) -> None:
    """No page of pypiserver does; a script in what people upload could."""
    browser = simple.browse_in("alice", PYPISERVER_USERS["alice"])
    content_type, body = DELETIONS["plain"]
    fields = {"Content-Type": content_type}
    told = browser.post("/", body=body, fields={**fields, "Origin": "https://evil.example"})
    assert (told.status, told.slug) == (403, "cross_site")
    assert target.exists()
    told = browser.post("/", body=body, fields=fields | simple.ours())
    assert (told.status, told.slug) == (401, "session_not_enough")
    assert "PASSWORD,123456" in told.json["message"]
    assert target.exists()
    body = multipart(part("name", "x"), UPLOAD, part("content", "x", filename="x-1.0.tar.gz"))
    told = browser.post("/", body=body, fields={"Content-Type": MULTIPART} | simple.ours())
    assert told.status in (401, 403), "pypiserver's own answer: nothing was lent"


def test_an_upload_passes_with_the_password_alone(
    simple: Served, pypiserver: servers.Index
) -> None:
    body = multipart(
        part("description", "d" * 200_000),
        part("name", "fresh"),
        UPLOAD,
        part("content", "a wheel", filename="fresh-1.0-py3-none-any.whl"),
    )
    told = post(simple, body, MULTIPART)
    assert told.status == 200, told.body
    path = pypiserver.place / "packages/fresh-1.0-py3-none-any.whl"
    assert path.read_text() == "a wheel"
    path.unlink()


def test_an_upload_with_its_action_after_a_long_description(
    simple: Served, pypiserver: servers.Index
) -> None:
    """Longer than what is held back: the action then comes too late to be judged."""
    body = multipart(part("description", "d" * 3_000_000), UPLOAD, FILE)
    told = post(simple, body, MULTIPART)
    assert (told.status, told.slug) == (400, "unreadable_form"), told.body
    assert not (pypiserver.place / "packages/victim-2.0.tar.gz").exists()


@pytest.mark.parametrize("secret", ["wrong", "wrong,123456"])
def test_the_login_page_asks_pypiserver(simple: Served, secret: str) -> None:
    from tests.gate.served import hidden

    client = simple.client()
    page = client.browse("GET", "/+auth/login")
    form = {**hidden(page), "user": "alice", "password": secret}
    told = client.browse("POST", "/+auth/login", form=form, fields=simple.ours())
    assert told.status == 401
    assert "ig-pending" not in client.cookies


def test_an_upstream_that_takes_any_password(
    serve: Serve, children: Children, tmp_path: Path
) -> None:
    """pypiserver whose -a lacks `update` would let anybody log in as anybody."""
    index = servers.start_pypiserver(
        children, tmp_path / "open", {"alice": "right"}, protected="download"
    )
    served = serve("pypiserver", index.url)
    served.enrol("alice")
    content_type, body = DELETIONS["plain"]
    for secret in ("right", "made up"):
        told = post(served, body, content_type, secret, **{"X-OTP": "123456"})
        assert (told.status, told.slug) == (502, "upstream_open")
    assert served.client().get("/simple/").status == 200


def test_links_name_the_host_that_was_asked(simple: Served) -> None:
    told = simple.client().get("/hello/json", fields={"Host": "packages.example.org:444"})
    urls = [one["url"] for files in told.json["releases"].values() for one in files]
    assert urls
    assert all(url.startswith("http://packages.example.org:444/packages/") for url in urls)


def test_the_client_cannot_choose_the_links(simple: Served) -> None:
    fields = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher", "Host": "mine"}
    told = simple.client().get("/hello/json", fields=fields)
    urls = [one["url"] for files in told.json["releases"].values() for one in files]
    assert all(url.startswith("http://mine/packages/") for url in urls)


def test_no_part_of_a_password_makes_another_name(
    serve: Serve, children: Children, tmp_path: Path
) -> None:
    """pypiserver reads "eve:s3:cret" as eve with "s3:cret", whoever split it in another place; who
    has stolen a password with a colon must not get a name without a second factor by it."""
    (tmp_path / "index").mkdir()
    index = servers.start_pypiserver(children, tmp_path / "index", {"eve": "s3:cret"})
    assert Client(index.port).get("/simple/", auth=("eve:s3", "cret")).status == 200
    served = serve("pypiserver", index.url)
    served.enrol("eve")
    wish = {"name": "x", "actions": ["upload"], "days": 1}
    for user, password, slug in (
        ("eve", "s3:cret", "otp_required"),
        ("eve:s3", "cret", "password_invalid"),
    ):
        told = served.client().post(
            "/+auth/api/tokens", send={**wish, "user": user, "password": password}
        )
        assert told.slug == slug, told.text
    browser = served.client()
    form = {**hidden(browser.browse("GET", "/+auth/login")), "user": "eve:s3", "password": "cret"}
    told = browser.browse("POST", "/+auth/login", form=form, fields=served.ours())
    assert told.status == 401, (told.status, told.fields)
