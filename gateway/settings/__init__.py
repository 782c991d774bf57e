"""One YAML file becomes frozen settings, or a list of everything that is wrong with it."""

from gateway.settings.model import Settings
from gateway.settings.problems import ConfigError, Problem
from gateway.settings.reader import from_data, load, loads
from gateway.settings.trials import run_tests

__all__ = [
    "ConfigError",
    "Problem",
    "Settings",
    "from_data",
    "load",
    "loads",
    "run_tests",
]
