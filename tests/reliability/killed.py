"""kill -9 in the midst of logins, set-ups, token and audit writes: nothing acknowledged is lost.

With Redis its server is killed as well, or instead, two times in three.
"""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import nullcontext, suppress
from pathlib import Path

from tests.contracts.conftest import Server
from tests.reliability.forked import Forked
from tests.reliability.world import FAILURES, Deed, World, redis, world

AT_ONCE = 6
PEOPLE = 300
DEEDS = ("token", "session", "deletion", "enrolment", "upload")
"""Methods of `World`."""


def killed(place: Path, store: str, times: int, seed: int) -> dict[str, object]:
    """Kill it that many times; the figures. Raises AssertionError with the first thing lost."""
    dice = random.Random(seed)
    with (
        redis(place / "redis") if store == "redis" else nullcontext() as server,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        address = f"redis://127.0.0.1:{server.port}/0" if server else "sqlite:state.db"
        with world(place, address, PEOPLE, newcomers=2 * times + AT_ONCE) as all_of_it:
            run = Run(all_of_it, server, dice, threads)
            try:
                with suppress(KeyboardInterrupt):  # then it says what was seen until now
                    run.rounds_of(times)
            finally:
                run.forked.stop()
            all_of_it.gateway.start()
            kept = {kind: sum(deed.kind == kind for deed in run.kept) for kind in DEEDS}
            return {
                "store": store,
                "kills": run.rounds,
                "acknowledged and kept": kept | {"all": len(run.kept)},
                "cut off": run.broken,
                "uploads": run.recorded(),
                "slowest start, s": round(run.slowest, 2),
                "trail": run.verified(),
            }


class Run:
    """What one run knows. killed: when the gateway was killed, in order."""

    def __init__(
        self,
        all_of_it: World,
        server: Server | None,
        dice: random.Random,
        threads: ThreadPoolExecutor,
    ) -> None:
        self.world = all_of_it
        self.server = server
        self.dice = dice
        self.threads = threads
        self.kept: list[Deed] = []
        self.killed: list[float] = []
        self.broken = self.rounds = 0
        self.forked = Forked(all_of_it.gateway.config, all_of_it.gateway.log)
        all_of_it.gateway.stop(40)
        self.forked.start()
        all_of_it.wait()
        self.slowest = 0.0

    def rounds_of(self, times: int) -> None:
        for number in range(times):
            self.round(number)
            if number % 50 == 49:
                print(f"{number + 1} kills, {len(self.kept)} kept", file=sys.stderr)

    def round(self, number: int) -> None:
        """Deeds, a kill in their midst, and a look at what was acknowledged."""
        dice, server = self.dice, self.server
        begun = [self.threads.submit(_one, self.world, dice.choice(DEEDS)) for _ in range(AT_ONCE)]
        _after(begun, dice.randrange(AT_ONCE))
        time.sleep(dice.uniform(0.0, 0.05))
        of_gateway = server is None or number % 3 != 1
        of_redis = server is not None and number % 3 != 2
        first = dice.random() < 0.5
        if server and of_redis and first:
            server.kill()
            time.sleep(dice.uniform(0.0, 0.05))
        if of_gateway:
            self.killed.append(time.monotonic())
            self.forked.kill()
        if server and of_redis and not first:
            server.kill()
        told = [one.result() for one in begun] if of_gateway else None
        back = time.monotonic()
        if server and of_redis:
            server.start()
        if of_gateway:
            self.forked.start()
        self.world.wait()
        self.slowest = max(self.slowest, time.monotonic() - back)
        deeds = [deed for deed in told or [one.result() for one in begun] if deed]
        self.rounds += 1
        self.broken += AT_ONCE - len(deeds)
        for deed in deeds:
            wrong = self.world.holds(deed, again=dice.random() < 0.02)
            assert not wrong, (number, deed.kind, deed.user, wrong)
        self.kept += deeds

    def recorded(self) -> dict[str, object]:
        """How many uploads the trail lacks, and how soon before a kill these were acknowledged."""
        exported = self.world.gateway.command("audit", "export", "--event", "upload").stdout
        entries = [json.loads(line) for line in exported.splitlines()]
        there = Counter(file["name"] for one in entries for file in one["transfer"]["files"])
        twice = [name for name, count in there.items() if count > 1]
        assert not twice, twice
        missing = [deed for deed in self.kept if deed.file and deed.file not in there]
        before = [min(t - one.at for t in self.killed if t >= one.at) for one in missing]
        return {
            "in the trail": len(there),
            "acknowledged and not there": len(missing),
            "acknowledged how long before the kill at most, s": round(max(before, default=0), 3),
        }

    def verified(self) -> str:
        if self.server is None:
            with sqlite3.connect(self.world.gateway.place / "state.db") as database:
                (fine,) = database.execute("PRAGMA integrity_check").fetchone()
            assert fine == "ok", fine
        return self.world.gateway.command("audit", "verify").stdout.strip()


def _after(begun: list[Future[Deed | None]], number: int) -> None:
    """Wait until so many of them are done."""
    if number:
        next(itertools.islice(as_completed(begun), number - 1, None))


def _one(all_of_it: World, kind: str) -> Deed | None:
    """One deed; None where it was cut off or refused because the store was away."""
    deed: Callable[[], Deed] = getattr(all_of_it, kind)
    try:
        return deed()
    except FAILURES:
        return None
    except AssertionError as refused:
        if "store_unavailable" in str(refused) or "503" in str(refused):
            return None
        raise
