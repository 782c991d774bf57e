"""API tokens that stand for a token of devpi-tokens with the same scope, before a real devpi."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymacaroons
import pytest

from gateway.app import live_check
from gateway.core.audit.events import Origin
from gateway.core.upstream import Credential
from tests.gate.served import Served
from tests.gate.test_ended_credentials import send
from tests.gate.test_private_reading import private
from tests.support import servers
from tests.support.gateways import configure
from tests.support.http import Answer, Client, basic
from tests.support.uploads import form

USER = "scoped"
REVOKE_ALL = "/+auth/tokens/revoke-all"


@pytest.fixture(scope="module")
def password(devpi_server: servers.Index) -> str:
    return devpi_server.person(USER)


def begun(place: Path, url: str) -> Served:
    keys = {"upstream.devpi_tokens": True, "tokens.manage": True, **private("devpi")}
    return Served(place, "devpi", url, keys).start()


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, devpi_server: servers.Index, password: str
) -> Iterator[Served]:
    made = begun(tmp_path_factory.mktemp("scoped"), devpi_server.url)
    made.enrol(USER)
    yield made
    made.stop()


def wish(served: Served, password: str, name: str, **more: Any) -> Answer:
    asked = {"user": USER, "password": password, "code": served.code(USER), "name": name}
    return served.client().post("/+auth/api/tokens", send={"days": 7, **asked, **more})


def make(served: Served, password: str, name: str, **more: Any) -> str:
    told = wish(served, password, name, **more)
    assert told.status == 201, told.text
    return str(told.json["token"])


def held(served: Served, text: str) -> Credential:
    """What an API token stands for."""
    tokens = served.running.parts.tokens
    found = tokens.credential(served.run(tokens.verify(text, Origin())))
    assert found is not None
    return found


def said_of(secret: str) -> dict[str, str]:
    """The conditions that a token of devpi-tokens tells."""
    read = pymacaroons.Macaroon.deserialize(secret.removeprefix("devpi-"))
    return dict(one.caveat_id.decode().split("=", 1) for one in read.caveats)


def at_devpi(index: servers.Index, password: str) -> set[str]:
    fields = {"Accept": "application/json"}
    told = Client(index.port).get(f"/{USER}/+tokens", auth=(USER, password), fields=fields)
    return set(told.json["result"]["tokens"])


def upload(client: Client, token: str, name: str = "foo") -> Answer:
    fields = {
        ":action": "file_upload",
        "name": name,
        "version": "1.0",
        "metadata_version": "1.0",
        "filetype": "sdist",
        "pyversion": "source",
        "protocol_version": "1",
    }
    body = form(fields, (f"{name}-1.0.tar.gz", b"PK"))
    kind = {"Content-Type": "multipart/form-data; boundary=b0undary"}
    auth = {"Authorization": basic("", token)}
    return client.post(f"/{USER}/dev/", body=body, fields={**kind, **auth})


def test_devpi_is_given_a_token_of_its_own_with_the_scope(
    served: Served, devpi_server: servers.Index, password: str
) -> None:
    scope = {"indexes": [f"{USER}/dev"], "projects": ["foo"], "networks": ["127.0.0.0/8"]}
    text = make(served, password, "one", actions=["upload"], **scope)
    found = held(served, text)
    assert found.user == USER
    assert found.secret.startswith("devpi-")
    said = said_of(found.secret)
    now = int(served.clock())
    assert abs(int(said.pop("expires")) - now - 7 * 86400) < 120
    assert said == {
        "allowed": "toxresult_upload,upload",
        "indexes": f"{USER}/dev",
        "projects": "foo",
    }
    told = upload(served.client(), text)
    assert told.status == 200, told.text
    # What it stands for can do no more at devpi itself, whoever gets at it.
    straight = Client(devpi_server.port)
    assert upload(straight, found.secret).status == 200
    assert upload(straight, found.secret, "bar").status == 403
    fields = {"Accept": "application/json", "X-Devpi-Auth": basic(USER, found.secret)[6:]}
    for method, target in (("DELETE", f"/{USER}/dev/foo"), ("PATCH", f"/{USER}")):
        told = straight.call(method, target, send={"password": "x"}, fields=fields)
        assert told.status == 403, (method, told.text)


MANAGE = {
    *("del_entry", "del_project", "del_verdata", "index_create", "index_delete", "index_modify"),
    *("pkg_read", "upload"),
}
SCOPES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "read": ({"actions": ["read"]}, {"pkg_read"}),
    "both": ({"actions": ["read", "upload"]}, {"pkg_read", "upload", "toxresult_upload"}),
    "manage": ({"actions": ["manage"]}, MANAGE),
    "a pattern": ({"actions": ["read"], "projects": ["acme-*"]}, {"pkg_read"}),
}


def test_every_scope(served: Served, password: str) -> None:
    for name, (asked, allowed) in SCOPES.items():
        text = make(served, password, f"scope {name}", **asked)
        said = said_of(held(served, text).secret)
        assert set(said["allowed"].split(",")) == allowed, name
        assert not {"projects", "indexes"} & set(said), name


def test_a_revoked_one_goes_at_devpi_too(
    served: Served, devpi_server: servers.Index, password: str
) -> None:
    before = at_devpi(devpi_server, password)
    text = make(served, password, "to end", actions=["read"])
    (id,) = at_devpi(devpi_server, password) - before
    told = served.client().get(f"/{USER}/dev/+simple/", auth=("__token__", text))
    assert told.status == 200, told.text
    fields = {"Authorization": f"Bearer {text}"}
    assert served.client().post("/+auth/api/tokens/burn", fields=fields).status == 200
    assert id in at_devpi(devpi_server, password), "nobody was there to say so"
    make(served, password, "the next", actions=["read"])
    assert id not in at_devpi(devpi_server, password), "when the next one is made"
    browser = served.browse_in(USER, password)
    send(served, browser, REVOKE_ALL, REVOKE_ALL)
    assert at_devpi(devpi_server, password) == set(), "with the session's login"


def test_one_that_devpi_deleted_has_to_be_made_anew(
    served: Served, devpi_server: servers.Index, password: str
) -> None:
    before = at_devpi(devpi_server, password)
    text = make(served, password, "deleted", actions=["read"])
    (id,) = at_devpi(devpi_server, password) - before
    target, fields = f"/{USER}/+tokens/{id}", {"Accept": "application/json"}
    told = Client(devpi_server.port).call("DELETE", target, auth=(USER, password), fields=fields)
    assert told.status == 200
    told = served.client().get(f"/{USER}/dev/+simple/", auth=("__token__", text))
    assert told.slug == "token_needs_renewal"


def test_without_the_plugin_it_says_so(tmp_path: Path, devpi_plain: servers.Index) -> None:
    secret = devpi_plain.person(USER)
    served = begun(tmp_path, devpi_plain.url)
    try:
        served.enrol(USER)
        told = wish(served, secret, "none", actions=["upload"])
        assert (told.status, told.slug) == (400, "token_request")
        assert "the index makes no token of its own" in told.json["message"]
        assert served.run(served.running.parts.tokens.of(USER)) == []
        found = {one.what: one for one in served.run(live_check.look(served.settings))}
        assert not found["devpi_tokens"].ok
        assert found["devpi_tokens"].said.startswith("devpi has no plugin devpi-tokens")
    finally:
        served.stop()


def test_check_live_names_the_plugin(served: Served) -> None:
    found = {one.what: one for one in served.run(live_check.look(served.settings))}
    assert found["devpi_tokens"].ok, found["devpi_tokens"]
    assert re.fullmatch(r"devpi has devpi-tokens [0-9.]+", found["devpi_tokens"].said)


def test_an_administrators_command_makes_such_ones_too(
    tmp_path: Path, devpi_server: servers.Index, password: str
) -> None:
    gateway = configure(tmp_path, "devpi", devpi_server.url, upstream__devpi_tokens=True)
    before = at_devpi(devpi_server, password)
    more = ("--name", "by command", "--password-file", "-", "--force")
    done = gateway.command("token", "create", USER, *more, text=password + "\n")
    assert done.stdout.startswith("pypi-"), done.stderr
    assert len(at_devpi(devpi_server, password) - before) == 1
