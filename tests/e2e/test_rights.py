"""Rights by groups with the programs people have: twine, uv and pip, as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.cli.demo.indexes import DevpiServer, Package, write
from gateway.core.errors import MESSAGES, Slug
from tests.conftest import PYPISERVER_USERS, StartGateway
from tests.gate.yaml_config import shipped_rules
from tests.support.clients import pip, twine, uv
from tests.support.servers import Index

CORE, TOOLS = Package("billing_core", "1.0"), Package("righttools", "1.0")
REFUSED = MESSAGES[Slug.NOT_PERMITTED].text


def owned(path: str, **more: Any) -> dict[str, Any]:
    form = {":action": ["submit", "file_upload"]}
    match = {"methods": ["POST"], "path": path, "form": form, **more}
    return {"name": "owned", "match": match, "policy": "pass", "tell_who": True}


def test_before_pypiserver(start_gateway: StartGateway, pypiserver: Index, tmp_path: Path) -> None:
    """Only the release team uploads what it owns, everybody else what nobody owns."""
    groups = {"release": {"users": ["alice"], "projects": ["billing-*"]}}
    rules = [owned("/", projects="@owned", groups="@owners"), *shipped_rules("pypiserver")]
    gateway = start_gateway(pypiserver, groups=groups, rules=rules)
    url = gateway.url + "/"
    core, tools = write(tmp_path / "dist", CORE), write(tmp_path / "dist", TOOLS)

    def by_twine(user: str, *files: Path) -> str:
        done = twine(tmp_path, url, user, PYPISERVER_USERS[user], *files)
        return "" if done.code == 0 else done.words

    def by_uv(user: str, file: Path) -> str:
        login = ("--username", user, "--password", PYPISERVER_USERS[user])
        done = uv(tmp_path, "publish", "--publish-url", url, *login, str(file))
        return "" if done.code == 0 else done.words

    for upload in (by_twine, by_uv):
        said = upload("bob", core[0])
        assert REFUSED in said and "It is for the group that owns it." in said
    assert by_twine("alice", *core) == ""
    assert by_uv("bob", tools[0]) == ""
    assert by_twine("bob", tools[1]) == ""
    kept = {file.name for file in (pypiserver.place / "packages").iterdir()}
    assert {file.name for file in (*core, *tools)} <= kept
    assert "billing" not in gateway.logged()


def test_before_devpi(start_gateway: StartGateway, devpi_server: Index, tmp_path: Path) -> None:
    """Both may upload by devpi's own rights, one of them that project; who is in no group does not
    read the index."""
    alice, bob = "rightful", "rightless"
    passwords = {name: devpi_server.person(name) for name in (alice, bob)}
    team = DevpiServer(devpi_server.port, alice, passwords[alice])
    team.add_index(f"{alice}/prod", acl_upload=[alice, bob])
    groups = {"release": {"users": [alice], "projects": ["billing-*"]}}
    readers = {"methods": ["GET", "HEAD"], "indexes": f"{alice}/*", "groups": "release"}
    rules = [
        owned("/{user:[^+]+}/{index:[^+]+}", projects="@owned", groups="@owners"),
        {"name": "readers", "match": readers, "policy": "authenticated"},
        *shipped_rules("devpi"),
    ]
    tests = [
        {"request": f"POST /{alice}/prod", "form": {":action": "submit", "name": "Billing.X"},
         "user": bob, "expect": "not_permitted"},
        {"request": f"GET /{alice}/prod/+simple/", "user": alice, "expect": "readers"},
    ]  # fmt: skip
    gateway = start_gateway(devpi_server, groups=groups, rules=rules, tests=tests)
    url = f"{gateway.url}/{alice}/prod/"
    core, tools = write(tmp_path / "dist", CORE), write(tmp_path / "dist", TOOLS)
    done = twine(tmp_path, url, bob, passwords[bob], core[0])
    assert done.code != 0 and REFUSED in done.words, done.said
    done = twine(tmp_path, url, alice, passwords[alice], *core)
    assert done.code == 0, done.said
    login = ("--username", bob, "--password", passwords[bob])
    done = uv(tmp_path, "publish", "--publish-url", url, *login, str(tools[0]))
    assert done.code == 0, done.said

    for user, right in ((alice, True), (bob, False)):
        secret = passwords[user].replace(" ", "%20")
        address = url.replace("://", f"://{user}:{secret}@") + "+simple/"
        argv = ["download", "--no-deps", "--no-cache-dir", "--index-url", address, "billing-core"]
        done = pip(tmp_path / user, *argv)
        assert (done.code == 0) == right, done.said
        argv = ["pip", "install", "--no-cache", "--target", "lib", "--index-url", address]
        done = uv(tmp_path / user, *argv, "billing-core")
        assert (done.code == 0) == right, done.said
    told = gateway.client().get(f"/{alice}/prod/+simple/", auth=(alice, "wrong"))
    assert told.slug == "credential_required", "a name alone reads nothing"
    explained = gateway.command("explain", "GET", f"/{alice}/prod/+simple/", "--user", bob).stdout
    assert f"refused: not_permitted (403): {bob} is not the group release" in explained
