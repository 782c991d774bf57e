"""Large bodies of known length, moved inside the kernel: socket to pipe to socket.

Works on duplicates of the descriptors, because the event loops refuse a second reader on a
transport's own. Both transports must be quiet meanwhile: reading stopped on the source, nothing
left to write on the sink. Where `os.splice` is missing nothing here is ever used.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Callable
from enum import Enum
from typing import Final

from gateway.proxy.descriptors import Descriptors

AVAILABLE: Final = sys.platform == "linux" and hasattr(os, "splice")
_PIPE_SIZE: Final = 1 << 20
_PER_CALL: Final = 4 << 20  # then others have their turn
_KEPT_PIPES: Final = 8


class Outcome(Enum):
    DONE = "done"
    SOURCE_ENDED = "source ended"
    SINK_GONE = "sink gone"


class Pipes:
    """Empty pipes, kept for the next transfer. out: those in use."""

    __slots__ = ("_descriptors", "_free", "out")

    def __init__(self, descriptors: Descriptors) -> None:
        self._free: list[tuple[int, int]] = []
        self._descriptors: Final = descriptors
        self.out = 0

    @property
    def open(self) -> int:
        """Descriptors of pipes and of the sockets that are moved between."""
        return 4 * self.out + 2 * len(self._free)

    def take(self) -> tuple[int, int]:
        """Raises OSError when there are no descriptors to spare."""
        if self._free:
            self.out += 1
            return self._free.pop()
        if self._descriptors.full():  # bytes pass without a pipe, too
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # An unprivileged user has only so many large pipes (pipe-user-pages-soft): a small one
        # works too.
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        self.out += 1
        return pipe

    def give(self, pipe: tuple[int, int], *, empty: bool) -> None:
        """A pipe that still holds bytes of one transfer must never serve another."""
        self.out -= 1
        if empty and len(self._free) < _KEPT_PIPES:
            self._free.append(pipe)
        else:
            os.close(pipe[0])
            os.close(pipe[1])

    def close(self) -> None:
        while self._free:
            for end in self._free.pop():
                os.close(end)


class Mover:
    """Moves `count` bytes from one socket to another, then says how it went.

    Args:
        source, sink: descriptors of plain sockets; duplicated here.
        moved: called when bytes have moved (for the timeouts).
        ended: called once, not after `stop`.

    Raises:
        OSError: no descriptors left; nothing has moved then.
    """

    __slots__ = (
        "_ended", "_held", "_loop", "_moved", "_pipe", "_pipes", "_sink", "_source", "_waits",
        "left",
    )  # fmt: skip

    def __init__(
        self,
        pipes: Pipes,
        source: int,
        sink: int,
        count: int,
        moved: Callable[[], None],
        ended: Callable[[Outcome, OSError | None], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pipes = pipes
        self._pipe = pipes.take()
        try:
            self._source = os.dup(source)
        except OSError:
            pipes.give(self._pipe, empty=True)
            raise
        try:
            self._sink = os.dup(sink)
        except OSError:
            os.close(self._source)
            pipes.give(self._pipe, empty=True)
            raise
        self.left = count  # not read from the source yet
        self._held = 0  # in the pipe
        self._waits = 0  # for the sink
        self._moved = moved
        self._ended = ended
        self._loop.add_reader(self._source, self._pump)

    @property
    def blocked(self) -> bool:
        """Waiting for the sink to take more."""
        return self._waits != 0

    def stop(self) -> None:
        """Let go of the descriptors. Safe to call twice."""
        if self._source < 0:
            return
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._sink)
        os.close(self._source)
        os.close(self._sink)
        self._source = -1
        self._pipes.give(self._pipe, empty=self._held == 0)

    def _pump(self) -> None:
        budget = _PER_CALL
        while budget > 0:
            if not self._held:
                if not self.left:
                    self._finish(Outcome.DONE, None)
                    return
                if not self._fill():
                    return
            got = self._drain()
            if got <= 0:
                return
            budget -= got

    def _fill(self) -> bool:
        try:
            got = os.splice(self._source, self._pipe[1], min(self.left, _PIPE_SIZE), flags=_FLAGS)
        except BlockingIOError:
            return False
        except OSError as exc:
            self._finish(Outcome.SOURCE_ENDED, exc)
            return False
        if not got:
            self._finish(Outcome.SOURCE_ENDED, None)
            return False
        self.left -= got
        self._held += got
        return True

    def _drain(self) -> int:
        """Bytes given to the sink; 0 when it is full or gone."""
        try:
            got = os.splice(self._pipe[0], self._sink, self._held, flags=_FLAGS)
        except BlockingIOError:
            self._wait_for_sink()
            return 0
        except OSError as exc:
            self._finish(Outcome.SINK_GONE, exc)
            return 0
        self._held -= got
        self._moved()
        if self._waits and not self._held:
            self._waits = 0
            self._loop.remove_writer(self._sink)
            self._loop.add_reader(self._source, self._pump)
        return got

    def _wait_for_sink(self) -> None:
        if not self._waits:
            self._waits = 1
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._sink, self._pump)

    def _finish(self, outcome: Outcome, exc: OSError | None) -> None:
        self.stop()
        self._ended(outcome, exc)


_FLAGS: Final = (os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK) if AVAILABLE else 0
