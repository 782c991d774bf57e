"""Where a configuration has connections accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.serving.sockets import Listener

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.settings.addresses import Listen


def listeners_of(settings: Settings) -> list[Listener]:
    """Where to accept connections."""
    return [listener_of(at) for at in settings.listen]


def listener_of(at: Listen) -> Listener:
    """One of these places."""
    return Listener(path=str(at.unix)) if at.unix else Listener(at.host, at.port)
