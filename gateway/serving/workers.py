"""Worker processes: forked after binding, started again when they die, stopped together."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from types import FrameType
from typing import Any, Final, TypeAlias

from gateway.serving.reloading import (
    DONE,
    DROP,
    PREPARE,
    SWITCH,
    Link,
    Reload,
    Reloaded,
    ReloadRefused,
    Terminal,
)
from gateway.serving.systemd import Heartbeats, notify, reloading

_SHORT_LIFE: Final = 5.0  # seconds; a worker that dies younger counts as failing
_LONGEST_WAIT: Final = 30.0
_LOG: Final = logging.getLogger("gateway.proxy")

_PREPARED_WITHIN: Final = 30.0  # seconds for a worker to make its new gateway

Beat: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Gives a worker's signs of life for as long as its event loop runs."""
Work: TypeAlias = Callable[[int, int, Beat], int]
"""What a worker does; its result is the worker's exit status. It gets a descriptor whose other end
is the supervisor's (`Link`), which ends with that process, however it ends; its place among the
workers; and how to give signs of life."""


def stop_signals() -> tuple[signal.Signals, ...]:
    """What asks for a graceful stop: SIGTERM, SIGINT, and the terminal's hang-up, unless nohup or
    somebody else had this process ignore it. Where a configuration can be read again, SIGHUP asks
    for that."""
    always = (signal.SIGTERM, signal.SIGINT)
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return always if ignored else (*always, signal.SIGHUP)


def supervise(
    count: int,
    work: Work,
    stopping: Callable[[], None] = lambda: None,
    watched: float = 0.0,
    reload: Reload | None = None,
    adopt: Callable[[bytes], None] = lambda _: None,
) -> int:
    """Keep `count` workers running until one of `stop_signals`; they get a SIGTERM then.

    Args:
        stopping: called here once a stop was asked for, before the workers are waited for.
        watched: see `systemd.watched`. A worker that gives no sign of life for so long is ended,
            and another one started.
        reload: how the configuration is read again, on SIGHUP.
        adopt: called once all workers use what was read: those to come shall, too.

    Returns:
        0 after a stop that was asked for; 1 where no worker ever came up.
    """
    beats = Heartbeats(count, watched)
    return _Supervisor(count, work, stopping, beats, reload, adopt).run()


