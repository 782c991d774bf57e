"""The image is built from a part of the tree: what the package needs is all in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "tools/image-root"


def let_in() -> list[str]:
    """What an engine gets to see of the tree."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines, "everything else stays out"
    return [line[1:] for line in lines if line.startswith("!")]


def copied() -> list[str]:
    """What the package is built from there."""
    (line,) = re.findall(r"^cp -r (.+) \"\$work/src\"$", SCRIPT.read_text("utf-8"), re.M)
    return str(line).split()


def test_what_the_image_is_made_of_is_let_in() -> None:
    assert set(let_in()) == {*copied(), "requirements/run.txt", "tools/image-root"}


def test_the_package_that_is_built_there_is_whole(tmp_path: Path) -> None:
    context = tmp_path / "context"
    for name in copied():
        source, target = ROOT / name, context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(source, target)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, "--wheel-dir", str(tmp_path), str(context)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    tree = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "gateway").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".po"
    }
    shipped = (ROOT / "config").rglob("*.yaml")
    tree |= {f"gateway/{path.relative_to(ROOT)}" for path in shipped}
    assert tree <= packed
