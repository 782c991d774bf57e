"""Uploads and downloads stand in the trail, and the trail neither holds nor breaks one of them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from gateway.core.audit.verify import verify
from gateway.core.store import StoreUnavailable
from gateway.gate import late_entries
from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.gate.recorder import OK, Recorder, Seen
from tests.gate.served import Served
from tests.gate.test_tokens import make, upload
from tests.support import servers, uploads
from tests.support.http import basic

Person = Callable[[], tuple[str, str]]
WHEEL = "billing_api-1.0-py3-none-any.whl"
CONTENT = b"PK" + b"x" * 300_000
OF_FILES = ("upload", "upload_refused", "upload_failed", "download", "not_recorded")


def files(served: Served, count: int, within: float = 20.0) -> list[dict[str, Any]]:
    """The entries of files, once there are so many: they are written behind the answer."""

    async def read() -> list[dict[str, Any]]:
        found = [json.loads(raw) async for raw in served.running.parts.audit.lines()]
        return [one for one in found if one["event"] in OF_FILES]

    end = time.monotonic() + within
    while len(found := served.run(read())) < count and time.monotonic() < end:
        time.sleep(0.05)
    assert len(found) == count, [(one["event"], one.get("transfer")) for one in found]
    return found


def told(entry: dict[str, Any]) -> tuple[str, str, str, str, str]:
    transfer = entry["transfer"]
    return entry["event"], entry["user"], entry["factor"], entry["project"], transfer["version"]


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def file(name: str, content: bytes = CONTENT) -> dict[str, Any]:
    return {"name": name, "size": len(content), "sha256": digest(content)}


# -- what the real indexes say ------------------------------------------------------------------


def test_uploads_to_pypiserver(simple: Served, pypiserver: servers.Index) -> None:
    password = PYPISERVER_USERS["alice"]
    token = make(simple, "alice", password)
    sent: tuple[tuple[str, str, str, dict[str, str]], ...] = (
        ("/", password, "alice", {}),
        ("/?x", token.text, "__token__", {"version": "2.0"}),
        ("/", "wrong", "Alice", {}),
        ("/", password, "alice", {"action": "verify"}),
        ("/", password, "alice", {"name": "other"}),
    )
    for number, (target, secret, user, fields) in enumerate(sent):
        upload(
            *(simple, target, secret, "Billing.Api"),
            file=WHEEL.replace("1.0", f"1.{number}"),
            user=user,
            action=fields.pop("action", "file_upload"),
            fields=fields,
            content=CONTENT,
        )
    by_password, by_token, refused, other = files(simple, 4)
    for left in (pypiserver.place / "packages").glob("billing*"):
        left.unlink()
    assert told(by_password) == ("upload", "alice", "password", "billing-api", "1.0")
    assert by_password["transfer"] == {
        "action": "file_upload",
        "index": "",
        "version": "1.0",
        "status": 200,
        "token": "",
        "files": [file(WHEEL)],
    }
    assert by_password["origin"]["rule"] == "uploads" and by_password["detail"] == ""
    factor = f"token {token.token.name}"
    assert told(by_token)[:4] == ("upload", "alice", factor, "billing-api")
    assert by_token["transfer"]["token"] == token.token.id
    assert told(refused)[:3] == ("upload_refused", "alice", "password")
    assert refused["transfer"]["status"] == 403
    # pypiserver files it by its name, whatever the form says.
    assert told(other) == ("upload", "alice", "password", "billing-api", "1.0")
    assert simple.run(verify(simple.running.parts.audit)).sound


def test_uploads_and_pushes_to_devpi(devpi: Served, person: Person) -> None:
    user, password = person()
    client = devpi.client()
    index = {"type": "stage"}
    login = devpi.login(user, password)
    made = client.call("PUT", f"/{user}/stage", auth=(user, login), send=index)
    assert made.status == 200, made.text
    for secret in (password, login):
        told_ = upload(devpi, f"/{user}/dev/", secret, "Billing.Api", user=user, file=WHEEL)
        assert told_.status in (200, 409), told_.text
    push = {"name": "Billing.Api", "version": "1.0", "targetindex": f"{user}/stage"}
    pushed = client.post(f"/{user}/dev", auth=(user, login), send=push)
    assert pushed.status == 200, pushed.text
    archive = uploads.archive({"index.html": "x"})
    fields = {":action": "doc_upload", "name": "billing-api", "version": "1.0"}
    uploads.post(devpi.port, f"/{user}/dev", (user, login), fields, ("docs.zip", archive))
    missing = {**push, "version": "9.9"}
    assert client.post(f"/{user}/dev", auth=(user, login), send=missing).status >= 400
    first, second, third, fourth, fifth = files(devpi, 5)
    assert told(first) == ("upload", user, "password", "billing-api", "1.0")
    assert first["transfer"]["index"] == f"{user}/dev"
    assert first["transfer"]["files"] == [file(WHEEL, b"x")]
    assert told(second)[1:3] == (user, "totp")
    assert told(third) == ("upload", user, "totp", "billing-api", "1.0")
    assert (third["transfer"]["action"], third["transfer"]["index"]) == ("push", f"{user}/stage")
    assert third["detail"] == f"from {user}/dev" and third["transfer"]["files"] == []
    assert fourth["transfer"]["action"] == "doc_upload"
    assert fourth["transfer"]["files"] == [file("docs.zip", archive)]
    assert told(fifth)[0] in ("upload_refused", "upload_failed")


# -- what an index may do -----------------------------------------------------------------------


def answer(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.fixture
def behind(serve: Serve) -> Callable[..., Served]:
    def start(recorder: Recorder, kind: str = "pypiserver", **keys: Any) -> Served:
        return serve(kind, recorder.url, **keys)

    return start


def test_every_answer_of_an_index(behind: Callable[..., Served]) -> None:
    says = {"1.0": "200 OK", "2.0": "409 Conflict", "3.0": "500 Oh"}

    def by_version(seen: Seen) -> bytes:
        version = seen.body.split(b'name="version"\r\n\r\n')[-1][:3].decode()
        return answer(says.get(version, "200 OK"))

    with Recorder(by_version) as index:
        served = behind(index)
        for version in says:
            upload(served, "/", "p", "foo", user="alice", fields={"version": version})
        found = files(served, 3)
    assert [(one["event"], one["transfer"]["status"]) for one in found] == [
        ("upload", 200),
        ("upload_refused", 409),
        ("upload_failed", 500),
    ]


FORM = {":action": "file_upload", "name": "foo", "version": "1.0"}
KIND = f"multipart/form-data; boundary={uploads._BOUNDARY}"


@pytest.mark.parametrize("cut", [1, 1000, 150_000])
def test_a_body_that_breaks_off_has_no_digest(behind: Callable[..., Served], cut: int) -> None:
    body = uploads.form(FORM, ("foo-1.0.tar.gz", CONTENT))
    with Recorder() as index:
        served = behind(index)
        head = (
            f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {KIND}\r\nAuthorization: "
            f"{basic('alice', 'p')}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", served.port), 10) as line:
            line.sendall(head.encode() + body[:-cut])
            line.shutdown(socket.SHUT_WR)
            while line.recv(65536):
                pass
        (entry,) = files(served, 1)
    assert told(entry) == ("upload_failed", "alice", "password", "foo", "1.0")
    (seen,) = entry["transfer"]["files"]
    assert entry["transfer"]["status"] == 0
    if cut == 1:  # all of the file has come, though not of the form
        assert seen == file("foo-1.0.tar.gz")
    else:
        assert seen["sha256"] == "" and 0 < seen["size"] < len(CONTENT)
    assert "not seen to its end" in entry["detail"]


def test_names_that_are_there_twice_or_are_no_text(behind: Callable[..., Served]) -> None:
    body = uploads.form(FORM, ("foo-1.0.tar.gz", b"x"))
    again = b'name="version"\r\n\r\n1.0\r\n--b0undary\r\nContent-Disposition: form-data; '
    twice = body.replace(b'name="version"\r\n\r\n1.0', again + b'name="version"\r\n\r\n2.0')
    odd = body.replace(b"\r\n1.0\r\n", b"\r\n\xff\x1b[31m1.0" + b"0" * 5000 + b"\r\n")
    assert twice != body != odd
    with Recorder() as index:
        served = behind(index)
        for one in (twice, odd):
            fields = {"Content-Type": KIND, "Authorization": basic("alice", "p")}
            assert served.client().post("/", body=one, fields=fields).status == 200
        first, second = files(served, 2)
        assert {len(twice), len(odd)} <= {len(seen.body) for seen in index.seen}
    assert first["transfer"]["version"] == "2.0"
    assert first["detail"] == "its field 'version' is there twice"
    assert second["transfer"]["version"].startswith("\ufffd?[31m1.000")
    assert len(second["transfer"]["version"]) == 200


def test_a_form_that_no_rule_looks_at_says_so(behind: Callable[..., Served]) -> None:
    rules = [{"name": "all", "match": {"methods": ["POST"], "path": "/**"}, "policy": "pass"}]
    with Recorder() as index:
        served = behind(index, rules=rules, tests=[])
        # Without a credential, too: such requests have a way of their own.
        for secret in ("p", ""):
            fields = {"Content-Type": KIND} | (
                {"Authorization": basic("alice", secret)} if secret else {}
            )
            body = uploads.form(FORM, ("foo-1.0.tar.gz", CONTENT))
            assert served.client().post("/", body=body, fields=fields).status == 200
        found = files(served, 2)
    assert [one["user"] for one in found] == ["alice", ""]
    assert all(one["transfer"]["files"] == [] for one in found)
    assert all("does not look at its form" in one["detail"] for one in found)


def test_downloads_only_where_they_are_wanted(behind: Callable[..., Served]) -> None:
    says = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"

    def by_path(seen: Seen) -> bytes:
        return answer("404 Not Found") if b"gone" in seen.line else says

    with Recorder(by_path) as index:
        for wanted in (False, True):
            served = behind(index, audit__downloads=wanted)
            for _ in range(2):
                client = served.client()
                client.get(f"/packages/{WHEEL}", auth=("alice", "p"))
                client.get(f"/packages/{WHEEL}")
                client.call("HEAD", f"/packages/{WHEEL}")
                client.get("/packages/gone-1.0.tar.gz")
                client.get("/simple/billing-api/")
            found = files(served, 4 if wanted else 0)
    assert [told(one) for one in found[:2]] == [
        ("download", "alice", "password", "billing-api", "1.0"),
        ("download", "", "", "billing-api", "1.0"),
    ]
    seen = {"name": WHEEL, "size": 3, "sha256": ""}
    assert all(one["transfer"]["files"] == [seen] for one in found)


# -- the store ----------------------------------------------------------------------------------


def test_uploads_go_on_without_the_store_and_are_written_once_it_is_back(
    behind: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_entries, "LONGEST_WAIT", 0.01)
    with Recorder() as index:
        served = behind(index)
        late, trail = served.running.parts.transfers.late, served.running.parts.audit
        write, failing = trail.record_all, ["lost", "half", "done, not answered"]
        away = False

        async def record_all(happened: Any) -> None:
            what = "lost" if away else failing.pop(0) if failing else ""
            if what == "half":
                await write(happened[:1])
            elif what != "lost":
                await write(happened)
            if what:
                raise StoreUnavailable(what)

        monkeypatch.setattr(trail, "record_all", record_all)
        monkeypatch.setattr(late, "_room", 5)
        for number in range(3):
            told_ = upload(served, "/", "p", user="alice", fields={"version": f"{number}.0"})
            assert told_.status == 200
        found = files(served, 3)
        assert not failing
        # More than there is room for: counted, and the count is recorded.
        away = True
        for _ in range(20):
            assert upload(served, "/", "p", user="alice").status == 200
        away = False
        found = files(served, 3 + 5 + 1)
    assert sorted(one["transfer"]["version"] for one in found[:3]) == ["0.0", "1.0", "2.0"]
    assert found[-1]["event"] == "not_recorded"
    assert found[-1]["detail"] == "15 uploads or downloads while the store was away"
    assert served.run(verify(trail)).sound


def test_what_waits_is_written_at_the_stop(behind: Callable[..., Served]) -> None:
    with Recorder(lambda _: OK) as index:
        served = behind(index)
        for _ in range(50):
            upload(served, "/", "p", user="alice")
        late = served.running.parts.transfers.late
        served.run(late.close())
        assert late.waiting == 0
        files(served, 50)
