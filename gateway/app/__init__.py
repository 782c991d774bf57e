"""The one place that puts the parts together.

`run` is all the command line calls; everything else in this package is its own business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.settings import Settings


def run(settings: Settings, *, workers: int = 1) -> int:
    """Serve until told to stop.

    Args:
        settings: as read from the configuration file; keys and tests already checked.
        workers: processes that share the listener; above 1 the store must be shared too.

    Returns:
        The exit code of the command: 0 after a graceful stop, 1 when start-up failed (the
        reason is then on stderr).
    """
    raise NotImplementedError
