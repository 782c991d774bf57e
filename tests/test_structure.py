"""What import-linter does not see of the structure: circles of files, names with two meanings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gateway"


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text("utf-8"))
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules of the package that one imports: anywhere in it, for types alone too."""
    known = modules()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            home = node.module or ""
            for alias in node.names:
                name = f"{home}.{alias.name}"
                yield from (one for one in (name if name in known else home,) if one in known)


def classes() -> dict[str, list[str]]:
    """Where each top-level class is defined."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for module, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(module)
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(modules()) > 150
    assert sum(len(set(imported(tree))) for tree in modules().values()) > 800
    assert len(classes()) > 200


def test_no_files_import_each_other_in_a_circle() -> None:
    imports = {module: set(imported(tree)) - {module} for module, tree in modules().items()}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_class_name_has_two_meanings() -> None:
    twice = classes()
    assert {name: homes for name, homes in twice.items() if len(homes) > 1} == {}


def test_attributes_have_names() -> None:
    """`self._` alone says nothing."""
    bare = re.compile(r"\b(self|cls)\._(?!\w)")
    found = [str(path) for path in PACKAGE.rglob("*.py") if bare.search(path.read_text("utf-8"))]
    assert not found


# Libraries that only some gateways need, or only some requests.
_LATER = ("aiohttp", "bz2", "jinja2", "lzma", "re2", "redis", "sqlite3", "tarfile", "tempfile")


@pytest.mark.server
def test_a_gateway_starts_without_what_it_may_never_need() -> None:
    """Each of these costs memory from the start, some ten megabytes."""
    look = "import sys, gateway.app.wiring, gateway.cli.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    assert not set(_LATER) & set(done.stdout.split())
