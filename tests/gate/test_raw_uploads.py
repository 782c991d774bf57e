"""Policy `token`, not enforced: all passes as before, and what would be refused is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.core.audit.events import Event
from gateway.core.counters import Counted
from gateway.core.store import StoreUnavailable
from gateway.core.tokens.raw_uploads import RawUpload, RawUploadLedger
from gateway.stores.sqlite.store import SqliteStore
from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.gate.served import Served
from tests.gate.test_devpi_evidence import another_second
from tests.gate.test_tokens import coded, entries, make, upload
from tests.gate.yaml_config import shipped_rules
from tests.support import servers
from tests.support import uploads as forms
from tests.support.http import Client

FILE = ("foo-1.0.tar.gz", b"x")
ALICE = PYPISERVER_USERS["alice"]


def tried(kind: str, **more: Any) -> list[dict[str, Any]]:
    rules = shipped_rules(kind)
    dry = {"policy": "token", "enforce": False, **more}
    return [rule | dry if rule["name"] == "uploads" else rule for rule in rules]


def counted(served: Served) -> list[RawUpload]:
    parts = served.running.parts
    served.run(served.running.raw_uploads.close())
    ledger = RawUploadLedger(parts.flow.services.store, parts.audit, served.clock)
    return served.run(ledger.of_late())


def number(served: Served) -> float:
    taken = served.running.parts.counters.taken()
    return sum(sum(one) for one in taken.get(Counted.UPLOADS_BY_PASSWORD, {}).values())


@pytest.fixture
def dry(serve: Serve, pypiserver: servers.Index) -> Iterator[Served]:
    served = serve("pypiserver", pypiserver.url, rules=tried("pypiserver"))
    served.enrol("alice", "bob")
    yield served
    for left in (pypiserver.place / "packages").glob("foo*"):
        left.unlink()


def test_before_pypiserver(dry: Served) -> None:
    text = make(dry, "alice", ALICE).text
    assert upload(dry, "/", text, file="foo-1.0.tar.gz").status == 200
    assert upload(dry, "/", "wrong", user="alice", file="foo-1.1.tar.gz").status in (401, 403)
    assert upload(dry, "/", ALICE, user="alice", action="verify").status == 200
    assert upload(dry, "/", text[:-9], file="foo-1.2.tar.gz").slug == "token_unreadable"
    assert dry.client().get("/simple/", auth=("alice", ALICE)).status == 200
    assert counted(dry) == []
    assert upload(dry, "/", ALICE, user="Alice", file="foo-1.3.tar.gz").status in (401, 403)
    for version in range(4, 8):
        told = upload(dry, "/", ALICE, user="alice", file=f"foo-1.{version}.tar.gz")
        assert told.status == 200, told.text
    bobs = PYPISERVER_USERS["bob"]
    assert upload(dry, "/", bobs, user="bob", file="foo-2.0.tar.gz").status == 200
    found = counted(dry)
    assert [(one.user, one.count, one.carried, one.rule) for one in found] == [
        ("alice", 4, "password", "uploads"),
        ("bob", 1, "password", "uploads"),
    ]
    assert {one.slug for one in found} == {"second_factor_required"}
    assert number(dry) == 5
    trail = entries(dry, Event.UPLOAD_BY_PASSWORD)
    assert [one["user"] for one in trail] == ["alice", "bob"]
    assert all(one["origin"]["address"] == "127.0.0.1" for one in trail)
    kept = str([found, trail])
    assert ALICE not in kept and bobs not in kept


def test_before_devpi(serve: Serve, devpi_server: servers.Index) -> None:
    served = serve("devpi", devpi_server.url, rules=tried("devpi"))
    user = "drydevpi"
    password = devpi_server.person(user)
    served.enrol(user)
    send = {"user": user, "password": password}
    fields = {"Accept": "application/json"}
    told = Client(devpi_server.port).post("/+login", send=send, fields=fields)
    theirs = told.json["result"]["password"]
    another_second()  # or both tokens were the same
    send["password"] += f",{served.code(user)}"
    login = served.client().post("/+login", send=send, fields=fields)
    earned = login.json["result"]["password"]
    target = f"/{user}/dev/"
    for version, secret in enumerate((earned, password, theirs)):
        for action in ("submit", "file_upload"):  # as devpi-client does
            named = {"version": f"{version}.0"}
            file = f"foo-{version}.0.tar.gz"
            told = upload(
                *(served, target, secret), user=user, action=action, file=file, fields=named
            )
            assert told.status == 200, (version, action, told.text)
        [found, *_] = [*counted(served), None]
        count = 0 if found is None else found.count
        assert count == version, (version, found)
    assert found is not None and (found.user, found.index) == (user, f"{user}/dev")
    assert found.carried == "index_token"
    assert len(entries(served, Event.UPLOAD_BY_PASSWORD)) == 1


def test_a_wrong_name_beside_a_right_one_puts_nobody_on_the_list(
    serve: Serve, devpi_server: servers.Index
) -> None:
    """devpi reads X-Devpi-Auth first and then looks at nothing else."""
    served = serve("devpi", devpi_server.url, rules=tried("devpi"))
    right = devpi_server.person("dryframe")
    both = {
        "Authorization": f"Basic {coded('victim:wrong')}",
        "X-Devpi-Auth": coded(f"dryframe:{right}"),
    }
    body = forms.form({":action": "file_upload", "name": "foo", "version": "1.0"}, FILE)
    kind = f"multipart/form-data; boundary={forms._BOUNDARY}"
    told = served.client().post("/dryframe/dev/", body=body, fields={"Content-Type": kind, **both})
    assert told.status == 200, told.text
    assert [(one.user, one.index) for one in counted(served)] == [("", "dryframe/dev")]


def test_without_the_store_uploads_go_on(dry: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object, **__: object) -> None:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as away:
        for name in ("get", "put", "transact", "get_many", "names"):
            away.setattr(SqliteStore, name, gone)
        told = upload(dry, "/", ALICE, user="alice", file="foo-3.0.tar.gz")
        assert told.status == 200, told.text
    assert upload(dry, "/", ALICE, user="alice", file="foo-3.1.tar.gz").status == 200
    assert sum(one.count for one in counted(dry)) >= 1


def test_it_passes_what_a_pass_rule_passes(serve: Serve, pypiserver: servers.Index) -> None:
    """A file that comes before the field that decides, larger than what is held back."""
    rules = tried("pypiserver")
    served = serve("pypiserver", pypiserver.url, rules=rules)
    body = forms.form({"name": "foo", ":action": "file_upload"}, ("foo-9.0.tar.gz", b"x" * 99))
    kind = f"multipart/form-data; boundary={forms._BOUNDARY}"
    fields = {"Content-Type": kind, "Authorization": f"Basic {coded(f'alice:{ALICE}')}"}
    assert served.client().post("/", body=body, fields=fields).status == 200
    assert [one.count for one in counted(served)] == [1]
    (pypiserver.place / "packages" / "foo-9.0.tar.gz").unlink()
