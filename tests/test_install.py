"""`tools/install` says what is missing, before it makes anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def install(place: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["tools/install", "demo"],
        cwd=ROOT,
        env={**os.environ, "VENV": str(place / "venv"), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("python", ["/bin/false", "/no/such/python"])
def test_a_python_that_is_named_and_too_old(tmp_path: Path, python: str) -> None:
    done = install(tmp_path, PYTHON=python)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert said[0] == f"error: {python} is no Python 3.11 or newer"
    assert said[1].startswith("hint: Name another (make demo PYTHON=")
    assert len(said) == 2
    assert not list(tmp_path.iterdir())


def test_no_python_that_is_new_enough(tmp_path: Path) -> None:
    """As on Ubuntu 22.04, whose own is 3.10 and which has 3.11 beside it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "cat"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    (tools / "python3").symlink_to("/bin/false")
    done = install(tmp_path, PATH=str(tools), PYTHON="")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: no Python 3.11 or newer was found\nhint: Install one (apt"
    )
    assert not (tmp_path / "venv").exists()
