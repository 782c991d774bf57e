"""One YAML file becomes frozen settings, or a list of everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

from gateway.settings.model import Settings
from gateway.settings.problems import ConfigError, Problem

__all__ = ["ConfigError", "Problem", "Settings", "json_schema", "load", "run_tests"]


def load(path: Path) -> Settings:
    """Read a configuration.

    Raises:
        ConfigError: with every problem of the file.
    """
    raise NotImplementedError


def run_tests(settings: Settings) -> list[Problem]:
    """Run the `tests:` of a configuration; an empty list when all hold."""
    raise NotImplementedError


def json_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of the configuration file."""
    raise NotImplementedError
