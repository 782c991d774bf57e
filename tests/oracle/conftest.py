"""devpi-server with its plugins, in this process."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle import apps


@pytest.fixture(scope="module")
def devpi_app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its WSGI application, over an empty state."""
    return apps.devpi_app(apps.initialised(tmp_path_factory.mktemp("devpi")))
