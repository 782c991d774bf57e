"""`make bench`: everybody side by side, interleaved over several rounds; see README.md."""

from __future__ import annotations

import argparse
import compileall
import contextlib
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import deletion, lists, loads, private, why
from benchmarks.contestants import CONTESTANTS, Places, gateway, upstream
from benchmarks.loads import Large, Small
from benchmarks.report import Results, goals, write
from benchmarks.rig import LOAD_CORE, REPOSITORY, Broken, Process, free_port, running
from benchmarks.session import cookie_field

SMALL = (
    "nginx, tuned", "gateway", "nginx, tuned (again)", "haproxy, splice", "aiohttp proxy",
)  # fmt: skip
SESSION = (
    "nginx, tuned", "gateway", "nginx + auth_request", "nginx + auth_request, always yes",
)  # fmt: skip
WHEEL = ("nginx, tuned", "gateway", "nginx, tuned (again)", "haproxy, splice")
LARGE = ("nginx, tuned", "gateway", "nginx, tuned (again)", "nginx, defaults", "haproxy, splice")
FEW = ("nginx, tuned", "gateway", "nginx, tuned (again)")
RULES = ("gateway", "gateway, 200 rules")
PATHS = 5000
"""Distinct paths of the small requests."""
MANY_PATHS = 20000
"""The same where it is about rules: more than any memo holds."""
STEPS = (2000, 6000, 10000)
_LONGEST = 80.0  # seconds for the rounds of one load, after which no more than three are run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=loads.GIB, help="bytes of a large body")
    parser.add_argument(
        "--only",
        default="",
        help="small, session, wheel, large, latency, rules, private, idle, start, deletion, lists",
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results.md"))
    options = parser.parse_args()
    _install()
    compileall.compile_dir(REPOSITORY / "gateway", quiet=1)  # as pip does where it installs
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(65536, _descriptors()), _descriptors()))
    os.sched_setaffinity(0, {LOAD_CORE})
    began = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        results = Bench(base, options.rounds, options.size, options.only.split(",")).run()
    except Broken as problem:
        print(f"benchmarks: error: {problem}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(base, ignore_errors=True)
    results.seconds = time.monotonic() - began
    text = write(results)
    print(text)
    options.output.write_text(text)
    return 0


def _descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _install() -> None:
    """What is measured against, and with, from the system's packages where it is missing."""
    needed = ("nginx", "haproxy", "wrk", "strace", "redis-server")
    missing = [name for name in needed if shutil.which(name) is None]
    if not missing:
        return
    if os.geteuid() != 0:
        raise SystemExit(f"benchmarks: error: install {' '.join(missing)} first")
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["apt-get", "update", "-qq"], **quiet)  # type: ignore[call-overload]
    subprocess.run(  # type: ignore[call-overload]
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
        **quiet, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )  # fmt: skip


