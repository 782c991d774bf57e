"""kill -9 in the middle of enrolments: what was acknowledged stays, a half one locks nobody out."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from tests.core.world import Person, Phone, caller, earned, make_world

ROUNDS = 5


async def killed_while_enrolling(directory: Path, seconds: float) -> list[list[str]]:
    victim = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.core.login.enrolment_victim",
        str(directory),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env=dict(os.environ),
    )
    assert victim.stdout
    first = await victim.stdout.readline()
    await asyncio.sleep(seconds)
    victim.kill()
    rest = await victim.stdout.read()
    await victim.wait()
    return [line.decode().split() for line in (first + rest).splitlines()]


async def test_kill_9_around_enrolments(tmp_path: Path) -> None:
    dice = random.Random(7)
    for number in range(ROUNDS):
        directory = tmp_path / str(number)
        directory.mkdir()
        told = await killed_while_enrolling(directory, dice.uniform(0.0, 0.4))
        acknowledged = [line for line in told if len(line) == 3]
        assert acknowledged
        world = make_world(directory)
        world.clock.turn(86400 * 2)
        for name, uri, _ in acknowledged[-3:]:
            await world.login(Person(name, phone=Phone(uri)))
        # The next one was somewhere between its first step and its last.
        after = f"user{len(acknowledged)}"
        begun = await world.flow.entering.begin(after, earned(after), caller())
        account = await world.flow.services.accounts.get(after)
        if begun.step == "enrol":
            await world.enrol(Person(after))
        else:
            # Stored but not yet told: complete, with its recovery codes.
            assert account
            assert account.protected
            assert len(account.recovery.codes) == 10
        await world.store.close()
