"""devpi-server with its plugins, in this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from gateway.cli.demo.indexes import QUICK_DEVPI


@pytest.fixture(scope="module")
def devpi_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Its WSGI application, over an empty state."""
    from devpi_server.config import get_pluginmanager, parseoptions

    # By import_module, since devpi's functions have no types.
    initialise: Any = import_module("devpi_server.init").init
    xom_from_config: Any = import_module("devpi_server.main").xom_from_config
    place = str(tmp_path_factory.mktemp("devpi") / "server")
    level = logging.root.level
    initialise(argv=["devpi-init", "--serverdir", place, "--root-passwd", "x"])
    argv = ["devpi-server", "--serverdir", place, *QUICK_DEVPI]
    config = parseoptions(get_pluginmanager(), argv)
    yield xom_from_config(config).create_app()
    logging.root.setLevel(level)
