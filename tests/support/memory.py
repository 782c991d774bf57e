"""What the processes of a gateway hold in memory while something happens."""

from __future__ import annotations

import threading
from pathlib import Path

MIB = 2**20


class Memory:
    """The largest resident memory of a process and its children while the block runs, in bytes."""

    def __init__(self, process_id: int) -> None:
        self._processes = [process_id, *children_of(process_id)]
        self._ended = threading.Event()
        self.before = self.most = self._now()

    def __enter__(self) -> Memory:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def grown(self) -> int:
        return self.most - self.before

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.most = max(self.most, self._now())

    def _now(self) -> int:
        return sum(map(resident, self._processes))


def resident(process_id: int) -> int:
    """Counted page by page: the figure in `statm` is late by some pages per processor."""
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(process_id)


def children_of(process_id: int) -> list[int]:
    path = Path(f"/proc/{process_id}/task/{process_id}/children")
    return [int(word) for word in path.read_text().split()]
