"""`index-gateway freeze` and `unfreeze` on a real configuration, key file and store."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from pathlib import Path

import pytest

from gateway.app.domain import open_domain
from gateway.cli import run
from gateway.core.administration import Admin
from gateway.core.audit.events import Origin
from gateway.core.crypto.keyring import new_key
from gateway.core.tokens.records import scope_of
from gateway.core.upstream import Credential
from gateway.keystore import create_key_file
from gateway.settings import load
from tests.cli.shell import CONFIG


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    create_key_file(tmp_path / "gateway.keys", (new_key([], secrets.token_bytes),))
    return file


@pytest.fixture
def token(config: Path) -> str:
    """The id of a token of alice's, who is known here."""

    async def make() -> str:
        async with open_domain(load(config)) as parts:
            await Admin(parts).enrol("alice")
            held = Credential("alice", "p")
            scope = scope_of(["upload"])
            made = await parts.tokens.make("alice", "CI", scope, 86400, held, Origin())
            return made.token.id

    return asyncio.run(make())


def call(
    capsys: pytest.CaptureFixture[str], config: Path, command: str, *words: str
) -> tuple[int, str, str]:
    code = run([command, "-c", str(config), *words])
    out, err = capsys.readouterr()
    return code, out, err


WHY = ("--reason", "key leaked")


def test_stop_list_and_go_on(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, config, "freeze", "list")[1] == "Nothing is stopped.\n"
    code, out, err = call(capsys, config, "freeze", "uploads", "--for", "90m", *WHY)
    assert code == 0 and out.startswith("uploads is stopped until ") and "key leaked" in out
    assert "index-gateway unfreeze uploads" in err
    for what in ("user:Alice", "project:Foo_Bar", "token:AbC", "all"):
        assert call(capsys, config, "freeze", what, *WHY)[0] == 0
    # The same again: another end and reason.
    call(capsys, config, "freeze", "uploads", "--for", "3h", "--reason", "still\x1b[2J leaking")
    found = json.loads(call(capsys, config, "freeze", "list", "--json")[1])
    by_name = {one["what"]: one for one in found}
    assert set(by_name) == {"uploads", "user:alice", "project:foo-bar", "token:AbC", "all"}
    assert by_name["uploads"]["reason"] == "still [2J leaking"
    assert call(capsys, config, "unfreeze", "project:foo.bar")[1] == "project:foo-bar goes on.\n"
    assert call(capsys, config, "unfreeze", "project:foo.bar")[0] == 1
    code, out, _ = call(capsys, config, "unfreeze", "--all")
    assert code == 0 and out.count("goes on.") == 4
    assert call(capsys, config, "freeze", "list")[1] == "Nothing is stopped.\n"


def test_all_of_it_is_recorded(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, config, "freeze", "project:Foo", *WHY)
    call(capsys, config, "freeze", "user:alice", *WHY)
    call(capsys, config, "unfreeze", "--all")
    capsys.readouterr()
    run(["audit", "export", "-c", str(config)])
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [(one["event"], one["user"], one.get("project", "")) for one in entries]
    assert told == [
        ("frozen", "", "foo"),
        ("frozen", "alice", ""),
        ("unfrozen", "", "foo"),
        ("unfrozen", "alice", ""),
    ]
    assert entries[0]["detail"].startswith("project:foo until ")
    assert entries[0]["detail"].endswith(": key leaked")


def test_a_name_alone_is_taken_where_it_is_known_for_one_thing(
    config: Path, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, config, "freeze", "Alice", *WHY)[1].startswith("user:alice is stopped")
    assert call(capsys, config, "freeze", token, *WHY)[1].startswith(f"token:{token} is stopped")
    code, _, err = call(capsys, config, "freeze", "billing", *WHY)
    assert code == 2
    assert "write user:billing, project:billing or token:billing" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("uploads",), "--reason"),
        (("uploads", "--for", "never", *WHY), "a duration such as"),
        (("uploads", "--for", "9999d", *WHY), "at most"),
        (("thing:x", *WHY), "user:NAME, project:NAME or token:ID"),
        (("user:", *WHY), "user:NAME, project:NAME or token:ID"),
        (("project:no name", *WHY), "is no name of a project"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_not_understood(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, out, err = call(capsys, config, "freeze", *words)
    assert code == 2 and not out and said in err


def test_explain_says_what_is_stopped(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, config, "freeze", "uploads", *WHY)
    assert "stopped now: uploads until" in call(capsys, config, "explain", "POST", "/")[1]
    assert "stopped now" not in call(capsys, config, "explain", "GET", "/simple/")[1]


def test_the_end_comes_by_itself(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, config, "freeze", "uploads", "--for", "1ms", *WHY)
    time.sleep(0.01)
    assert call(capsys, config, "freeze", "list")[1] == "Nothing is stopped.\n"
