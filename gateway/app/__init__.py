"""The one place that puts the parts together.

`run` is all the command line calls; everything else in this package is its own business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.serving.sockets import Listener
    from gateway.settings import Settings


def run(
    settings: Settings,
    *,
    workers: int = 1,
    ready: Callable[[list[str]], None] | None = None,
) -> int:
    """Serve until told to stop.

    Args:
        settings: as read from the configuration file; keys and tests already checked.
        workers: processes that share the listener; above 1 the store must be shared too.
        ready: called with the addresses once they are listened on.

    Returns:
        0 after a graceful stop, 1 where no worker could start.

    Raises:
        KeysUnusable, ListenError: with the words for the administrator.
    """
    from functools import partial

    from gateway.app.domain import ring_of
    from gateway.app.wiring import build
    from gateway.serving.server import Serving, serve
    from gateway.serving.sockets import tls_context

    ring_of(settings)  # a missing key file is said before anything listens
    tls = settings.tls
    return serve(
        Serving(
            partial(build, settings),
            listeners_of(settings),
            tls=tls_context(str(tls.certificate), str(tls.key)) if tls else None,
            workers=workers,
            ready=ready,
        )
    )


def listeners_of(settings: Settings) -> list[Listener]:
    """Where to accept connections."""
    from gateway.serving.sockets import Listener

    return [
        Listener(path=str(at.unix)) if at.unix else Listener(at.host, at.port)
        for at in settings.listen
    ]
