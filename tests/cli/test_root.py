"""The command line as a whole: what it offers, how it fails, what it imports."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from gateway import __version__
from gateway.cli import COMMANDS, _worded, output, run
from gateway.core.crypto.keyring import SealBroken
from gateway.core.errors import Refusal, Slug
from gateway.core.store import StoreUnavailable
from tests.support.gateways import command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says(name: str) -> None:
    place = COMMANDS[name]
    found = getattr(import_module(f"gateway.cli.{place.module}"), place.attribute)
    assert isinstance(found, click.Command)
    assert found.name == name
    assert found.help


def test_help_lists_every_command_without_importing_one() -> None:
    script = (
        "import sys; from gateway.cli import run; run(['--help']);"
        "print([m for m in sys.modules if m.startswith('gateway.')])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    listing, _, modules = told.rpartition("\n[")
    assert all(re.search(rf"^  {name} ", listing, re.MULTILINE) for name in COMMANDS)
    assert set(re.findall(r"'([^']+)'", modules)) == {"gateway.cli", "gateway.cli.output"}


def test_version() -> None:
    done = command("--version")
    assert done.stdout == f"index-gateway {__version__}\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "error: No such command 'nonsense'."),
        (["explain"], "error: Missing argument 'METHOD'."),
        (["serve", "-c", "x", "--workers", "0"], "error: Invalid value for '--workers'"),
        (["demo", "--upstream", "warehouse"], "error: Invalid value for '--upstream'"),
    ],
    ids=["command", "argument missing", "number", "choice"],
)
def test_misuse_ends_with_2_and_says_where_help_is(arguments: list[str], said: str) -> None:
    done = command(*arguments, check=False)
    assert done.returncode == output.MISUSE
    assert f"index-gateway: {said}" in done.stderr
    assert "hint: Try 'index-gateway" in done.stderr
    assert done.stdout == ""


def test_no_arguments_is_misuse_and_shows_the_help() -> None:
    done = command(check=False)
    assert done.returncode == output.MISUSE
    assert "Usage: index-gateway" in done.stderr


def test_a_missing_configuration_is_said_without_a_traceback(tmp_path: Path) -> None:
    done = command("serve", "-c", str(tmp_path / "none.yaml"), check=False)
    assert done.returncode == output.FAILED
    assert re.fullmatch(r"index-gateway: error: .*none\.yaml: it cannot be read.*\n", done.stderr)


def test_every_problem_of_a_configuration_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("version: 2\nlisten: nowhere\n")
    done = command("serve", "-c", str(path), check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == output.FAILED
    assert len(lines) > 2
    assert all(line.startswith("index-gateway: error: ") for line in lines)


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (Refusal(Slug.UNUSABLE_NAME), "user name"),
        (StoreUnavailable("state.db: disk full"), "state.db: disk full"),
        (SealBroken(), "none of the keys"),
        (OSError(98, "Address already in use"), "in use"),
        (
            FileNotFoundError(2, "No such file or directory", "gateway.keys"),
            "gateway.keys: No such",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_expected_failures_have_words(failed: Exception, said: str) -> None:
    worded = _worded(failed)
    assert worded is not None
    assert said in worded.text


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("gateway.cli.cli.main", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        run(["--version"])


def test_a_secret_stays_out_of_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    with pytest.raises(output.CommandFailed, match="would hold a secret"):
        output.secret_allowed()
    output.secret_allowed(json=True)
    output.secret_allowed(force=True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.secret_allowed()


def test_a_reader_that_goes_away_is_no_error() -> None:
    shell = f"{sys.executable} -m gateway --help | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
