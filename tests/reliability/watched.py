"""`index-gateway` as it is, which writes down how many tasks it has when it gets SIGUSR2.

python -m tests.reliability.watched FILE serve -c gateway.yaml
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

from gateway.cli import main


def watch(file: Path) -> None:
    """Write the number of unfinished tasks of this process when it is asked."""

    def tell(*_: object) -> None:
        gc.collect()
        tasks = sum(isinstance(one, asyncio.Task) and not one.done() for one in gc.get_objects())
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_text(str(tasks))
        beside.replace(file)

    signal.signal(signal.SIGUSR2, tell)


if __name__ == "__main__":
    watch(Path(sys.argv.pop(1)))
    main()
