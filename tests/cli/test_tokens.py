"""`index-gateway token` on a real configuration, key file and store. Making one asks the index;
that is in tests/e2e/test_tokens.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shell import Shell, written

CONFIG = """\
version: 1
public_url: http://localhost:8080
upstream:
  kind: pypiserver
  url: http://127.0.0.1:9
  service_account: {user: uploads, password: "env:SERVICE"}
store: sqlite:state.db
keys: file:gateway.keys
"""


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    config = written(tmp_path, CONFIG)
    capsys.readouterr()
    return Shell(config, capsys, "token")


def test_made_listed_shown_and_revoked(shell: Shell) -> None:
    assert shell("list") == 0
    assert shell.out == "There is no token.\n"
    assert shell("create", "Alice", "--name", "ci", "--project", "Foo", "--json") == 0, shell.err
    made = json.loads(shell.out)
    assert made["token"].startswith("pypi-AgE")
    assert shell("create", "alice", "--name", "other", "--scope", "read", "--force") == 0
    text, *rest = shell.out.splitlines()
    assert text.startswith("pypi-AgE")
    assert not rest
    assert text not in shell.err

    assert shell("list", "alice") == 0
    head, *rows = shell.out.splitlines()
    assert head.split()[:3] == ["USER", "NAME", "ID"]
    assert len(rows) == 2
    assert "Alice  ci" in shell.out
    assert "upload (foo)" in shell.out
    assert shell("show", "ALICE", "ci") == 0
    assert f"ci ({made['id']}) of Alice" in shell.out
    assert "by administrator" in shell.out
    assert shell("revoke", "alice", made["id"]) == 0
    assert shell.out == f"Revoked: {made['id']}.\n"
    assert shell("show", "alice", "ci") == 1
    assert "There is no live token ci of alice." in shell.err
    assert shell("list", "--all", "--json") == 0
    assert {one["state"] for one in json.loads(shell.out)} == {"live", "revoked"}
    assert made["token"] not in shell.out
    assert shell("revoke", "alice", "--all", "--json") == 0
    assert len(json.loads(shell.out)["revoked"]) == 1
    assert shell("list") == 0
    assert shell.out == "There is no token.\n"


def test_a_token_does_not_go_into_a_pipe_unasked(shell: Shell) -> None:
    assert shell("create", "alice", "--name", "ci") == 1
    assert "would hold a secret" in shell.err
    assert shell("list") == 0
    assert shell.out == "There is no token.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scope", "everything"], "'everything' is nothing a token can be given"),
        (["--scope", "manage"], "the scope 'manage' is not allowed here (tokens.manage)"),
        (["--project", "[x]"], "'[x]' is not a valid project or pattern"),
        (["--network", "here"], "'here' is not a valid network"),
        (["--days", "366"], "it would live 366 days; allowed is 1 minute to 365 days"),
        (["--days", "0"], "it would live"),
    ],
)
def test_a_token_that_is_not_made(shell: Shell, words: list[str], said: str) -> None:
    assert shell("create", "alice", "--name", "ci", "--json", *words) == 1
    assert said in shell.err


@pytest.mark.parametrize("words", [["alice"], ["alice", "ci", "--all"]])
def test_revoking_names_one_or_all(shell: Shell, words: list[str]) -> None:
    assert shell("revoke", *words) == 2
    assert "Name one TOKEN, or give --all." in shell.err


def test_without_a_service_account_the_password_is_asked_for(shell: Shell) -> None:
    lines = CONFIG.splitlines(keepends=True)
    shell.config.write_text("".join(line for line in lines if "service_account" not in line))
    assert shell("create", "alice", "--name", "ci", "--json") == 1
    assert "Give it by --password-file" in shell.err
