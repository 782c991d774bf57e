"""Worker processes: forked after binding, started again when they die, stopped together."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from functools import partial
from types import FrameType
from typing import Any, Final, TypeAlias

from gateway.serving.systemd import Heartbeats, notify

_SHORT_LIFE: Final = 5.0  # seconds; a worker that dies younger counts as failing
_LONGEST_WAIT: Final = 30.0
_LOG: Final = logging.getLogger("gateway.proxy")

Beat: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Gives a worker's signs of life for as long as its event loop runs."""


class _Stop(Exception):
    pass


def stop_signals() -> tuple[signal.Signals, ...]:
    """What asks for a graceful stop: SIGTERM, SIGINT, and the terminal's hang-up, unless nohup or
    somebody else had this process ignore it."""
    always = (signal.SIGTERM, signal.SIGINT)
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return always if ignored else (*always, signal.SIGHUP)


def supervise(
    count: int,
    work: Callable[[int, Beat], int],
    stopping: Callable[[], None] = lambda: None,
    watched: float = 0.0,
) -> int:
    """Keep `count` workers running until one of `stop_signals`; they get a SIGTERM then.

    Args:
        work: what a worker does; its result is the worker's exit status. It gets a descriptor
            that becomes readable when this process is gone, however it ended, and how to give
            signs of life.
        stopping: called here once a stop was asked for, before the workers are waited for.
        watched: see `systemd.watched`. A worker that gives no sign of life for so long is ended,
            and another one started.

    Returns:
        0 after a stop that was asked for; 1 where no worker ever came up.
    """
    return _Supervisor(count, work, stopping, Heartbeats(count, watched)).run()


class _Supervisor:
    def __init__(
        self,
        count: int,
        work: Callable[[int, Beat], int],
        stopping: Callable[[], None],
        beats: Heartbeats,
    ) -> None:
        self._count = count
        self._beats: Final = beats
        self._seats: dict[int, int] = {}
        self._hung = set[int]()
        self._close = stopping
        self._life = os.pipe()
        self._work = work
        self._born: dict[int, float] = {}
        self._failures = 0
        self._stopping = False
        self._signals: Final = stop_signals()

    def run(self) -> int:
        before = {number: signal.signal(number, self._stop) for number in self._signals}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._watch)
        signal.setitimer(signal.ITIMER_REAL, *[self._beats.within / 4] * 2)
        try:
            with contextlib.suppress(_Stop):
                self._keep()
            self._close()
            self._pass_on()
            self._collect()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)
        return 0 if self._stopping else 1

    def _keep(self) -> None:
        while True:
            while len(self._born) < self._count:
                self._fork()
            pid, status = os.wait()
            if pid not in self._born:  # another child: what looks around at start, or an orphan
                continue
            lived = time.monotonic() - self._born.pop(pid)
            self._seats.pop(pid)
            _LOG.error(
                "worker %d ended with status %d; starting another",
                pid,
                os.waitstatus_to_exitcode(status),
            )
            if lived > _SHORT_LIFE:
                self._failures = 0
                continue
            self._failures += 1
            if self._failures >= self._count and os.waitstatus_to_exitcode(status) == 1:
                _LOG.error("no worker comes up: stopping")
                return  # a mistake that trying again does not mend
            time.sleep(min(_LONGEST_WAIT, 0.1 * 2 ** min(self._failures, 9)))

    def _fork(self) -> None:
        # A signal in between would lose the child here, or make it stop its siblings.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, (*self._signals, signal.SIGALRM))
        try:
            seat = min(set(range(self._count)) - set(self._seats.values()))
            self._beats.beat(seat)
            pid = os.fork()
            if pid:
                self._born[pid] = time.monotonic()
                self._seats[pid] = seat
                return
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            for number in self._signals:
                signal.signal(number, signal.SIG_DFL)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        status = 1
        try:
            os.close(self._life[1])
            status = self._work(self._life[0], partial(self._beats.keep, seat))
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
        if not self._stopping:
            self._stopping = True
            raise _Stop

    def _pass_on(self) -> None:
        for pid in self._born:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _collect(self) -> None:
        for pid in list(self._born):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
