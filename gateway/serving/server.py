"""Serving: one process or several workers on the same listening sockets.

Sockets are bound first; workers are forked after that, and everything that must not be shared
(the store, random state, event loops) is made in each of them by `start`.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from gateway.proxy.descriptors import raise_limit
from gateway.serving.board import Board
from gateway.serving.deployed import Serving
from gateway.serving.sockets import Listener
from gateway.serving.systemd import inherited, notify, watched
from gateway.serving.worker import Worker
from gateway.serving.workers import Beat, supervise


def serve(serving: Serving) -> int:
    """Serve until one of `stop_signals`, then stop gracefully.

    Returns:
        0 after a graceful stop, 1 where a worker could not start.

    Raises:
        ListenError: an address cannot be used.
    """
    raise_limit()
    sockets: list[socket.socket] = []
    scraped: list[socket.socket] = []
    bound: list[tuple[Listener, tuple[int, int] | None]] = []
    current = [serving]
    reload = serving.renewal.reload if serving.renewal is not None else None

    def adopt(read: bytes) -> None:
        assert serving.renewal is not None
        current[0] = serving.renewal.adopted(read)

    try:
        sockets += inherited()
        for listener in () if sockets else serving.listeners:
            made = listener.bind(serving.listeners)
            sockets += made
            bound.append((listener.at(made), listener.identity()))
        addresses = [str(listener) for listener, _ in bound] or [_SYSTEMD]
        if serving.scrapes is not None:
            scraped += serving.scrapes.bind()
            bound.append((serving.scrapes.at(scraped), serving.scrapes.identity()))
        if serving.ready is not None:
            serving.ready(addresses)
        if serving.workers <= 1:
            beat = _alone(watched())
            return run(work(serving, sockets, beat=beat, scraped=scraped))
        board = Board(serving.workers)
        return supervise(
            serving.workers,
            lambda parent, place, beat: run(
                work(current[0], sockets, parent, beat, scraped, board, place)
            ),
            lambda: close_all([*sockets, *scraped]),
            watched(),
            reload,
            adopt,
        )
    finally:
        close_all([*sockets, *scraped])
        if reload is not None:
            reload.desk.close()
        for listener, identity in bound:
            listener.remove(identity)


def _alone(within: float) -> Beat:
    """Signs of life of a process without workers."""

    async def keep() -> None:
        while within:
            notify("WATCHDOG=1")
            await asyncio.sleep(within / 4)

    return keep


async def work(
    serving: Serving,
    sockets: Sequence[socket.socket],
    parent: int | None = None,
    beat: Beat | None = None,
    scraped: Sequence[socket.socket] = (),
    board: Board | None = None,
    place: int = 0,
) -> int:
    """One worker: accept until a signal, then finish what is under way (`worker.Worker`)."""
    worker = Worker(serving, sockets, parent, beat, scraped, board or Board(1), place)
    return await worker.run()


def close_all(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop where it can be imported, on asyncio's own loop elsewhere."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        uvloop = importlib.import_module(_UVLOOP)
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


_UVLOOP: Final = "uvloop"
_SYSTEMD: Final = "what systemd listens on"
