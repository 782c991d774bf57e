"""The tests can fail: each guard that is broken on purpose is found by the tests named for it.

Each runs in a copy of the project; `make mutants` shows them one by one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.mutants import FIRST, MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
COPIED = ("gateway", "tests", "config", "pyproject.toml")
FAILED = 1  # pytest: tests were run and failed; more means that it could not run them


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project, in which a test may break something."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def run(place: Path, *tests: str, within: float = 110) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy, up to the first that fails."""
    argv = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    argv += ["--hypothesis-profile", "unshrunk"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**kept, "PYTHONPATH": str(place), "HYPOTHESIS_STORAGE_DIRECTORY": str(place)}
    return subprocess.run(
        argv, cwd=place, env=environment, capture_output=True, text=True, timeout=within
    )


def broken(place: Path, mutant: Mutant) -> None:
    file = place / mutant.file
    text = file.read_text("utf-8")
    assert text.count(mutant.old) == mutant.times, f"{mutant.file} has changed: place it anew"
    file.write_text(text.replace(mutant.old, mutant.new), "utf-8")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_tests_pass_while_nothing_is_broken(copy: Path) -> None:
    tests = sorted({test for mutant in MUTANTS.values() for test in mutant.tests})
    code = "import gateway, pathlib, sys; sys.exit(str(pathlib.Path(gateway.__file__).parents[1]))"
    where = subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert where.stderr.strip() == str(copy), "it is the copy that is tried"
    done = run(copy, *tests, within=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


EACH = [
    pytest.param(mutant, id=name, marks=() if name in FIRST else pytest.mark.long)
    for name, mutant in MUTANTS.items()
]


def test_one_of_each_kind_is_among_the_first() -> None:
    kinds = {name.partition(":")[0] for name in FIRST}
    assert len(FIRST) == len(kinds) == 6
    assert set(FIRST) <= set(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_every_defect_has_its_place(mutant: Mutant) -> None:
    """`make mutants` alone would notice late that the code has changed."""
    assert (ROOT / mutant.file).read_text("utf-8").count(mutant.old) == mutant.times


@pytest.mark.parametrize("mutant", EACH)
def test_what_is_broken_is_found(copy: Path, mutant: Mutant) -> None:
    broken(copy, mutant)
    done = run(copy, *mutant.tests)
    assert done.returncode == FAILED, done.stdout[-3000:] + done.stderr[-3000:]
