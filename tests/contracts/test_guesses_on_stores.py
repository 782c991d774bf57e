"""Passwords tried at several gateways at once are counted together, on every store."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from gateway.core.throttle.limits import PASSWORDS_BY_NETWORK

RACER = Path(__file__).with_name("guess_racer.py")
LIMIT = PASSWORDS_BY_NETWORK[0].limit
PROCESSES = 3


def race(url: str, now: float, prefixes: list[str]) -> list[int]:
    start = time.time() + 2
    racers = [
        subprocess.Popen(
            [sys.executable, str(RACER), url, str(start), str(now), prefix],
            stdout=subprocess.PIPE,
            text=True,
        )
        for prefix in prefixes
    ]
    return [int(racer.communicate(timeout=60)[0]) for racer in racers]


def test_no_more_than_the_limit_are_let_through(store_url: str) -> None:
    told = race(store_url, time.time(), [f"{number}-" for number in range(PROCESSES)])
    assert sum(told) == LIMIT, told
