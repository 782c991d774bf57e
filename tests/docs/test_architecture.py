"""What the page on the structure names is there, and the structure is all on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PLACE = re.compile(r"(?<![\w./+-])(?:[a-z_0-9]+/)+(?:\w+\.\w+)?(?![\w/])|\b\w+\.toml\b")


def places() -> list[str]:
    """Files and folders that the page names, in its picture too; links have a test of their own."""
    text = re.sub(r"\]\([^)]*\)", "]", PAGE)
    contributing = re.findall(r"(?<![/\w])(?:tests|gateway|docs)/[\w/.]*\w/?", CONTRIBUTING)
    return sorted({*PLACE.findall(text), *contributing})


def test_it_names_places() -> None:
    assert len(places()) > 40
    assert {"proxy/http1/", "core/rules/rules.py", "tests/e2e/", "pyproject.toml"} <= set(places())


@pytest.mark.parametrize("place", places())
def test_every_place_on_the_page_exists(place: str) -> None:
    path = (ROOT if (ROOT / place).exists() else ROOT / "gateway") / place
    assert path.is_file() if path.suffix else path.is_dir()


def test_every_folder_stands_in_the_table() -> None:
    table = PAGE.partition("## What each folder owns")[2].partition("\n## ")[0]
    rows = "".join(line for line in table.splitlines() if line.startswith("| `"))
    found = {str(p.parent.relative_to(ROOT / "gateway")) for p in ROOT.glob("gateway/*/**/*.py")}
    assert len(found) >= 20
    inner = {"core", "stores/redis", "stores/sqlite"}
    assert {folder for folder in found if f"`{folder}/`" not in rows} == inner


def test_every_line_that_something_new_needs_is_there() -> None:
    table = PAGE.partition("## Where something new goes")[2].partition("\n## ")[0]
    named = re.findall(r"`([A-Z]\w+)`(?: and `\w+`)? (?:in|of) `([\w/]+\.py)`", table)
    assert len(named) >= 7
    for name, place in named:
        path = ROOT / place if (ROOT / place).exists() else ROOT / "gateway" / place
        assert re.search(rf"^(class )?{name}\b", path.read_text("utf-8"), re.M), (name, place)
