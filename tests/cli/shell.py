"""The command line in this process, over a configuration that needs nothing beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import run

CONFIG = """\
version: 1
public_url: http://localhost:8080
upstream: {kind: pypiserver, url: "http://127.0.0.1:3141"}
store: sqlite:state.db
keys: file:gateway.keys
"""


def written(folder: Path, text: str = CONFIG) -> Path:
    """A configuration, with new keys beside it."""
    config = folder / "gateway.yaml"
    config.write_text(text)
    assert run(["keys", "new", "-c", str(config)]) == 0
    return config


class Shell:
    """Runs commands and keeps what they said. group: of all of them, "token" say."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str], *group: str) -> None:
        self.config = config
        self.capsys = capsys
        self.group = group
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        command = [*self.group, *words]
        code = run([*command[:2], "-c", str(self.config), *command[2:]])
        self.out, self.err = self.capsys.readouterr()
        return code

    def json(self, *words: str) -> dict[str, object]:
        assert self(*words, "--json") == 0, self.err
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found
