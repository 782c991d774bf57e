"""What every store promises when several processes share it and one of them is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.core.store import Key, Store
from tests.contracts.store_racer import ROUNDS

RACER = Path(__file__).with_name("store_racer.py")
PROCESSES = 4


def start(task: str, url: str, argument: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(RACER), task, url, argument],
        stdout=subprocess.PIPE,
        text=True,
    )


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


async def test_of_many_processes_exactly_one_wins(store: Store, store_url: str) -> None:
    for number in range(ROUNDS):
        await store.put(Key("doomed", "", str(number)), b"")
    racers = [start("race", store_url, str(time.time() + 1.5)) for _ in range(PROCESSES)]
    results = [lines(racer.communicate(timeout=60)[0])[0] for racer in racers]
    for won in ("claimed", "deleted", "created", "acted"):
        names = sorted(int(name) for result in results for name in result[won])
        assert names == list(range(ROUNDS)), won
    total = ROUNDS * PROCESSES
    versions = [version for result in results for version in result["versions"]]
    assert len(set(versions)) == total
    final = await store.get(Key("sum", "u", ""))
    assert final is not None and (final.value, final.version) == (b"%d" % total, max(versions))
    assert sorted(n for result in results for n in result["counted"]) == list(range(1, total + 1))
    assert sorted(n for result in results for n in result["numbers"]) == list(range(1, total + 1))
    assert [int(entry) for _, entry in await store.read("chain")] == list(range(total))
    acts = [int(entry) for _, entry in await store.read("acts")]
    assert sorted(acts) == list(range(ROUNDS)), "who lost did nothing"


async def test_what_was_acknowledged_survives_kill_9(store: Store, store_url: str) -> None:
    acknowledged = 0
    for life in ("first", "second"):
        writer = start("write", store_url, life)
        assert writer.stdout is not None
        told = [json.loads(writer.stdout.readline())["number"] for _ in range(40)]
        writer.kill()
        told += [line["number"] for line in lines(writer.communicate()[0])]
        acknowledged += len(told)
        for kind in ("kept", "passing"):
            kept = dict(await store.items(kind, life))
            for number in told:
                assert kept[str(number)].value == str(number).encode()
        first, last = (int(record.value) for _, record in await store.items("both", life))
        # In a Cluster the log is elsewhere.
        assert told[-1] <= last <= first <= last + ("cluster" in store_url), "as one or not at all"
        entries = await store.read("kept", limit=100_000)
        assert [number for number, _ in entries] == list(range(1, len(entries) + 1))
        assert acknowledged <= len(entries) <= acknowledged + 2


@pytest.mark.parametrize("used", ["", "used before"])
def test_on_both_sides_of_a_fork(store_url: str, used: str) -> None:
    """SQLite itself cannot cross one: there the child is refused."""
    forker = start("fork", store_url, used)
    told = lines(forker.communicate(timeout=30)[0])
    refused = [one["refused"] for one in told if "refused" in one]
    assert {"parent": 20} in told and {"status": 0} in told
    assert len(refused) == (1 if used and store_url.startswith("sqlite") else 0)
    assert all("before this process was forked" in str(one) for one in refused)
