"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

CONFIG_VARIABLE: Final = "INDEX_GATEWAY_CONFIG"
CONFIG_FILE: Final = Path("/etc/index-gateway/gateway.yaml")

WRITABLE: Final = (
    "Name a place this user may write, such as sqlite:/var/lib/index-gateway/state.db "
    "(StateDirectory=index-gateway of systemd makes the directory), or give it the files (chown)."
)

config_option = click.option(
    "-c",
    "--config",
    "config",
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    default=CONFIG_FILE,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file.",
)


def usual_config() -> Path | None:
    """The file that commands take without -c; None where there is none."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return CONFIG_FILE if CONFIG_FILE.exists() else None