class _Supervisor:
    """Signals only set a mark and wake it, so none of them comes in between two steps."""

    def __init__(
        self,
        count: int,
        work: Work,
        stopping: Callable[[], None],
        beats: Heartbeats,
        reload: Reload | None,
        adopt: Callable[[bytes], None],
    ) -> None:
        self._count = count
        self._beats: Final = beats
        self._seats: dict[int, int] = {}
        self._hung = set[int]()
        self._close = stopping
        self._work = work
        self._reload: Final = reload
        self._adopt: Final = adopt
        self._terminal: Final = Terminal()
        self._born: dict[int, float] = {}
        self._ends: dict[int, socket.socket] = {}
        self._channels: dict[int, Link] = {}
        self._failures = 0
        self._not_before = 0.0
        self._stopping = self._hung_up = False
        self._signals: Final = stop_signals()
        self._woken, self._wakes = os.pipe()

    def run(self) -> int:
        before = self._take_signals()
        if self._reload is not None:
            self._reload.desk.open()
        try:
            self._keep()
            self._close()
            self._pass_on()
            self._collect()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._woken)
            os.close(self._wakes)
        return 0 if self._stopping else 1

    def _take_signals(self) -> dict[signal.Signals, Any]:
        for end in (self._woken, self._wakes):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        handlers: dict[signal.Signals, Any] = dict.fromkeys(self._signals, self._stop)
        handlers[signal.SIGCHLD] = _noted
        handlers[signal.SIGALRM] = self._watch
        if self._reload is not None:
            handlers[signal.SIGHUP] = self._hang_up
        before = {number: signal.signal(number, one) for number, one in handlers.items()}
        signal.setitimer(signal.ITIMER_REAL, *[self._beats.within / 4] * 2)
        return before

    def _keep(self) -> None:
        while not self._stopping:
            now = time.monotonic()
            while len(self._born) < self._count and now >= self._not_before:
                self._fork()
            waits = len(self._born) < self._count
            select.select(
                [self._woken], [], [], max(0.0, self._not_before - now) if waits else None
            )
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
            if self._hung_up and not self._stopping:
                self._hung_up = False
                if self._terminal.gone():
                    self._stopping = True
                else:
                    self._read_again()
            if not self._stopping and not self._reap():
                return

    def _reap(self) -> bool:
        """Take note of the workers that have ended; False where no others shall be started."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if not pid:
                return True
            if pid in self._born and not self._ended(pid, os.waitstatus_to_exitcode(status)):
                return False  # others are what looks around at start, or an orphan

    def _ended(self, pid: int, status: int) -> bool:
        lived = time.monotonic() - self._born.pop(pid)
        self._seats.pop(pid)
        self._ends.pop(pid).close()
        self._channels.pop(pid)
        _LOG.error("worker %d ended with status %d; starting another", pid, status)
        if lived > _SHORT_LIFE:
            self._failures = 0
            return True
        self._failures += 1
        if self._failures >= self._count and status == 1:
            _LOG.error("no worker comes up: stopping")
            return False  # a mistake that trying again does not mend
        wait = min(_LONGEST_WAIT, 0.1 * 2 ** min(self._failures, 9))
        self._not_before = time.monotonic() + wait
        return True

    def _fork(self) -> None:
        # A signal in between would be lost in the child, or be taken there for the parent's.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, (*self._signals, signal.SIGALRM))
        ours, its = socket.socketpair()
        try:
            seat = min(set(range(self._count)) - set(self._seats.values()))
            self._beats.beat(seat)
            pid = os.fork()
            if pid:
                its.close()
                self._born[pid] = time.monotonic()
                self._seats[pid] = seat
                self._ends[pid] = ours
                self._channels[pid] = Link(ours.fileno())
                return
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGALRM, signal.SIGCHLD, *self._signals):
                signal.signal(number, signal.SIG_DFL)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        status = 1
        try:
            # Our end must be with nobody else, or its end would not be seen.
            for end in (ours, *self._ends.values()):
                end.close()
            if self._reload is not None:
                self._reload.desk.close()
            status = self._work(its.fileno(), seat, partial(self._beats.keep, seat))
        except Exception:
            _LOG.exception("a worker failed")
        finally:
            logging.shutdown()
            os._exit(status)

    def _watch(self, number: int, frame: FrameType | None) -> None:
        notify("WATCHDOG=1")
        silent = self._beats.silent(self._seats.values())
        hung = {pid for pid, seat in self._seats.items() if seat in silent}
        for pid in hung if not self._stopping else ():
            # First so that it may leave a trace of where it hangs, as systemd does.
            again = pid in self._hung
            _LOG.error("worker %d hangs; ending it", pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if again else signal.SIGABRT)
        self._hung = hung

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        self._hung_up = True

    def _pass_on(self) -> None:
        self._signal(self._born)

    def _signal(self, workers: Iterable[int]) -> None:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _collect(self) -> None:
        for pid in list(self._born):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    # -- a new configuration ------------------------------------------------------------------

    def _read_again(self) -> None:
        reload = self._reload
        assert reload is not None
        reload.desk.begin()
        reloading()
        try:
            outcome = self._agree(reload.read())
        except ReloadRefused as refused:
            outcome = Reloaded(False, refused.lines)
            self._drop(outcome)
        notify("READY=1")
        reload.say(outcome)
        reload.desk.tell(outcome)

    def _agree(self, read: bytes) -> Reloaded:
        """Have all workers use what was read, or none."""
        waiting = self._order(PREPARE + read)
        end = time.monotonic() + _PREPARED_WITHIN
        against = ""
        while waiting and time.monotonic() < end:
            ready, _, _ = select.select([self._ends[pid] for pid in waiting], [], [], 0.5)
            for pid in [one for one in waiting if self._ends[one] in ready]:
                answers = self._heard(pid)
                if answers is None:  # it has ended, and another one will follow it
                    waiting.discard(pid)
                for answer in answers or ():
                    waiting.discard(pid)
                    against = against or answer.decode() if answer != DONE else against
        if waiting:
            against = f"a worker did not take it within {_PREPARED_WITHIN:g} seconds"
        if against:
            outcome = Reloaded(False, (against,))
            self._drop(outcome)
            self._signal(waiting)
            return outcome
        self._adopt(read)
        self._order(SWITCH)
        return Reloaded(True, ())

    def _drop(self, outcome: Reloaded) -> None:
        self._order(DROP + json.dumps(outcome.lines).encode())

    def _heard(self, pid: int) -> list[bytes] | None:
        try:
            return self._channels[pid].read()
        except OSError:
            return None

    def _order(self, message: bytes) -> set[int]:
        """Tell all workers; returns those that could be told."""
        told = set[int]()
        for pid, channel in self._channels.items():
            with contextlib.suppress(OSError):
                channel.send(message)
                told.add(pid)
        return told


def _noted(number: int, frame: FrameType | None) -> None:
    """The signal wakes the supervisor; that is all."""
