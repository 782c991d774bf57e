"""Sentinel failing over, a Cluster losing a node and moving slots, while people log in.

What was acknowledged is looked for afterwards; how long logins were refused is measured.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.contracts.conftest import Server, sentinel_group, wait_for
from tests.reliability.world import FAILURES, Deed, World, world
from tests.support.ports import free_port

PEOPLE = 300
THREADS = 3
BEFORE = 8.0  # seconds of ordinary traffic
AFTER = 15.0


def sentinel(place: Path) -> dict[str, object]:
    """kill -9 of the primary under load."""
    with (
        sentinel_group(place / "redis") as group,
        world(place, f"{group.url}?replicas=0", PEOPLE) as all_of_it,
    ):
        # Two replicas, so that one is left which can acknowledge after the failover.
        second = Server(
            place / "redis" / "second",
            *("--save", "", "--appendonly", "no"),
            *("--replicaof", f"127.0.0.1 {group.primary.port}"),
        )
        second.start()
        try:
            wait_for(lambda: "link_status:up" in (second.command("INFO", "replication") or ""))
            _counting_replicas(all_of_it, f"{group.url}?replicas=1")
            return _under_load(all_of_it, group.primary.kill)
        finally:
            second.kill()


def cluster(place: Path) -> dict[str, object]:
    """Slots moved from node to node under load, then kill -9 of a primary that has a replica."""
    found: dict[str, object] = {}
    for name in ("resharding", "a node lost"):
        room = place / name.replace(" ", "-")
        with _cluster(room / "redis") as (nodes, url), world(room, url, PEOPLE) as all_of_it:
            _counting_replicas(all_of_it, f"{url}?replicas=1")
            fault = nodes[0].kill if name == "a node lost" else lambda: _reshard(nodes, range(200))
            found[name] = _under_load(all_of_it, fault)
    return found


def _counting_replicas(all_of_it: World, url: str) -> None:
    gateway = all_of_it.gateway
    gateway.stop()
    text = gateway.config.read_text()
    begin = text.index("\nstore: ") + 1
    end = text.index("\n", begin)
    gateway.config.write_text(f"{text[:begin]}store: {url}{text[end:]}")
    gateway.start()


def _under_load(all_of_it: World, fault: Callable[[], object]) -> dict[str, object]:
    kept: list[Deed] = []
    refused: list[float] = []
    taken: list[float] = []
    stop = threading.Event()
    strange: list[str] = []

    def run(number: int) -> None:
        deeds = (all_of_it.token, all_of_it.session, all_of_it.deletion)
        while not stop.is_set():
            number += 1
            try:
                deed = deeds[number % 3]()
            except (*FAILURES, AssertionError) as failed:
                refused.append(time.monotonic())
                if isinstance(failed, AssertionError) and "503" not in str(failed):
                    strange.append(str(failed)[:500])
                time.sleep(0.05)
            else:
                kept.append(deed)
                taken.append(time.monotonic())

    runners = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for one in runners:
        one.start()
    time.sleep(BEFORE)
    begun = time.monotonic()
    fault()
    ended = time.monotonic()
    _until(lambda: bool(taken) and taken[-1] > ended + 1, AFTER * 4)
    time.sleep(AFTER)
    stop.set()
    for one in runners:
        one.join()
    all_of_it.wait()
    wrong = [
        text
        for number, deed in enumerate(kept)
        if (text := all_of_it.holds(deed, again=number % 20 == 0))
    ]
    assert not wrong and not strange, (wrong[:3], strange[:3])
    gaps = [later - before for before, later in itertools.pairwise(taken)]
    return {
        "acknowledged and kept": len(kept),
        "refused meanwhile": len([one for one in refused if one >= begun]),
        "longest time without a login, s": round(max(gaps), 1),
        "the fault took, s": round(ended - begun, 1),
        "trail": all_of_it.gateway.command("audit", "verify").stdout.split("\n")[0],
    }


def _until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.1)


@contextmanager
def _cluster(base: Path) -> Iterator[tuple[list[Server], str]]:
    """Three primaries that share the slots, each with a replica, the first one with two."""
    nodes: list[Server] = []
    buses: list[int] = []
    try:
        for number in range(7):
            bus = free_port()
            node = Server(
                base / str(number),
                *("--save", "", "--appendonly", "no", "--cluster-enabled", "yes"),
                *("--cluster-port", str(bus), "--cluster-node-timeout", "2000"),
            )
            node.start()
            nodes.append(node)
            buses.append(bus)
        bounds = (0, 5461, 10923, 16384)
        for number, node in enumerate(nodes[:3]):
            first, last = bounds[number], bounds[number + 1] - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        for number, node in enumerate(nodes):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            nodes[0].command("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(bus))
        for node in nodes:
            _known(node, "known_nodes:7", "CLUSTER", "INFO")
        for primary, replica in zip((*nodes[:3], nodes[0]), nodes[3:], strict=True):
            _known(replica, "OK", "CLUSTER", "REPLICATE", _id(primary))
        for node in nodes:
            _known(node, "state:ok", "CLUSTER", "INFO")
        for node in nodes[:3]:
            _known(node, "state=online", "INFO", "replication")
        yield nodes, "redis+cluster://" + ",".join(f"127.0.0.1:{one.port}" for one in nodes[:3])
    finally:
        for node in nodes:
            node.kill()


def _known(node: Server, wanted: str, *words: str) -> None:
    """Ask until the answer has that in it."""
    wait_for(lambda: wanted in (node.command(*words) or ""), 30)


def _id(node: Server) -> str:
    return (node.command("CLUSTER", "MYID") or "").split("\r\n")[1]


def _reshard(nodes: list[Server], slots: range) -> None:
    """Move slots from the first primary to the second, key by key, as redis-cli does."""
    source, target = nodes[0], nodes[1]
    for slot in map(str, slots):
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(target))
        while keys := _bulk(source.command("CLUSTER", "GETKEYSINSLOT", slot, "50")):
            source.command(
                *("MIGRATE", "127.0.0.1", str(target.port), "", "0", "2000", "KEYS", *keys)
            )
        for node in nodes[:3]:
            node.command("CLUSTER", "SETSLOT", slot, "NODE", _id(target))


def _bulk(answer: str | None) -> list[str]:
    return (answer or "").split("\r\n")[2::2]
