"""Mixed traffic for half an hour: memory, descriptors, threads and tasks do not grow."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.cli.demo.processes import Child
from tests.reliability.world import World, password, redis, world

PEOPLE = 400
THREADS = 4
BOUNDARY = b"9d0f4bf8cb92d1c22efa1"
SETTLED = 0.2
"""Of the time, before which caches fill and nothing is compared."""


@dataclass(frozen=True)
class Look:
    """The gateway's process at one moment. memory: KiB of resident memory."""

    seconds: float
    memory: int
    descriptors: int
    threads: int
    tasks: int


def soak(place: Path, store: str, seconds: float, seed: int) -> dict[str, object]:
    """The figures of one run. Raises AssertionError where something grew."""
    with redis(place / "redis") if store == "redis" else nullcontext() as server:
        address = f"redis://127.0.0.1:{server.port}/0" if server else "sqlite:state.db"
        with world(place, address, PEOPLE) as all_of_it, watched(all_of_it) as look:
            looks, done = _traffic(all_of_it, seconds, seed, look)
            time.sleep(10)
            looks.append(look())
    settled = [one for one in looks if one.seconds >= seconds * SETTLED]
    third = max(1, len(settled) // 3)
    early, late = settled[:third], settled[-third:]

    def grown(what: Callable[[Look], int]) -> float:
        return statistics.median(map(what, late)) / statistics.median(map(what, early))

    found: dict[str, object] = {
        "store": store,
        "seconds": round(seconds),
        "requests": dict(sorted(done.items())),
        "memory, last third / first": round(grown(lambda one: one.memory), 3),
        "descriptors": round(grown(lambda one: one.descriptors), 3),
        "tasks": round(grown(lambda one: one.tasks), 3),
        "first": asdict(settled[0]),
        "last, 10 s after the traffic": asdict(looks[-1]),
    }
    assert not [kind for kind in done if kind.startswith("failed")], found
    assert grown(lambda one: one.memory) < 1.1, found
    assert looks[-1].descriptors <= settled[0].descriptors + 8, found
    assert looks[-1].tasks <= settled[0].tasks + 4, found
    return found


@contextmanager
def watched(all_of_it: World) -> Iterator[Callable[[], Look]]:
    """The gateway started anew, and a way to look at it."""
    gateway = all_of_it.gateway
    gateway.stop()
    file = gateway.place / "tasks"
    argv = [sys.executable, "-m", "tests.reliability.watched", str(file)]
    argv += ["serve", "--no-look", "-c", str(gateway.config)]
    gateway.child = Child("gateway", argv, gateway.log)
    gateway.child.ready(gateway.port, gateway.ready_path, within=60)
    process = gateway.process_id
    began = time.monotonic()

    def look() -> Look:
        file.unlink(missing_ok=True)
        os.kill(process, signal.SIGUSR2)
        end = time.monotonic() + 20
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.05)
        status = Path(f"/proc/{process}/status").read_text()
        numbers = dict(re.findall(r"^(\w+):\s+(\d+)", status, re.M))
        return Look(
            round(time.monotonic() - began, 1),
            int(numbers["VmRSS"]),
            len(os.listdir(f"/proc/{process}/fd")),
            int(numbers["Threads"]),
            int(file.read_text()),
        )

    yield look


def _traffic(
    all_of_it: World, seconds: float, seed: int, look: Callable[[], Look]
) -> tuple[list[Look], Counter[str]]:
    done: Counter[str] = Counter()
    lock = threading.Lock()
    end = time.monotonic() + seconds

    def run(number: int) -> None:
        dice = random.Random(seed + number)
        while time.monotonic() < end:
            kind = dice.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
            try:
                KINDS[kind][1](all_of_it, dice)
            except Exception as failed:
                kind = f"failed: {kind}: {failed!r}"[:400]
            with lock:
                done[kind] += 1

    runners = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for one in runners:
        one.start()
    looks = []
    while time.monotonic() < end:
        time.sleep(min(seconds / 60, 20))
        looks.append(look())
    for one in runners:
        one.join()
    return looks, done


def _read(all_of_it: World, dice: random.Random) -> None:
    target = dice.choice(("/simple/", "/simple/hello/", "/packages/hello-1.0.tar.gz", "/"))
    assert all_of_it.gateway.client().get(target).status == 200


def _upload(all_of_it: World, dice: random.Random) -> None:
    name, number = f"person{dice.randrange(PEOPLE)}", next(all_of_it.numbers)
    line = b"--" + BOUNDARY + b"\r\nContent-Disposition: form-data; name="
    body = b"".join(
        line + f'"{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in ((":action", "file_upload"), ("name", "soak"), ("version", str(number)))
    )
    body += line + f'"content"; filename="soak-{number}.tar.gz"\r\n\r\n'.encode()
    body += dice.randbytes(dice.choice((100, 20_000, 300_000))) + b"\r\n--" + BOUNDARY + b"--\r\n"
    told = all_of_it.gateway.client().call(
        "POST", "/", auth=(name, password(name)), body=body,
        fields={"Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}"},
    )  # fmt: skip
    assert told.status == 200, told


def _refused(all_of_it: World, dice: random.Random) -> None:
    """A guarded request with the password alone."""
    name = f"person{dice.randrange(PEOPLE)}"
    told = all_of_it.gateway.client().post(
        "/", auth=(name, password(name)), form={":action": "remove_pkg", "name": "hello"}
    )
    assert told.status in (401, 403), told


def _broken(all_of_it: World, dice: random.Random) -> None:
    """A client that leaves in the middle, or speaks no HTTP."""
    with socket.create_connection(("127.0.0.1", all_of_it.gateway.port), timeout=10) as line:
        line.sendall(dice.choice((
            b"GET /simple/ HTTP/1.1\r\nHost: x\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc",
            b"\x16\x03\x01\x00\x05hello",
            b"GET / HTTP/9.9\r\n\r\n",
        )))  # fmt: skip


KINDS: dict[str, tuple[int, Callable[[World, random.Random], object]]] = {
    "read": (60, _read),
    "upload": (12, _upload),
    "refused": (10, _refused),
    "left": (6, _broken),
    "login": (4, lambda all_of_it, dice: all_of_it.session()),
    "token": (4, lambda all_of_it, dice: all_of_it.token()),
    "deletion": (4, lambda all_of_it, dice: all_of_it.deletion()),
}
