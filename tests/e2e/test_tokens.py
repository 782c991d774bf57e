"""API tokens with the programs people have: twine, uv, pip and devpi-client, as they come."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.cli.demo.indexes import Package, write
from gateway.core.errors import MESSAGES, Slug
from tests.conftest import PYPISERVER_USERS
from tests.e2e.conftest import NewPerson
from tests.support.clients import pip, twine, uv
from tests.support.gateways import Gateway
from tests.support.servers import Index

BAR = Package("bar", "1.0")


def make(gateway: Gateway, user: str, password: str, name: str, *options: str) -> str:
    """By the command, as an administrator does."""
    words = ["token", "create", user, "--name", name, "--password-file", "-", "--json", *options]
    return str(json.loads(gateway.command(*words, text=password).stdout)["token"])


def test_before_pypiserver(before_pypiserver: Gateway, pypiserver: Index, tmp_path: Path) -> None:
    gateway, kept = before_pypiserver, pypiserver.place / "packages"
    foo = Package("tokened", "1.0")
    wheel, sdist = write(tmp_path / "dist", foo)
    password = PYPISERVER_USERS["carol"]
    text = make(gateway, "carol", password, "ci", "--project", "token*")
    done = twine(tmp_path, gateway.url, "__token__", text, wheel)
    assert done.code == 0, done.said
    done = uv(tmp_path, "publish", "--publish-url", gateway.url + "/", "--token", text, str(sdist))
    assert done.code == 0, done.said
    assert {wheel.name, sdist.name} <= {file.name for file in kept.iterdir()}

    other, _ = write(tmp_path / "dist", BAR)
    words = MESSAGES[Slug.TOKEN_SCOPE].text.format(what="the project bar")
    done = twine(tmp_path, gateway.url, "__token__", text, other)
    assert done.code != 0
    assert words in done.words
    done = uv(tmp_path, "publish", "--publish-url", gateway.url + "/", "--token", text, str(other))
    assert done.code != 0
    assert words in done.words

    read = make(gateway, "carol", password, "reading", "--scope", "read", "--days", "1")
    address = gateway.url.replace("://", f"://__token__:{read}@") + "/simple/"
    argv = ["download", "--no-deps", "--no-cache-dir", "--index-url", address, "tokened"]
    done = pip(tmp_path, *argv)
    assert done.code == 0, done.said
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
    argv = ["pip", "install", "--no-cache", "--target", "lib", "--index-url", address, "tokened"]
    done = uv(tmp_path, *argv)
    assert done.code == 0, done.said

    listed = json.loads(gateway.command("token", "list", "carol", "--json").stdout)
    assert [one["name"] for one in listed] == ["reading", "ci"] or len(listed) == 2
    assert all(one["last_used"]["address"] == "127.0.0.1" for one in listed)
    gateway.command("token", "revoke", "carol", "ci")
    done = twine(tmp_path, gateway.url, "__token__", text, sdist)
    assert MESSAGES[Slug.TOKEN_REVOKED].text in done.words


def test_before_devpi(
    before_devpi: Gateway, person: NewPerson, devpi_server: Index, tmp_path: Path
) -> None:
    alice = person("alice")
    body = {
        "user": alice.name,
        "password": alice.password,
        "code": alice.phone.code(),
        "name": "laptop",
        "actions": ["upload", "read"],
        "indexes": [alice.index],
        "days": 7,
    }
    told = before_devpi.client().post("/+auth/api/tokens", send=body)
    assert told.status == 201, told.text
    text = told.json["token"]
    keep = ["publisher", "password", alice.name, "--password-file", "-"]
    assert before_devpi.command(*keep, text="wrong", check=False).returncode == 1
    assert f"{alice.name} is kept" in before_devpi.command(*keep, text=alice.password).stderr
    foo = Package("tokened", "1.0")
    wheel, sdist = write(tmp_path / "dist", foo)
    address = f"{before_devpi.url}/{alice.index}/"
    done = twine(tmp_path, address, "__token__", text, wheel)
    assert done.code == 0, done.said
    done = uv(tmp_path, "publish", "--publish-url", address, "--token", text, str(sdist))
    assert done.code == 0, done.said

    # devpi-client logs in with it, and narrows it for each upload.
    devpi = alice.devpi
    assert "current devpi index" in devpi("use", address).said
    done = devpi("token-login", "--token", text.replace("pypi-", "devpi-"))
    assert f"logged in '{alice.name}'" in done.said, done.said
    other, _ = write(tmp_path / "dist", BAR)
    done = devpi("upload", str(other))
    assert done.code == 0, done.said
    assert "Used 'pypitoken' to create a unique Devpi token" in done.said
    holds = devpi("list", "bar").said
    assert other.name in holds, holds

    address = address.replace("://", f"://{alice.name}:{text}@") + "+simple/"
    argv = ["download", "--no-deps", "--no-cache-dir", "--index-url", address, "tokened"]
    done = pip(tmp_path, *argv)
    assert done.code == 0, done.said
