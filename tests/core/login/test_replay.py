"""One code works once, whoever tries it: several processes over one SQLite file.

CVE-2026-20779 and CVE-2025-6015 are both of this class.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from tests.core.world import Person, World

PROCESSES, TRIES = 4, 3


async def test_one_code_in_four_processes_passes_once(world: World, tmp_path: Path) -> None:
    alice = Person("alice")
    await world.enrol(alice)
    for _ in range(2):
        code = world.code(alice)
        start = time.time() + 2.5  # until the slowest of them has started
        arguments = (str(tmp_path), str(start), str(world.clock()), code, str(TRIES))
        running = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.core.login.code_racer",
                *arguments,
                stdout=asyncio.subprocess.PIPE,
                cwd=Path(__file__).parents[3],
                env=dict(os.environ),
            )
            for _ in range(PROCESSES)
        ]
        counts = [int((await one.communicate())[0]) for one in running]
        assert sum(counts) == 1, counts
        world.clock.turn(400)
