"""kill -9 at random points of logins, token and audit writes: nothing acknowledged is lost.

With Redis, each other time its server is killed as well (or instead).
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path

from tests.reliability.world import FAILURES, Deed, World, redis, world

AT_ONCE = 6
PEOPLE = 300


def killed(place: Path, store: str, times: int, seed: int) -> dict[str, object]:
    """Kill it that many times; the figures. Raises AssertionError with the first thing lost."""
    dice = random.Random(seed)
    with redis(place / "redis") if store == "redis" else nullcontext() as server:
        address = f"redis://127.0.0.1:{server.port}/0" if server else "sqlite:state.db"
        with world(place, address, PEOPLE) as all_of_it, ThreadPoolExecutor(AT_ONCE) as threads:
            kept = broken = 0
            slowest = 0.0
            for number in range(times):
                begun = [threads.submit(_one, all_of_it, dice.random()) for _ in range(AT_ONCE)]
                _after(begun, dice.randrange(AT_ONCE))
                time.sleep(dice.uniform(0.0, 0.05))
                both = server is not None and number % 3 == 0
                only_redis = server is not None and number % 3 == 1
                if not only_redis:
                    all_of_it.kill()
                if server and (both or only_redis):
                    server.kill()
                told = [one.result() for one in begun] if not only_redis else None
                back = time.monotonic()
                if server and (both or only_redis):
                    server.start()
                if not only_redis:
                    all_of_it.gateway.start()
                all_of_it.wait()
                slowest = max(slowest, time.monotonic() - back)
                deeds = [deed for deed in told or [one.result() for one in begun] if deed]
                broken += AT_ONCE - len(deeds)
                for deed in deeds:
                    wrong = all_of_it.holds(deed, again=dice.random() < 0.02)
                    assert not wrong, (number, deed.kind, deed.user, wrong)
                kept += len(deeds)
            verified = all_of_it.gateway.command("audit", "verify").stdout.strip()
            if server is None:
                with sqlite3.connect(all_of_it.gateway.place / "state.db") as database:
                    (fine,) = database.execute("PRAGMA integrity_check").fetchone()
                assert fine == "ok", fine
    return {
        "store": store,
        "kills": times,
        "acknowledged and kept": kept,
        "cut off": broken,
        "slowest start, s": round(slowest, 2),
        "trail": verified,
    }


def _after(begun: list[Future[Deed | None]], number: int) -> None:
    """Wait until so many of them are done."""
    if number:
        next(itertools.islice(as_completed(begun), number - 1, None))


def _one(all_of_it: World, chance: float) -> Deed | None:
    """One deed; None where it was cut off or refused because the store was away."""
    deed = (all_of_it.token, all_of_it.session, all_of_it.deletion)[int(chance * 3)]
    try:
        return deed()
    except FAILURES:
        return None
    except AssertionError as refused:
        if "store_unavailable" in str(refused) or "503" in str(refused):
            return None
        raise
