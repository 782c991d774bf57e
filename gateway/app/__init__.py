"""The one place that puts the parts together.

`run` is all the command line calls; everything else in this package is its own business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.settings import Settings


def run(
    settings: Settings,
    *,
    workers: int = 1,
    ready: Callable[[list[str]], None] | None = None,
    file: Path | None = None,
) -> int:
    """Serve until told to stop.

    Args:
        settings: as read from the configuration file; keys and tests already checked.
        workers: processes that share the listener; above 1 the store must be shared too.
        ready: called with the addresses once they are listened on.
        file: where the settings come from; SIGHUP has it read again. None: SIGHUP is a stop.

    Returns:
        0 after a graceful stop, 1 where no worker could start.

    Raises:
        KeysUnusable, ListenError: with the words for the administrator.
    """
    from gateway.app.deployment import Deployment
    from gateway.serving.server import serve

    return serve(Deployment(file).serving(settings, workers, ready))
