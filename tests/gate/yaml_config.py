"""The shipped configurations with some keys changed, read once for all tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from gateway.cli.demo.stage import change_data
from gateway.settings import Settings, from_data

CONFIG = Path(__file__).parents[2] / "config"


@cache
def _read(kind: str) -> str:
    return json.dumps(YAML(typ="safe").load(CONFIG / f"{kind}.yaml"))


def shipped(base: Path, kind: str, changes: Mapping[str, Any]) -> Settings:
    """The settings of a shipped file; changes: by dotted key, None removes."""
    data = json.loads(_read(kind))
    change_data(data, changes)
    return from_data(data, base=base)


def shipped_rules(kind: str) -> list[dict[str, Any]]:
    """The rules of a shipped file."""
    rules: list[dict[str, Any]] = json.loads(_read(kind))["rules"]
    return rules


def by_session(kind: str, name: str) -> list[dict[str, Any]]:
    """The shipped rules, one of which takes sessions for changes."""
    rules = shipped_rules(kind)
    return [rule | {"session": True} if rule["name"] == name else rule for rule in rules]
