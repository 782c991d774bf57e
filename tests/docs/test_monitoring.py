"""Dashboard, alert rules and the page name what the gateway gives, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gateway.app.metrics import COUNTERS, OF_ALL, OF_FILES, OF_WORKERS, PREFIX, families
from gateway.core.counters import BOUNDS, LABELS, Counted, Taken, Timed
from tests.support.servers import program

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD = DOCS / "monitoring" / "dashboard.json"
ALERTS = DOCS / "monitoring" / "alerts.yaml"
_NAME = re.compile(rf"{PREFIX}\w+")


@pytest.fixture(scope="module")
def given() -> dict[str, set[str]]:
    """Every name that can be given, with its labels."""
    total: Taken = {}
    for what in (*Counted, *Timed):
        numbers = [1.0] * (len(BOUNDS) + 2 if isinstance(what, Timed) else 1)
        total[what] = {tuple("x" for _ in LABELS[what]): numbers}
    found: dict[str, set[str]] = {}
    for family in families(total, dict.fromkeys({**OF_WORKERS, **OF_ALL, **OF_FILES}, 1.0)):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    rules = YAML(typ="safe").load(ALERTS)["groups"][0]["rules"]
    targets = [target for panel in panels() for target in panel["targets"]]  # type: ignore[attr-defined]
    return [rule["expr"] for rule in rules] + [target["expr"] for target in targets]


def test_whatever_is_asked_for_is_given(given: dict[str, set[str]]) -> None:
    for text in expressions():
        for name in _NAME.findall(text):
            assert name in given, (name, text)
        labels = {*re.findall(r'(\w+)=~?"', text)}
        for group in re.findall(r"by \(([\w, ]+)\)", text):
            labels |= {*group.split(", ")}
        known = set[str]().union(*(given[name] for name in _NAME.findall(text)))
        assert labels <= known | {"job", "instance"}, text


def test_the_dashboard_shows_all_that_is_given(given: dict[str, set[str]]) -> None:
    shown = {name for text in expressions() for name in _NAME.findall(text)}
    base = re.compile(r"_(bucket|count|sum|created)$")
    assert {base.sub("", name) for name in given} - {base.sub("", name) for name in shown} == {
        f"{PREFIX}build_info"
    }
    places = [tuple(panel["gridPos"].values()) for panel in panels()]  # type: ignore[attr-defined]
    assert len({*places}) == len(places)


def test_the_page_names_them_all() -> None:
    said = (DOCS / "monitoring.md").read_text()
    names = [*(f"{what}_total" for what in COUNTERS), *(f"{what}_seconds" for what in Timed)]
    for name in (*names, *OF_WORKERS, *OF_ALL, *OF_FILES):
        assert f"`{name}`" in said, name


@pytest.mark.packages
def test_prometheus_takes_the_rules() -> None:
    done = subprocess.run([program("promtool"), "check", "rules", str(ALERTS)], capture_output=True)
    assert done.returncode == 0, done.stdout
