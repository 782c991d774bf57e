"""`init`, `check`, `explain` and `schema`, as a person at a terminal meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli import run

Says = Callable[..., tuple[int, str, str]]


@pytest.fixture
def says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Says:
    """Run a command in an empty directory: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def say(*arguments: str) -> tuple[int, str, str]:
        status = run(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return say


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_what_init_writes_is_what_check_accepts(says: Says, kind: str, tmp_path: Path) -> None:
    status, out, err = says("init", kind, "-o", "ig.yaml")
    assert (status, out) == (0, "ig.yaml\n")
    assert err.splitlines()[1:] == [
        "hint:   index-gateway keys new -c ig.yaml",
        "hint:   index-gateway check -c ig.yaml",
        "hint:   index-gateway serve -c ig.yaml",
    ]
    assert "check -c ig.yaml" in (tmp_path / "ig.yaml").read_text()
    status, out, err = says("check", "-c", "ig.yaml")
    assert status == 0
    assert f"http://localhost:8080 -> {kind} at http://127.0.0.1:" in out
    assert "keys: file:gateway.keys is not there" in err
    assert "hint: index-gateway keys new -c ig.yaml" in err
    assert not (tmp_path / "state.db").exists(), "check makes nothing"


def test_init_never_writes_over_a_file(says: Says, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("mine")
    status, out, err = says("init", "devpi")
    assert (status, out) == (1, "")
    assert err == (
        "index-gateway: error: gateway.yaml is there already.\n"
        "hint: Name another file with -o, or add --force.\n"
    )
    assert (tmp_path / "gateway.yaml").read_text() == "mine"
    assert says("init", "devpi", "--force")[0] == 0
    assert (tmp_path / "gateway.yaml").read_text() != "mine"


def test_init_writes_to_stdout(says: Says, tmp_path: Path) -> None:
    status, out, err = says("init", "pypiserver", "-o", "-")
    assert (status, err) == (0, "")
    assert "kind: pypiserver" in out
    assert not list(tmp_path.iterdir())


def test_init_knows_its_kinds(says: Says) -> None:
    status, out, err = says("init", "pypi")
    assert (status, out) == (2, "")
    assert err.startswith("index-gateway: error: ")


@pytest.fixture
def config(says: Says, tmp_path: Path) -> Path:
    says("init", "devpi", "-o", "ig.yaml")
    return tmp_path / "ig.yaml"


def test_check_tells_every_mistake_and_fails(says: Says, config: Path) -> None:
    text = (
        config.read_text()
        .replace("kind: devpi", "kind: pypi")
        .replace("max_age: 12h", "max_age: 12")
    )
    config.write_text(text)
    status, out, err = says("check", "-c", "ig.yaml")
    assert (status, out) == (1, "")
    lines = err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("index-gateway: error: ig.yaml:") for line in lines)


def test_check_runs_the_tests_of_the_file(says: Says, config: Path) -> None:
    config.write_text(
        config.read_text()
        .replace("policy: login", "policy: pass")
        .replace("expect: login}", "expect: second_factor}", 1)
    )
    status, out, err = says("check", "-c", "ig.yaml")
    assert (status, out) == (1, "")
    assert "test 1 'POST /+login': it meets login / pass; expected second_factor" in err


def test_check_warns_of_what_is_odd(says: Says, config: Path) -> None:
    config.write_text(config.read_text().replace("http://localhost:8080", "http://192.0.2.1"))
    status, out, err = says("check", "-c", "ig.yaml")
    assert status == 0
    assert out
    assert err.count("index-gateway: warning: ig.yaml:") == 3  # no TLS, no passkeys, no keys


def test_check_tells_of_a_store_out_of_reach(says: Says, config: Path) -> None:
    config.write_text(config.read_text().replace("sqlite:state.db", "redis://127.0.0.1:1/0"))
    status, _, err = says("check", "-c", "ig.yaml")
    assert status == 0
    assert "store: " in err
    assert "reach" in err


def test_check_misses_the_directory_of_the_store(says: Says, config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("sqlite:state.db", "sqlite:state/state.db"))
    _, _, err = says("check", "-c", "ig.yaml")
    assert "store: there is no directory state\n" in err
    assert "hint: Make it" in err
    (tmp_path / "state").mkdir()
    assert "directory" not in says("check", "-c", "ig.yaml")[2]


def test_check_takes_users_only_for_who(says: Says, config: Path) -> None:
    status, out, err = says("check", "-c", "ig.yaml", "--users", "ig.yaml")
    assert (status, out) == (2, "")
    assert "--users goes with --who" in err
    assert says("check", "-c", "ig.yaml", "--who", "--users", "none")[0] == 2


def test_check_without_a_file(says: Says) -> None:
    status, out, err = says("check", "-c", "none.yaml")
    assert (status, out) == (1, "")
    assert err == (
        "index-gateway: error: none.yaml: it cannot be read (No such file or directory)\n"
    )
    assert says("check")[0] == 2


def test_no_command_shows_a_secret(says: Says, config: Path) -> None:
    config.write_text(config.read_text().replace("file:gateway.keys", "hunter2"))
    for command in (["check"], ["explain", "GET", "/"]):
        status, out, err = says(*command, "-c", "ig.yaml")
        assert status == 1
        assert "hunter2" not in out + err


EXPLAINED = {
    "a guarded act": (
        ["DELETE", "/alice/dev/pkg/"],
        "path: /alice/dev/pkg",
        "rule: release deletion (ig.yaml:",
        "policy: second_factor",
        "not older than 15m",
    ),
    "a login": (["POST", "/%2Blogin"], "path: /+login", "policy: login", "PASSWORD,123456"),
    "why not": (
        ["GET", "/+login"],
        "  not login: GET is not POST",
        "  not login in disguise: no content type is not application/x-www-form-urlencoded or",
        "rule: login page",
        "needs: nothing",
    ),
    "a content type": (
        ["GET", "/+login", "--content-type", "multipart/form-data"],
        "rule: login in disguise",
        "refused: denied (403)",
    ),
    "documentation": (["GET", "/u/i/p/1/+doc/x"], "answer: in a sandbox"),
    "the default": (["POST", "/+new"], "rule: none; the default decides", "needs: a second factor"),
    "a refused address": (
        ["POST", "//+login"],
        "refused: ambiguous_target (400)",
        "Ask for the plain path",
    ),
    "own pages": (["GET", "/+auth/login"], "answered by the gateway itself"),
    "a method of devpi's own": (["PUSH", "/alice/dev"], "rule: uploads"),
}


@pytest.mark.parametrize("line", EXPLAINED.values(), ids=EXPLAINED)
def test_explain_says_what_becomes_of_a_request(
    says: Says, config: Path, line: tuple[list[str], *tuple[str, ...]]
) -> None:
    arguments, *expected = line
    status, out, err = says("explain", "-c", "ig.yaml", *arguments)
    assert (status, err) == (0, "")
    for text in expected:
        assert text in out


def test_explain_without_a_slash_says_what_a_target_is(says: Says, config: Path) -> None:
    status, out, err = says("explain", "-c", "ig.yaml", "GET", "alice")
    assert (status, err) == (0, "hint: TARGET is a path from its first slash on: /alice\n")
    assert "refused: ambiguous_target" in out


def test_explain_looks_at_forms_and_addresses(says: Says, tmp_path: Path) -> None:
    says("init", "pypiserver", "-o", "ig.yaml")
    text = (tmp_path / "ig.yaml").read_text()
    inside = "  - {name: inside, match: {path: /, networks: [10.0.0.0/8]}, policy: pass}\n"
    (tmp_path / "ig.yaml").write_text(text.replace("rules:\n", "rules:\n" + inside))
    explain = ["explain", "-c", "ig.yaml", "POST", "/"]
    assert "rule: inside" in says(*explain, "--from", "10.1.2.3")[1]
    out = says(*explain, "--from", "192.0.2.1", "--form", ":action=remove_pkg")[1]
    assert "not inside: 192.0.2.1 is not in 10.0.0.0/8" in out
    assert "rule: release deletion" in out
    out = says(*explain, "--form", ":action=file_upload")[1]
    assert "not release deletion: form field :action is file_upload, not remove_pkg" in out
    assert "rule: uploads" in out


MISUSE = {
    "no target": ["GET"],
    "no address": ["GET", "/", "--from", "x"],
    "no field": ["GET", "/", "--form", "x"],
    "field twice": ["GET", "/", "--form", "x=1", "--form", "x=2"],
}


@pytest.mark.parametrize("arguments", MISUSE.values(), ids=MISUSE)
def test_explain_used_wrongly(says: Says, config: Path, arguments: list[str]) -> None:
    status, out, err = says("explain", "-c", "ig.yaml", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("index-gateway: error: ")


def test_schema_is_json(says: Says) -> None:
    status, out, err = says("schema")
    assert (status, err) == (0, "")
    schema = json.loads(out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"]["default"]["default"] == "second_factor"
