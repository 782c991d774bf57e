"""Serving: one process or several workers on the same listening sockets.

Sockets are bound first; workers are forked after that, and everything that must not be shared
(the store, random state, event loops) is made in each of them by `start`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from gateway.proxy.descriptors import backlog, limit, raise_limit
from gateway.proxy.forwarder import Forwarder
from gateway.serving.greeting import SecureListener
from gateway.serving.sockets import Listener
from gateway.serving.systemd import inherited, notify, watched
from gateway.serving.workers import Beat, stop_signals, supervise


class Running(Protocol):
    """What `start` made: a forwarder, and how to close what stands behind it."""

    forwarder: Forwarder

    async def close(self) -> None: ...


Start: TypeAlias = Callable[[], Awaitable[Running]]
"""Called once in each worker, in its event loop."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What to serve where. ready: called once the sockets are bound, with each address as it came
    to be (`str` of it)."""

    start: Start
    listeners: Sequence[Listener]
    tls: ssl.SSLContext | None = None
    workers: int = 1
    ready: Callable[[list[str]], None] | None = None


def serve(serving: Serving) -> int:
    """Serve until one of `stop_signals`, then stop gracefully.

    Returns:
        0 after a graceful stop, 1 where a worker could not start.

    Raises:
        ListenError: an address cannot be used.
    """
    raise_limit()
    sockets: list[socket.socket] = []
    bound: list[tuple[Listener, tuple[int, int] | None]] = []
    try:
        sockets += inherited()
        for listener in () if sockets else serving.listeners:
            made = listener.bind(serving.listeners)
            sockets += made
            bound.append((listener.at(made), listener.identity()))
        if serving.ready is not None:
            serving.ready([str(listener) for listener, _ in bound] or [_SYSTEMD])
        if serving.workers <= 1:
            return run(work(serving, sockets, beat=_alone(watched())))
        return supervise(
            serving.workers,
            lambda parent, beat: run(work(serving, sockets, parent, beat)),
            lambda: close_all(sockets),
            watched(),
        )
    finally:
        close_all(sockets)
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
) -> int:
    """One worker: accept until a signal, then finish what is under way.

    Args:
        parent: a descriptor that becomes readable when the supervising process has gone.
        beat: gives signs of life.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    if parent is not None:
        loop.add_reader(parent, asked.set)
    for number in stop_signals():
        with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, asked.set)
    running = await serving.start()
    try:
        most = backlog(limit(), len(sockets))
        servers = [
            await _accept(running.forwarder, sock.dup(), serving.tls, most) for sock in sockets
        ]
        notify("READY=1")
        beating = loop.create_task(beat()) if beat is not None else None
        await asked.wait()
        notify("STOPPING=1")
        if parent is not None:
            loop.remove_reader(parent)
        for server in servers:
            server.close()
        # Every copy has to go: the kernel accepts for as long as one is open, and who connects
        # now would wait for nobody.
        close_all(sockets)
        await running.forwarder.stop()
        if beating is not None:
            beating.cancel()
    finally:
        await running.close()
    return 0


def close_all(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


class _Closable(Protocol):
    def close(self) -> None: ...


async def _accept(
    forwarder: Forwarder, sock: socket.socket, tls: ssl.SSLContext | None, most: int
) -> _Closable:
    loop = asyncio.get_running_loop()
    if tls is not None:
        return SecureListener(forwarder, sock, tls, most)
    if sock.family == socket.AF_UNIX:
        return await loop.create_unix_server(forwarder.client, sock=sock, backlog=most)
    return await loop.create_server(forwarder.client, sock=sock, backlog=most)


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
