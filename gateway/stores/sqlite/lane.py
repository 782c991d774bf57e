"""A thread that is fed by a queue. Knows nothing of what it does (`duties`)."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from gateway.core.store import StoreUnavailable

W = TypeVar("W")

_CHORE_EVERY: Final = 30.0
_REST: Final = 5  # times as long as a piece of it took, before the next one
_STUCK: Final = 0.1  # seconds that a transaction rarely takes


class Duty(Protocol[W]):
    """What a lane's thread does, with so many things at `most` at once."""

    @property
    def most(self) -> int: ...

    def attempt(self, things: list[W]) -> list[object]:
        """What each of them gives.

        Raises:
            sqlite3.Error, OSError, StoreUnavailable: none of them is done.
        """
        ...

    def end(self) -> None: ...


@dataclass(slots=True)
class _Task(Generic[W]):
    thing: W
    future: asyncio.Future[object]
    loop: asyncio.AbstractEventLoop
    result: object = None
    error: BaseException | None = None

    def expire(self, told: str) -> None:
        if not self.future.done():
            self.future.set_exception(StoreUnavailable(told))

    def settle(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed; nobody waits any more
            self.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Lane(Generic[W]):
    """Has one thing after another done by a thread of its own.

    Args:
        name: what callers are told of, where it does not answer.
        limit: seconds after which a caller is told that the store is unavailable.
        chore: a short piece of upkeep, now and then, after the waiting callers have been
            answered; what it gives is True if there is more of it to do.
    """

    def __init__(
        self, duty: Duty[W], *, name: object, limit: float, chore: W | None = None
    ) -> None:
        self._duty: Final = duty
        self._name: Final = name
        self._limit: Final = limit
        self._chore: Final = chore
        self._chore_due = time.monotonic()
        self._more = False  # of the chore
        self._queue: Final[queue.SimpleQueue[_Task[W] | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._began: float | None = None  # when what it is doing now was begun

    async def run(self, thing: W) -> object:
        """Have it done: what it gave.

        Raises:
            StoreUnavailable: the database failed, or did not answer in time.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name="store", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise StoreUnavailable(f"{self._name}: {error}") from None
            self._thread = thread
        loop = asyncio.get_running_loop()
        task = _Task(thing, loop.create_future(), loop)
        told = f"{self._name}: no answer in {self._limit:g} s"
        limit = loop.call_later(self._limit, task.expire, told)  # cheaper than asyncio.timeout
        self._queue.put(task)
        try:
            return await task.future
        finally:
            limit.cancel()

    @property
    def stuck(self) -> bool:
        """Whether it waits for a disk or a lock that does not come."""
        began = self._began
        return began is not None and time.monotonic() - began > _STUCK

    async def close(self) -> None:
        """Finish what is queued, then close the connection."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join, self._limit)
            self._thread = None

    def _serve(self) -> None:
        going = True
        while going:
            tasks: list[_Task[W]] = []
            going = self._take(tasks)
            # A caller that gave up was told "unavailable": do not act behind its back.
            tasks = [task for task in tasks if not task.future.done()]
            if tasks:
                self._began = time.monotonic()
                self._carry_out(tasks)
                self._began = None
            for task in tasks:
                task.settle()
            if going and self._chore is not None and time.monotonic() >= self._chore_due:
                self._do_chore(self._chore)
        self._duty.end()

    def _take(self, tasks: list[_Task[W]]) -> bool:
        """Wait for work, or for more of a chore; False when the lane is to end after it."""
        try:
            due = max(0.0, self._chore_due - time.monotonic()) if self._more else None
            task = self._queue.get(timeout=due)
        except queue.Empty:
            return True
        while task is not None:
            tasks.append(task)
            if len(tasks) == self._duty.most:
                return True
            try:
                task = self._queue.get_nowait()
            except queue.Empty:
                return True
        return False

    def _carry_out(self, tasks: list[_Task[W]]) -> None:
        try:
            results = self._duty.attempt([task.thing for task in tasks])
            for task, result in zip(tasks, results, strict=True):
                task.result = result
        except (sqlite3.Error, OSError, StoreUnavailable) as error:
            for task in tasks:
                task.error = StoreUnavailable(f"{self._name}: {error}")
        except Exception as error:  # a job's own mistake (an unencodable name, say)
            if len(tasks) == 1:
                tasks[0].error = error
                return
            for task in tasks:
                self._carry_out([task])

    def _do_chore(self, chore: W) -> None:
        began = time.monotonic()
        try:
            self._more = bool(self._duty.attempt([chore])[0])
        except (sqlite3.Error, OSError, StoreUnavailable):
            self._more = False
        ended = time.monotonic()
        # Other processes wait for the same lock.
        rest = _REST * (ended - began) if self._more else _CHORE_EVERY
        self._chore_due = ended + rest