class Bench:
    """One run. Contestants take turns round by round."""

    def __init__(self, base: Path, rounds: int, size: int, only: list[str]) -> None:
        self._base = base
        self._rounds = rounds
        self._size = size
        self._only = [name for name in only if name]
        self._places = Places(base, free_port(), free_port())
        self._results = Results(rounds, size)
        self._runs: dict[str, why.Run] = {}

    def run(self) -> Results:
        expected = self._files()
        room = self._base / "index"
        sink = Process(
            [sys.executable, "-m", "benchmarks.sink", str(self._places.sink)],
            core=LOAD_CORE, port=self._places.sink, log=room / "sink.log",
        )  # fmt: skip
        with running(sink), running(upstream(self._places)):
            self._small("small", SMALL, connections=64, paths=PATHS)
            self._small("session", SESSION, connections=64, paths=PATHS, field=cookie_field())
            self._small("wheel", WHEEL, connections=64, paths=PATHS)
            self._deletion(1)
            self._small("latency", FEW, connections=4, paths=PATHS)
            self._small("rules", RULES, connections=64, paths=MANY_PATHS)
            self._private()
            self._large(expected)
            self._deletion(2)
            self._idle()
            self._start()
            self._lists()
            self._deletion(3)
            for load in dict.fromkeys(g.load for g in goals(self._results) if not g.met):
                self._explain(load, expected)
        return self._results

    def _wanted(self, name: str) -> bool:
        return not self._only or name in self._only

    def _files(self) -> str:
        room = self._base / "index"
        room.mkdir(mode=0o755)
        self._base.chmod(0o755)
        (room / "page").write_bytes(b"<!DOCTYPE html><a href='x-1.0.whl'>x-1.0.whl</a>\n" * 12)
        (room / "wheel").write_bytes(os.urandom(40_000))
        digest = hashlib.sha256()
        with (room / "large").open("wb") as stream:
            left = self._size
            while left:
                block = os.urandom(min(left, 1 << 24))
                stream.write(block)
                digest.update(block)
                left -= len(block)
        return digest.hexdigest()

    def _small(
        self,
        load: str,
        names: tuple[str, ...],
        *,
        connections: int,
        paths: int,
        field: bytes = b"",
    ) -> None:
        if not self._wanted(load):
            return
        kind = "wheel" if load == "wheel" else "page"
        run = partial(loads.small, kind=kind, connections=connections, paths=paths, field=field)
        self._runs[load] = lambda process: run(process).requests
        found: dict[str, list[Small]] = {name: [] for name in names}
        began = time.monotonic()
        for number in range(self._rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                # Anew in each round: where a process comes to lie in memory makes several percent.
                with running(CONTESTANTS[name](self._places)) as process:
                    run(process, seconds=1)  # warm
                    found[name].append(run(process))
            _say(f"{load}: round {number + 1} of {self._rounds}")
            if number >= 2 and time.monotonic() - began > _LONGEST:
                break  # on a busy machine three rounds have to do
        self._results.small[load] = found

    def _large(self, expected: str) -> None:
        if not self._wanted("large"):
            return
        down: dict[str, list[Large]] = defaultdict(list)
        up: dict[str, list[Large]] = defaultdict(list)
        rounds = min(3, self._rounds)
        with contextlib.ExitStack() as stack:
            processes = {
                name: stack.enter_context(running(CONTESTANTS[name](self._places)))
                for name in LARGE
            }
            for number in range(rounds):
                for name, process in processes.items():
                    down[name].append(loads.download(process, expected, self._size))
                    up[name].append(loads.upload(process, self._base / "index" / "large", expected))
                _say(f"large: round {number + 1} of {rounds}")
        self._results.down, self._results.up = down, up

    def _idle(self) -> None:
        if not self._wanted("idle"):
            return
        for name in ("nginx, tuned", "gateway"):
            with running(CONTESTANTS[name](self._places)) as process:
                self._results.idle[name] = list(zip(STEPS, loads.idle(process, STEPS), strict=True))
            _say(f"idle: {name}")

    def _explain(self, load: str, expected: str) -> None:
        """A short extra round for a goal that was missed."""
        rooms = self._places.room("why")

        def started(before: Sequence[str]) -> Process:
            return gateway(self._places, name="why", before=before)

        if load == "start":
            self._results.why[load] = why.imports(started, rooms / "log")
            return
        large = load in ("download", "upload")
        names = FEW[:2] if load != "session" else (*FEW[:2], "nginx + auth_request")
        run: why.Run
        if large:
            run = partial(self._moved, load, expected)
        elif load in self._results.small:
            run = self._runs[load]
        else:
            return  # idle, deletion, lists: their tables say all there is
        rows = {}
        for name in names:
            with running(CONTESTANTS[name](self._places)) as process:
                rows[name] = why.spent(process, run)
        text = why.table(rows, "GiB" if large else "request")
        self._results.why[load] = text + "\n" + why.functions(started, rooms, run)
        _say(f"{load}: where the time goes")

    def _moved(self, load: str, expected: str, process: Process) -> float:
        if load == "download":
            loads.download(process, expected, self._size)
        else:
            loads.upload(process, self._base / "index" / "large", expected)
        return self._size / loads.GIB

    def _deletion(self, turn: int) -> None:
        """In turns over the run: it has no contestant that the same minutes would slow down."""
        if self._wanted("deletion"):
            self._results.deletion += deletion.measure(self._base / f"turn{turn}")
            _say(f"deletion {turn}")

    def _private(self) -> None:
        if self._wanted("private"):
            self._results.private = private.measure(self._places, self._rounds, _say)

    def _lists(self) -> None:
        if self._wanted("lists"):
            self._results.lists = lists.measure(self._base, _say)

    def _start(self) -> None:
        if not self._wanted("start"):
            return
        for _ in range(self._rounds):
            process = gateway(self._places, look=True)
            try:
                self._results.start.append(process.wait_ready())
                process.wait_alone()  # what looks around at start is not the gateway
                self._results.base.append(process.resident())
            finally:
                process.stop()
        _say("start")


def _say(text: str) -> None:
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
