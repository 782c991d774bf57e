"""One of several processes that type the same code at the same moment; see test_replay.

Arguments: the directory of the store, a moment to start at, the moment it is for the gateway,
the code, and how many pending logins to try it on. Prints how many passed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from gateway.core.errors import Refusal
from tests.core.world import caller, earned, make_world


async def main(directory: str, start: str, now: str, code: str, tries: str) -> int:
    world = make_world(Path(directory))
    world.clock.now = float(now)
    begun = [
        await world.flow.entering.begin("alice", earned("alice"), caller())
        for _ in range(int(tries))
    ]
    time.sleep(max(0.0, float(start) - time.time()))

    async def attempt(cookie: str) -> bool:
        try:
            await world.prove(cookie, "totp", code, caller())
        except Refusal:
            return False
        return True

    passed = await asyncio.gather(*(attempt(one.cookie) for one in begun))
    await world.store.close()
    return sum(passed)


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])))
