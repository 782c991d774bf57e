"""One thread with one SQLite connection, fed by a queue.

Knows threads, connections and transactions; knows nothing of what the jobs do. The writing
lane runs what has queued up in one transaction, so that one fsync acknowledges many writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar, cast

from gateway.core.store import StoreUnavailable
from gateway.stores.sqlite.file import DatabaseFile, HeldConnection

T = TypeVar("T")
Job: TypeAlias = Callable[[sqlite3.Connection], T]

_BATCH: Final = 64
_CHORE_EVERY: Final = 30.0
_STUCK: Final = 0.1  # seconds that a transaction rarely takes


@dataclass(slots=True)
class _Task:
    job: Job[object]
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


class Lane:
    """Runs jobs one after another on a connection of its own.

    Args:
        writes: run jobs inside BEGIN IMMEDIATE … COMMIT; else on a read-only connection.
        limit: seconds after which a caller is told that the store is unavailable.
        chore: a short piece of upkeep, now and then, after the waiting callers have been
            answered; True if there is more of it to do.
    """

    def __init__(
        self, file: DatabaseFile, *, writes: bool, limit: float, chore: Job[bool] | None = None
    ) -> None:
        self._file: Final = file
        self._writes: Final = writes
        self._limit: Final = limit
        self._chore: Final = chore
        self._chore_due = time.monotonic()
        self._queue: Final[queue.SimpleQueue[_Task | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._held: Final = HeldConnection(file, writes=writes)
        self._closed = False
        self._began: float | None = None  # when what it is doing now was begun

    async def run(self, job: Job[T]) -> T:
        """Run a job in the lane's thread.

        Raises:
            StoreUnavailable: the database failed, or did not answer in time.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="store", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        task = _Task(cast("Job[object]", job), loop.create_future(), loop)
        told = f"{self._file.path}: no answer in {self._limit:g} s"
        limit = loop.call_later(self._limit, task.expire, told)  # cheaper than asyncio.timeout
        self._queue.put(task)
        try:
            return cast("T", await task.future)
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
            tasks: list[_Task] = []
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
        self._held.drop()

    def _take(self, tasks: list[_Task]) -> bool:
        """Wait for work; False when the lane is to end after it."""
        task = self._queue.get()
        while task is not None:
            tasks.append(task)
            if not self._writes or len(tasks) == _BATCH:
                return True
            try:
                task = self._queue.get_nowait()
            except queue.Empty:
                return True
        return False

    def _carry_out(self, tasks: list[_Task]) -> None:
        try:
            results = self._attempt([task.job for task in tasks])
            for task, result in zip(tasks, results, strict=True):
                task.result = result
        except (sqlite3.Error, OSError, StoreUnavailable) as error:
            for task in tasks:
                task.error = StoreUnavailable(f"{self._file.path}: {error}")
        except Exception as error:  # a job's own mistake (an unencodable name, say)
            if len(tasks) == 1:
                tasks[0].error = error
                return
            for task in tasks:
                self._carry_out([task])

    def _attempt(self, jobs: list[Job[object]]) -> list[object]:
        connection = self._held.get()
        try:
            if not self._writes:
                return [job(connection) for job in jobs]
            connection.execute("BEGIN IMMEDIATE")
            results = [job(connection) for job in jobs]
            connection.execute("COMMIT")
        except sqlite3.Error:
            # After an I/O error nothing is known of the connection's state; a fresh one
            # recovers from the log, and an unfinished transaction is undone.
            self._held.drop()
            raise
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return results

    def _do_chore(self, chore: Job[bool]) -> None:
        try:
            more = bool(self._attempt([chore])[0])
        except (sqlite3.Error, OSError, StoreUnavailable):
            more = False
        self._chore_due = time.monotonic() + (0.0 if more else _CHORE_EVERY)
