"""Closing uploads to passwords: first tried out, then enforced, with twine, uv and devpi-client."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.demo.indexes import Package, write
from gateway.core.errors import MESSAGES, Slug
from tests.conftest import PYPISERVER_USERS
from tests.gate.yaml_config import shipped_rules
from tests.support.clients import DevpiClient, twine, uv
from tests.support.gateways import Gateway, configure
from tests.support.servers import Index

NEEDED = MESSAGES[Slug.SECOND_FACTOR_REQUIRED].text


def rules(kind: str) -> list[dict[str, Any]]:
    return [
        rule | {"policy": "token", "enforce": False} if rule["name"] == "uploads" else rule
        for rule in shipped_rules(kind)
    ]


def refused(gateway: Gateway) -> dict[str, Any]:
    """Of one person, as `check --uploads --json` says it."""
    done = gateway.command("check", "--uploads", "--json", check=False)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["rules"] == ["uploads"] and told["since"], told
    [found] = told["refused"]
    assert found["client"].startswith(("twine/", "uv/")) and found["address"] == "127.0.0.1"
    return dict(found)


def enforce(gateway: Gateway) -> None:
    text = gateway.config.read_text()
    changed = text.replace("enforce: false", "enforce: true")
    assert changed != text
    gateway.config.write_text(changed)


@pytest.fixture
def trial(tmp_path: Path) -> Callable[[str, str], Gateway]:
    def made(kind: str, upstream: str) -> Gateway:
        return configure(tmp_path / "gateway", kind, upstream, rules=rules(kind))

    return made


@pytest.mark.timeout(300)  # five programs and two starts each, on a busy machine
def test_before_pypiserver(
    trial: Callable[[str, str], Gateway], pypiserver: Index, tmp_path: Path
) -> None:
    gateway, password = trial("pypiserver", pypiserver.url), PYPISERVER_USERS["carol"]
    one, more = write(tmp_path / "dist", Package("rawly", "1.0"))
    two, _ = write(tmp_path / "dist", Package("rawly", "2.0"))
    gateway.start()
    try:
        words = ["token", "create", "carol", "--name", "ci", "--password-file", "-", "--json"]
        text = json.loads(gateway.command(*words, text=password).stdout)["token"]
        done = twine(tmp_path, gateway.url, "__token__", text, one)
        assert done.code == 0, done.said
        done = twine(tmp_path, gateway.url, "carol", password, more)
        assert done.code == 0, done.said
        login = ["--username", "carol", "--password", password]
        done = uv(tmp_path, "publish", "--publish-url", gateway.url + "/", *login, str(two))
        assert done.code == 0, done.said
        gateway.stop()
        told = gateway.command("check", "--uploads", check=False)
        assert told.returncode == 1
        assert "'uploads' enforced would have refused 2 uploads of 1 person" in told.stdout
        assert "  carol  2 with a password  last " in told.stdout
        assert "from 127.0.0.1  uv/" in told.stdout
        enforce(gateway)
        gateway.start()
        three, four = write(tmp_path / "dist", Package("rawly", "3.0"))
        done = twine(tmp_path, gateway.url, "carol", password, three)
        assert done.code != 0 and NEEDED in done.words, done.said
        done = twine(tmp_path, gateway.url, "__token__", text, four)
        assert done.code == 0, done.said
    finally:
        gateway.stop()


@pytest.mark.timeout(300)  # five programs and two starts each, on a busy machine
def test_before_devpi(
    trial: Callable[[str, str], Gateway], devpi_server: Index, tmp_path: Path
) -> None:
    gateway, user = trial("devpi", devpi_server.url), "rawly"
    password = devpi_server.person(user)
    phone = gateway.enrol(user)
    wheel, sdist = write(tmp_path / "dist", Package("rawly", "1.0"))
    two, three = write(tmp_path / "dist", Package("rawly", "2.0"))
    address = f"{gateway.url}/{user}/dev/"
    login = ["--username", user, "--password", password]
    gateway.start()
    try:
        client = DevpiClient(tmp_path / "home")
        assert "current devpi index" in client("use", address).said
        said = client("login", user, "--password", f"{password},{phone.code()}").said
        assert f"logged in '{user}'" in said, said
        done = client("upload", str(wheel))
        assert done.code == 0, done.said
        done = twine(tmp_path, address, user, password, sdist)
        assert done.code == 0, done.said
        done = uv(tmp_path, "publish", "--publish-url", address, *login, str(two))
        assert done.code == 0, done.said
        gateway.stop()
        found = refused(gateway)
        assert (found["user"], found["index"], found["count"]) == (user, f"{user}/dev", 2)
        assert (found["with"], found["refusal"]) == ("password", "second_factor_required")
        enforce(gateway)
        gateway.start()
        done = client("upload", str(three))
        assert done.code == 0, done.said
        four, _ = write(tmp_path / "dist", Package("rawly", "3.0"))
        done = uv(tmp_path, "publish", "--publish-url", address, *login, str(four))
        assert done.code != 0 and NEEDED in done.words, done.said
    finally:
        gateway.stop()
