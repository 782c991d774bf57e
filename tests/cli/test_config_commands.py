"""`init`, `check`, `explain` and `schema`, as a person at a terminal meets them."""

from __future__ import annotations

import io
import json
import os
import pwd
import re
import subprocess
import sys
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


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_init_below_etc_puts_the_store_where_a_service_may_write(
    says: Says, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cli.config._ETC", tmp_path / "etc")
    (tmp_path / "etc" / "index-gateway").mkdir(parents=True)
    assert says("init", kind, "-o", "etc/index-gateway/gateway.yaml")[0] == 0
    written = (tmp_path / "etc/index-gateway/gateway.yaml").read_text()
    assert "\nstore: sqlite:/var/lib/index-gateway/state.db\n" in written
    assert "and store in it" in says("init", kind, "-o", "here.yaml")[2]
    assert "\nstore: sqlite:state.db\n" in (tmp_path / "here.yaml").read_text()


def test_init_writes_to_stdout(says: Says, tmp_path: Path) -> None:
    status, out, err = says("init", "pypiserver", "-o", "-")
    assert (status, err) == (0, "")
    assert "kind: pypiserver" in out
    assert not list(tmp_path.iterdir())


def test_init_takes_what_differs_from_place_to_place(says: Says, tmp_path: Path) -> None:
    status, _, err = says(
        *("init", "devpi", "--private", "--listen", "[::]:8080", "--store", "redis://redis:6379/0"),
        *("--public-url", "https://packages.example.org", "--upstream", "http://devpi:3141"),
        *("--keys", "env:GATEWAY_KEYS"),
    )
    assert status == 0
    assert err.splitlines()[0] == "hint:   index-gateway keys new -c gateway.yaml"
    written = (tmp_path / "gateway.yaml").read_text()
    for line in (
        "listen: '[::]:8080'",
        "public_url: https://packages.example.org",
        "  url: http://devpi:3141",
        "store: redis://redis:6379/0",
        "keys: env:GATEWAY_KEYS",
    ):
        assert written.splitlines().count(line) == 1, line


@pytest.mark.parametrize(
    "said", [("--listen", "nowhere"), ("--upstream", "'"), ("--keys", "a: b"), ("--store", "\n")]
)
def test_init_writes_nothing_that_check_would_refuse(
    says: Says, tmp_path: Path, said: tuple[str, str]
) -> None:
    status, out, err = says("init", "devpi", *said)
    assert (status, out) == (1, "")
    assert err.startswith("index-gateway: error: what was said:"), err
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


def test_check_asks_for_documentation_that_stays_packed(says: Says, config: Path) -> None:
    said = says("check", "-c", "ig.yaml")[2]
    assert "hint: With devpi-web start devpi-server with --keep-docs-packed" in said
    says("init", "pypiserver", "-o", "py.yaml")
    assert "packed" not in says("check", "-c", "py.yaml")[2]


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
    assert "hint: Name a place this user may write" in err
    (tmp_path / "state").mkdir()
    assert "directory" not in says("check", "-c", "ig.yaml")[2]


def test_serve_stops_where_the_store_cannot_be_written(
    says: Says, config: Path, tmp_path: Path
) -> None:
    assert says("keys", "new", "-c", "ig.yaml")[0] == 0
    config.write_text(config.read_text().replace("sqlite:state.db", "sqlite:state/state.db"))
    status, out, err = says("serve", "-c", "ig.yaml")
    assert (status, out) == (1, "")
    assert re.search(r"error: ig\.yaml:\d+:\d+: store: there is no directory state\n", err)
    assert "hint: Name a place this user may write" in err


def without_privilege(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody whom the modes of files bind, which they do not bind root."""
    setpriv = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]
    return subprocess.run(
        [*(setpriv if os.getuid() == 0 else []), sys.executable, "-m", "gateway", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
    )


def test_who_cannot_write_the_store_is_told_which_file(
    says: Says, config: Path, tmp_path: Path
) -> None:
    assert says("keys", "new", "-c", "ig.yaml")[0] == 0
    tmp_path.chmod(0o555)
    done = without_privilege("serve", "-c", "ig.yaml", cwd=tmp_path)
    tmp_path.chmod(0o755)
    assert done.returncode == 1
    assert "store: this user cannot write into " in done.stderr
    (tmp_path / "state.db").touch(0o444)
    done = without_privilege("serve", "-c", "ig.yaml", cwd=tmp_path)
    assert done.returncode == 1
    owner = pwd.getpwuid(os.getuid()).pw_name
    assert f"store: this user cannot write state.db, which belongs to {owner}\n" in done.stderr
    assert "or give it the files (chown)" in done.stderr


def test_a_list_of_users_that_cannot_be_read_says_what_to_do(
    says: Says, config: Path, tmp_path: Path
) -> None:
    config.write_text(config.read_text().replace("kind: devpi", "kind: pypiserver"))
    (tmp_path / "htpasswd").touch(0o000)
    done = without_privilege("check", "-c", "ig.yaml", "--who", "--users", "htpasswd", cwd=tmp_path)
    assert done.returncode == 1
    assert "error: htpasswd: Permission denied." in done.stderr
    assert "hint: The names alone are enough. As root: cut -d: -f1 htpasswd | " in done.stderr
    assert "Traceback" not in done.stderr


def test_users_come_from_stdin_too(
    says: Says, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text().replace("kind: devpi", "kind: pypiserver"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"alice\nbob\n")))
    status, out, _ = says("check", "-c", "ig.yaml", "--who", "--users", "-")
    assert status == 1
    assert "alice" in out
    assert "bob" in out


def test_check_takes_users_only_for_who(says: Says, config: Path) -> None:
    status, out, err = says("check", "-c", "ig.yaml", "--users", "ig.yaml")
    assert (status, out) == (2, "")
    assert "--users goes with --who" in err
    assert says("check", "-c", "ig.yaml", "--who", "--users", "none")[0] == 2


def test_check_without_a_file(says: Says) -> None:
    status, out, err = says("check", "-c", "none.yaml")
    assert (status, out) == (1, "")
    assert err == (
        "index-gateway: error: none.yaml: it cannot be read (No such file or directory); "
        "index-gateway init writes one, -c FILE or INDEX_GATEWAY_CONFIG names it\n"
    )


def test_without_c_the_usual_file_is_taken(
    says: Says, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "/etc/index-gateway/gateway.yaml" in says("check", "--help")[1]
    monkeypatch.setenv("INDEX_GATEWAY_CONFIG", str(config))
    assert says("check")[0] == 0
    assert "rule: login" in says("explain", "POST", "/+login")[1]
    assert says("user", "list")[0] == 1, "there are no keys yet"
    assert says("keys", "new")[0] == 0
    assert (tmp_path / "gateway.keys").exists()
    assert says("user", "list")[0] == 0


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
    "documentation": (["GET", "/u/i/p/1/+doc/x"], "answer: documentation"),
    "the default": (
        ["POST", "/+new"],
        "No rule matches; the default decides: second_factor\n  not login: ",
        "rule: none",
        "needs: a second factor",
    ),
    "a whole address": (
        ["DELETE", "http://localhost:8080/alice/dev/pkg?x"],
        "path: /alice/dev/pkg\n",
        "rule: release deletion",
    ),
    "the root of an address": (["GET", "HTTP://LOCALHOST:8080"], "path: /\n", "rule: reading"),
    "a refused address": (
        ["POST", "//+login"],
        "refused: ambiguous_target (400)",
        "Ask for the plain path",
    ),
    "own pages": (["GET", "/+auth/login"], "answered by the gateway itself"),
    "a method of devpi's own": (
        ["PUSH", "/alice/dev", "--content-type", "application/json"],
        "rule: pushes",
    ),
    "files that are looked into": (
        ["POST", "/alice/dev", "--form", ":action=doc_upload"],
        "rule: documentation uploads",
        "files: only ZIP archives whose members stay in their folder",
    ),
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


BROWSERS = "browsers: the gateway's own page (appearance.front_page)"


def test_explain_tells_the_front_page(says: Says, tmp_path: Path) -> None:
    assert says("init", "pypiserver", "-o", "front.yaml")[0] == 0
    written = Path("front.yaml").read_text()
    shown = f"{written}\nappearance: {{front_page: true}}\n"
    Path("front.yaml").write_text(shown)
    told = says("explain", "-c", "front.yaml", "GET", "/")[1]
    assert "rule: reading" in told and BROWSERS in told
    for asked in (("HEAD", "/"), ("POST", "/"), ("GET", "/simple/")):
        assert BROWSERS not in says("explain", "-c", "front.yaml", *asked)[1], asked
    closed = "\nrules:\n  - {name: closed, match: {methods: [GET], path: /}, policy: deny}\n"
    Path("front.yaml").write_text(shown.replace("\nrules:\n", closed))
    told = says("explain", "-c", "front.yaml", "GET", "/")[1]
    assert "rule: closed" in told and BROWSERS not in told
    assert "nobody gets it whom rule 'closed' denies /" in says("check", "-c", "front.yaml")[2]


def test_explain_without_a_slash_says_what_a_target_is(says: Says, config: Path) -> None:
    status, out, err = says("explain", "-c", "ig.yaml", "GET", "alice")
    assert (status, err) == (0, "hint: TARGET is a path from its first slash on: /alice\n")
    assert "refused: ambiguous_target" in out


def test_explain_says_that_an_address_is_another_ones(says: Says, config: Path) -> None:
    status, out, err = says("explain", "-c", "ig.yaml", "DELETE", "https://other.example/a/dev")
    assert status == 0
    assert err == (
        "index-gateway: warning: https://other.example is not public_url; its path is taken.\n"
    )
    assert "rule: index deletion" in out


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
