"""One process that serves: accepts until it is told to stop, and takes a new configuration over
without letting go of a connection.

After a reload connections that wait for a request go on with the new gateway at once; one that is
busy does with its next request. The old gateway ends with the last of these.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import ssl
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.core.tasks import cancelled
from gateway.proxy.client import ClientConnection
from gateway.proxy.descriptors import backlog, limit
from gateway.proxy.forwarder import Forwarder
from gateway.serving.board import Board
from gateway.serving.deployed import Running, Serving
from gateway.serving.greeting import SecureListener
from gateway.serving.reloading import (
    DONE,
    DROP,
    PREPARE,
    SWITCH,
    Link,
    Reloaded,
    ReloadRefused,
    Terminal,
)
from gateway.serving.scrapes import Scrapes
from gateway.serving.sockets import ListenError
from gateway.serving.systemd import notify, reloading
from gateway.serving.workers import Beat, stop_signals

_LOG: Final = logging.getLogger("gateway.serving")
CERTIFICATES_EVERY: Final = 15.0
"""Seconds between two looks at the files of the certificate."""


class _Closable(Protocol):
    def close(self) -> None: ...


class Worker:
    """Args:
    parent: a descriptor of the supervising process's, see `Link`; it ends with that process.
    beat: gives signs of life.
    board, place: where this worker's numbers go.
    """

    def __init__(
        self,
        serving: Serving,
        sockets: Sequence[socket.socket],
        parent: int | None,
        beat: Beat | None,
        scraped: Sequence[socket.socket],
        board: Board,
        place: int,
    ) -> None:
        self._serving = serving
        self._sockets: Final = sockets
        self._parent: Final = parent
        self._channel: Final = Link(parent) if parent is not None else None
        self._beat: Final = beat
        self._scraped: Final = scraped
        self._board: Final = board
        self._place: Final = place
        self._loop: Final = asyncio.get_running_loop()
        self._asked: Final = asyncio.Event()
        self._terminal: Final = Terminal()
        self._renewal: Final = serving.renewal
        self._tls = serving.tls
        self._running: Running | None = None
        self._old: dict[asyncio.Task[None], Running] = {}
        self._prepared: tuple[Serving, Running] | None = None
        self._secure: list[SecureListener] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading = self._again = False
        self._turn: Final = asyncio.Lock()

    @property
    def running(self) -> Running:
        assert self._running is not None
        return self._running

    @property
    def forwarder(self) -> Forwarder:
        """Who gets the connections that come."""
        return self.running.forwarder

    async def run(self) -> int:
        self._listen_for_signals()
        self._running = await self._serving.start()
        if self._renewal is not None and self._parent is None:
            self._renewal.reload.desk.open()
        try:
            servers = [await self._accept(sock.dup()) for sock in self._sockets]
            servers += await self._scrapes()
            notify("READY=1")
            if self._again:
                self._begin(self._reload())
            if self._beat is not None:
                self._begin(self._beat())
            if self._serving.certificates is not None:
                self._begin(self._watch_certificates())
            await self._asked.wait()
            notify("STOPPING=1")
            if self._parent is not None:
                self._loop.remove_reader(self._parent)
            for server in servers:
                server.close()
            # Every copy has to go: the kernel accepts for as long as one is open, and who connects
            # now would wait for nobody.
            for sock in (*self._sockets, *self._scraped):
                sock.close()
            every = [self.running, *self._old.values()]
            await asyncio.gather(*(one.forwarder.stop() for one in every))
        finally:
            await self._end()
        return 0

    async def _end(self) -> None:
        await cancelled(self._tasks)
        await asyncio.gather(*self._old, return_exceptions=True)
        if self._prepared is not None:
            await self._prepared[1].close()
        await self.running.close()

    def _begin(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- listening ----------------------------------------------------------------------------

    def _listen_for_signals(self) -> None:
        if self._parent is not None:
            os.set_blocking(self._parent, False)
            self._loop.add_reader(self._parent, self._told)
        for number in stop_signals():
            with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):
                self._loop.add_signal_handler(number, self._asked.set)
        if self._renewal is not None:
            with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):
                self._loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    def client(self) -> ClientConnection:
        """A protocol for a connection that was accepted."""
        return self.forwarder.client()

    async def _accept(self, sock: socket.socket) -> _Closable:
        most = backlog(limit(), len(self._sockets))
        if self._tls is not None:
            secure = SecureListener(self, sock, self._tls, most)
            self._secure.append(secure)
            return secure
        if sock.family == socket.AF_UNIX:
            return await self._loop.create_unix_server(self.client, sock=sock, backlog=most)
        return await self._loop.create_server(self.client, sock=sock, backlog=most)

    async def _scrapes(self) -> list[_Closable]:
        observe = self._serving.observe
        if observe is None:
            return []
        observed = observe(lambda: self.running, self._board, self._place)
        self._begin(observed.keep())
        scrapes = Scrapes(observed.page)
        for sock in self._scraped:
            await scrapes.listen(sock.dup())
        return [scrapes]

    # -- a new configuration ------------------------------------------------------------------

    def _hung_up(self) -> None:
        """SIGHUP: the terminal has gone, or somebody wants the configuration read again."""
        if self._terminal.gone():
            self._asked.set()
        elif self._parent is None:  # else the supervisor got it, too, and sees to it
            if self._reloading or self._running is None:
                self._again = True
            else:
                self._begin(self._reload())

    async def _reload(self) -> None:
        """Read it here, where no process is above this one."""
        assert self._renewal is not None
        reload = self._renewal.reload
        self._reloading, self._again = True, False
        reload.desk.begin()
        reloading()
        try:
            outcome = await self._replaced(await asyncio.to_thread(reload.read))
        except ReloadRefused as refused:
            outcome = Reloaded(False, refused.lines)
        notify("READY=1")
        self._reloading = False
        self._outcome(outcome)
        reload.say(outcome)
        reload.desk.tell(outcome)
        if self._again:
            self._begin(self._reload())

    async def _replaced(self, read: bytes) -> Reloaded:
        said = await self._prepare(read)
        if said:
            return Reloaded(False, (said,))
        self._switch()
        return Reloaded(True, ())

    def _told(self) -> None:
        """The supervisor says something, or has gone."""
        assert self._channel is not None
        messages = self._channel.read()
        if messages is None:
            if self._parent is not None:
                self._loop.remove_reader(self._parent)
            self._asked.set()
            return
        for message in messages:
            self._begin(self._obey(message[:1], message[1:]))

    async def _obey(self, order: bytes, what: bytes) -> None:
        assert self._channel is not None
        async with self._turn:
            if order == PREPARE:
                self._channel.send((await self._prepare(what)).encode() or DONE)
            elif order == SWITCH:
                self._switch()
                self._outcome(Reloaded(True, ()))
            elif order == DROP:
                prepared, self._prepared = self._prepared, None
                if prepared is not None:
                    await prepared[1].close()
                self._outcome(Reloaded(False, tuple(json.loads(what))))

    def _outcome(self, outcome: Reloaded) -> None:
        if self._renewal is not None:
            self._renewal.reload.told(outcome, first=self._place == 0)
        self._tell(outcome)

    def _tell(self, outcome: Reloaded) -> None:
        if self._place == 0 and not outcome.ok:
            self.running.refused(outcome.lines)

    async def _prepare(self, read: bytes) -> str:
        """Make the new gateway, and say why not where it cannot be."""
        assert self._renewal is not None
        try:
            serving = self._renewal.adopted(read)
            self._prepared = serving, await serving.start()
        except ListenError as exc:
            return str(exc)
        except Exception as exc:
            _LOG.exception("a gateway with the new configuration cannot be made")
            return f"the new configuration cannot be used ({type(exc).__name__})"
        return ""

    def _switch(self) -> None:
        if self._prepared is None:
            return
        old = self.running
        (self._serving, self._running), self._prepared = self._prepared, None
        self._use(self._serving.tls)
        old.forwarder.retire(self.forwarder)
        task = self._loop.create_task(self._let_go(old))
        self._old[task] = old
        task.add_done_callback(self._old.pop)

    async def _let_go(self, old: Running) -> None:
        await old.forwarder.empty()
        await old.forwarder.stop()
        await old.close()

    # -- certificates -------------------------------------------------------------------------

    def _use(self, tls: ssl.SSLContext | None) -> None:
        if tls is not None:
            self._tls = tls
            for listener in self._secure:
                listener.context = tls

    async def _watch_certificates(self) -> None:
        """Use a certificate that was renewed, for connections that come then: once its files stay
        as they are, since certificate and key are written one after the other."""
        last: object = None
        while True:
            await asyncio.sleep(CERTIFICATES_EVERY)
            certificates = self._serving.certificates
            assert certificates is not None
            state = certificates.state()
            settled, last = state == last, state
            if state == certificates.tried or not settled:
                continue
            try:
                self._use(certificates.read())
                outcome = Reloaded(True, ())
            except ListenError as exc:
                outcome = Reloaded(False, (str(exc),))
            certificates.told(outcome, first=self._place == 0)
            self._tell(outcome)
