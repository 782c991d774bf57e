"""The shipped configurations with some keys changed, without a process of their own."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from gateway.settings import Settings, loads

CONFIG = Path(__file__).parents[2] / "config"


def shipped(base: Path, kind: str, changes: Mapping[str, Any]) -> Settings:
    """The settings of a shipped file; changes: by dotted key, None removes."""
    yaml = YAML()
    yaml.preserve_quotes = True  # ":action" would lose its own
    yaml.width = 1000
    data = yaml.load(CONFIG / f"{kind}.yaml")
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    out = BytesIO()
    yaml.dump(data, out)
    return loads(out.getvalue(), base=base)
