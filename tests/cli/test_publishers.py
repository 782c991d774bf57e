"""`index-gateway publisher`, and what `check` says of publishers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.app import live_check
from gateway.app.domain import open_domain
from gateway.app.live_check import Finding
from gateway.cli import run
from gateway.core.publishing.accounts import PublisherAccounts
from gateway.core.upstream import Credential
from gateway.settings import load
from tests.cli.shell import written
from tests.support import issuer as issuers

CONFIG = """\
version: 1
public_url: http://localhost:8080
upstream: {kind: devpi, url: "http://127.0.0.1:9"}
store: sqlite:state.db
keys: file:gateway.keys
publishers:
  - name: releases
    kind: oidc
    issuer: https://ci.example.org
    claims: {sub: release}
    projects: [Foo, acme-*]
    index: alice/dev
    user: ci
    only: true
"""


@pytest.fixture
def config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    config = written(tmp_path, CONFIG)
    capsys.readouterr()
    return config


def keep(config: Path) -> None:
    async def kept() -> None:
        async with open_domain(load(config)) as parts:
            await PublisherAccounts(parts.store, parts.ring).keep(Credential("CI", "s3cret"))

    asyncio.run(kept())


def test_publishers_are_listed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["publisher", "list", "-c", str(config)]
    assert run(words) == 1
    said = capsys.readouterr().out
    assert said == (
        "releases (oidc): foo, acme-* to alice/dev as ci, and nobody else; "
        "index-gateway publisher password ci\n"
    )
    keep(config)
    assert run([*words, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {
        "name": "releases",
        "kind": "oidc",
        "issuer": "https://ci.example.org",
        "index": ["alice/dev"],
        "projects": ["foo", "acme-*"],
        "only": True,
        "user": "ci",
        "ready": True,
    }
    assert run(["publisher", "forget", "-c", str(config), "ci"]) == 0
    assert run(["publisher", "forget", "-c", str(config), "ci"]) == 0
    assert capsys.readouterr().out == "Forgotten: ci.\nForgotten: nothing, none was kept.\n"


def test_check_misses_a_password(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", "-c", str(config)]
    assert run(words) == 0
    assert "publishers have no password of ci to upload with" in capsys.readouterr().err
    keep(config)
    assert run(words) == 0
    assert "publishers" not in capsys.readouterr().err


def test_nobody_types_a_password(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["publisher", "password", "-c", str(config), "ci"]) == 1
    assert "Nobody is there to type the password" in capsys.readouterr().err


def test_check_live_asks_issuers(config: Path) -> None:
    with issuers.running() as issuer:
        text = config.read_text()
        config.write_text(text.replace("https://ci.example.org", issuer.url))
        (found,) = [one for one in look(config) if one.what == "publishers"]
        assert (found.ok, found.said) == (True, f"{issuer.url} has 1 key")
        issuer.says = {"id_token_signing_alg_values_supported": ["HS256"]}
        (found,) = [one for one in look(config) if one.what == "publishers"]
        assert (found.ok, "has no key for RS256, ES256, EdDSA" in found.said) == (False, True)
        config.write_text(text.replace("https://ci.example.org", issuer.url + "/"))
        (found,) = [one for one in look(config) if one.what == "publishers"]
        assert "another issuer's" in found.said
    (found,) = [one for one in look(config) if one.what == "publishers"]
    assert "cannot be reached" in found.said


def look(config: Path) -> list[Finding]:
    return asyncio.run(live_check.look(load(config)))
