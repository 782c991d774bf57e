"""The demo's parts: packages pip takes, children that never outlive their start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gateway.cli.demo.command import codes
from gateway.cli.demo.indexes import Package, require, sdist, wheel, write
from gateway.cli.demo.processes import Child, Children, listens
from gateway.cli.output import CommandFailed
from tests.support.gateways import command
from tests.support.ports import free_port
from tests.support.waiting import eventually

PACKAGE = Package("hello", "1.0", "Says hello.", padding=b"\0" * 100)


def test_packages_are_the_same_every_time() -> None:
    assert wheel(PACKAGE) == wheel(PACKAGE)
    assert sdist(PACKAGE) == sdist(PACKAGE)


def test_twine_and_pip_take_the_packages(tmp_path: Path) -> None:
    paths = write(tmp_path / "dist", PACKAGE)
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", *map(str, paths)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    done = subprocess.run([*install, "--target", str(tmp_path / "lib"), str(paths[0])])
    assert done.returncode == 0
    assert (tmp_path / "lib/hello/data.bin").stat().st_size == 100


def test_the_record_of_a_wheel_names_every_file(tmp_path: Path) -> None:
    path, _ = write(tmp_path, PACKAGE)
    with zipfile.ZipFile(path) as archive:
        record = archive.read("hello-1.0.dist-info/RECORD").decode()
        assert {line.split(",")[0] for line in record.splitlines()} == set(archive.namelist())


def test_children_stop_together_and_take_theirs_along(tmp_path: Path) -> None:
    # A shell with a grandchild that ignores SIGTERM.
    script = "trap '' TERM; sleep 60 & echo $! > %s; wait; wait" % (tmp_path / "pid")
    with Children() as children:
        child = children.start("shell", ["sh", "-c", script], tmp_path / "log")
        number = tmp_path / "pid"
        assert eventually(lambda: number.exists() and number.read_text().strip())
        child.stop(within=0.2)
    grandchild = int((tmp_path / "pid").read_text())
    assert not _alive(child.process.pid)
    assert _ends(grandchild)


def test_a_child_that_ends_says_why(tmp_path: Path) -> None:
    script = "print('the reason'); raise SystemExit(3)"
    child = Child("program", [sys.executable, "-c", script], tmp_path / "log")
    with pytest.raises(CommandFailed, match="program did not start:\nthe reason"):
        child.ready(free_port(), within=20)
    child.stop()


def test_a_child_still_takes_signals(tmp_path: Path) -> None:
    """Signals wait while one is started; the new process must not inherit that."""
    with Children() as children:
        child = children.start("sleep", ["sleep", "60"], tmp_path / "log")
        child.tell_to_stop()
        assert child.process.wait(60) == -signal.SIGTERM


def test_a_busy_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert listens(port)
        done = command("demo", "--port", str(port), check=False)
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[0] == f"index-gateway: error: Port {port} of 127.0.0.1 is in use."
    )
    assert "hint: " in done.stderr
    assert done.stdout == ""


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.demo.indexes.find_spec", lambda name: None)
    with pytest.raises(CommandFailed) as failed:
        require("devpi")
    assert "devpi_server" in failed.value.text
    assert failed.value.suggestion.endswith("-m pip install 'index-gateway[demo-devpi]'")


def test_codes_are_those_of_rfc_6238() -> None:
    """The vectors of appendix B, in six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    shown = codes(f"otpauth://totp/demo?secret={secret}")
    assert shown(59) == ("287082", 1)
    assert shown(1111111109) == ("081804", 1)
    assert shown(2000000000) == ("279037", 10)


def _ends(process_id: int) -> bool:
    """Whether it is gone, or goes in a moment: a killed process dies when it next runs."""
    return eventually(lambda: not _alive(process_id))


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    # A zombie waits for its parent; it runs no more.
    return "Z" not in Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
