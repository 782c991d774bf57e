"""devpi-server in this process, with its plugins or without some of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from gateway.cli.demo.indexes import QUICK_DEVPI


def initialised(place: Path) -> Path:
    """A server's directory with an empty state."""
    # By import_module, since devpi's functions have no types.
    initialise: Any = import_module("devpi_server.init").init
    directory = place / "server"
    level = logging.root.level
    initialise(argv=["devpi-init", "--serverdir", str(directory), "--root-passwd", "x"])
    logging.root.setLevel(level)
    return directory


def devpi_app(directory: Path, without: Iterable[str] = ()) -> Any:
    """Its WSGI application. without: plugins that are as if they were not installed."""
    import pluggy
    from devpi_server.config import get_pluginmanager, parseoptions

    class Manager(pluggy.PluginManager):
        def load_setuptools_entrypoints(self, group: str, name: str | None = None) -> int:
            for plugin in without:
                self.set_blocked(plugin)
            return super().load_setuptools_entrypoints(group, name)

    config_module: Any = import_module("devpi_server.config")
    manager = config_module.PluginManager
    level = logging.root.level
    config_module.PluginManager = Manager
    try:
        argv = ["devpi-server", "--serverdir", str(directory), *QUICK_DEVPI]
        config = parseoptions(get_pluginmanager(), argv)
    finally:
        config_module.PluginManager = manager
    made = import_module("devpi_server.main").xom_from_config(config).create_app()
    logging.root.setLevel(level)
    return made
