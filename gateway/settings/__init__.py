"""One YAML file becomes frozen settings, or a list of everything that is wrong with it."""

import os

# Else pydantic looks through every installed distribution for plugins: 40 ms of each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from gateway.settings.model import Settings
from gateway.settings.problems import ConfigError, Problem
from gateway.settings.reader import load, loads
from gateway.settings.schema import json_schema
from gateway.settings.trials import run_tests

__all__ = ["ConfigError", "Problem", "Settings", "json_schema", "load", "loads", "run_tests"]
