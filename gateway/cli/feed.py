"""`index-gateway audit export`: entries to somewhere, once or for as long as it runs.

Knows destinations, the cursor and waiting; what a destination is stands in `gateway.notify.feed`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.cli import output

if TYPE_CHECKING:
    from gateway.core.audit.finding import Wanted
    from gateway.core.audit.trail import Trail
    from gateway.notify.feed import Line, Sink

_POLL: Final = 0.5
_LONGEST_WAIT: Final = 60.0
_PAGE: Final = 200


class Cursor:
    """The number of the last entry that was delivered, in a file of its own.

    Args:
        path: None for none: the feed begins at the beginning.
    """

    def __init__(self, path: Path | None) -> None:
        self._path: Final = path

    def read(self) -> int:
        """Raises CommandFailed: the file holds something else."""
        if self._path is None or not self._path.exists():
            return 0
        try:
            number = json.loads(self._path.read_text())["n"]
        except (ValueError, LookupError, TypeError):
            number = None
        if not isinstance(number, int):
            raise output.CommandFailed(
                f"{self._path} is not a cursor.", "Name another file, or remove this one."
            )
        return number

    def write(self, number: int) -> None:
        if self._path is None:
            return
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with fresh.open("w") as file:
            json.dump({"n": number}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def sink_of(to: str, key: Callable[[], str]) -> Sink:
    """The destination an administrator wrote.

    Raises:
        CommandFailed: it is none.
    """
    import time

    from gateway.notify.feed import FeedFile, Hook, Stream, Syslog

    kind, _, rest = to.partition(":")
    if to == "-":
        return Stream(sys.stdout.buffer)
    if kind == "file" and rest:
        return FeedFile(Path(rest))
    if kind in ("http", "https"):
        return Hook(to, key, time.time)
    try:
        if kind == "syslog":
            return Syslog(rest)
    except ValueError as error:
        raise output.CommandFailed(f"--to: {error}.") from None
    raise output.CommandFailed(
        f"--to: {kind}: is not a destination.",
        "Take -, file:PATH, syslog:udp://HOST:PORT, syslog:tcp://HOST:PORT, syslog:unix:/dev/log "
        "or https://….",
    )


async def feed(trail: Trail, sink: Sink, wanted: Wanted, cursor: Cursor, *, follow: bool) -> int:
    """Deliver what is wanted, in order; with `follow` for ever.

    An entry is behind the cursor once its destination has taken it.

    Raises:
        StoreUnavailable, Undelivered: and `follow` is not asked for.
    """
    from gateway.notify.courier import Undelivered

    try:
        after = max(cursor.read(), sink.reached() or 0)
    except ValueError as error:
        raise output.CommandFailed(f"{error}.", "Name another file.") from None
    await _look_back(trail, after)
    async for lines, upto in pages(trail, after, wanted, follow=follow):
        wait = 1.0
        while lines:
            try:
                await sink.take(lines)
                break
            except Undelivered as error:
                if not follow:
                    raise output.CommandFailed(f"Not delivered: {error}.") from None
                output.warning(f"Not delivered ({error}); trying again in {wait:g} s.")
                await asyncio.sleep(wait)
                wait = min(_LONGEST_WAIT, wait * 2)
        cursor.write(upto)
    return output.OK


async def _look_back(trail: Trail, after: int) -> None:
    """Say what a feed that goes on has missed."""
    from gateway.core.audit.trail import LOG

    if not after:
        return
    first = await trail.store.read(LOG, limit=1)
    last = await trail.store.last(LOG)
    if last is not None and last[0] < after:
        raise output.CommandFailed(
            f"The trail ends with entry {last[0]}, and entry {after} was delivered already.",
            "The store was put back to an older state. Take another cursor to deliver it anew.",
        )
    if first and first[0][0] > after + 1:
        output.warning(f"Entries {after + 1} to {first[0][0] - 1} were removed by retention.")


async def pages(
    trail: Trail, after: int, wanted: Wanted, *, follow: bool
) -> AsyncIterator[tuple[Sequence[Line], int]]:
    """What is wanted of some entries, and the number up to which they were looked at."""
    from gateway.core.audit.trail import LOG
    from gateway.core.store import StoreUnavailable
    from gateway.notify.feed import Line

    away = False
    while True:
        try:
            page = await trail.store.read(LOG, after=after, limit=_PAGE)
            away = False
        except StoreUnavailable as error:
            if not follow:
                raise
            if not away:
                output.warning(f"The store cannot be reached, waiting for it: {error}")
            away, page = True, []
        if page:
            after = page[-1][0]
            yield [Line(*row) for row in page if wanted.fits(row[1])], after
        elif not follow:
            return
        else:
            await asyncio.sleep(_POLL)
