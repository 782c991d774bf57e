"""Where the time goes: short extra rounds for the goals that were missed.

For each contestant the share of user space and kernel and its system calls (strace), for the
gateway the Python functions that cost most (cProfile, which makes small functions look dearer).
"""

from __future__ import annotations

import pstats
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig import LOAD_CORE, Process, running

_MOST = 14  # functions
_CALLS = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", re.M)
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.M)

Run = Callable[[Process], float]
"""Loads a process; what came of it: requests, or GiB."""


@dataclass(frozen=True)
class Spent:
    """For one request or GiB: µs in user space and in the kernel, calls by name."""

    user: float
    kernel: float
    calls: dict[str, float]


def spent(process: Process, run: Run) -> Spent:
    """One round for the clock, one for the calls: strace slows a process down."""
    before = process.ticks()
    done = run(process)
    user, kernel = (b - a for a, b in zip(before, process.ticks(), strict=True))
    with _traced(process) as calls:
        traced = run(process)
    return Spent(
        user * 1e6 / done,
        kernel * 1e6 / done,
        {name: count / traced for name, count in calls.items()},
    )


@contextmanager
def _traced(process: Process) -> Iterator[dict[str, int]]:
    """Counts of system calls, filled in at the end."""
    found: dict[str, int] = {}
    pids = [word for pid in process.tree() for word in ("-p", str(pid))]
    tracer = subprocess.Popen(
        ["taskset", "-c", str(LOAD_CORE), "strace", "-c", "-f", *pids],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(0.5)  # until it is attached
    try:
        yield found
    finally:
        tracer.send_signal(signal.SIGINT)
        _, table = tracer.communicate(timeout=20)
        found.update({name: int(count) for count, name in _CALLS.findall(table)})
        found.pop("total", None)


def table(rows: dict[str, Spent], unit: str) -> str:
    """Contestants side by side."""
    lines = [
        f"| {name} | {each.user:,.1f} | {each.kernel:,.1f} | {sum(each.calls.values()):,.1f} "
        f"| {_names(each.calls)} |"
        for name, each in rows.items()
    ]
    return (
        f"Per {unit}:\n\n| | user space, µs | kernel, µs | system calls | most of them |\n"
        "| --- | --- | --- | --- | --- |\n" + "\n".join(lines) + "\n"
    )


def _names(calls: dict[str, float]) -> str:
    most = sorted(calls.items(), key=lambda item: -item[1])[:5]
    return ", ".join(f"{name} {count:,.2f}" for name, count in most if count >= 0.01)


# -- Python -----------------------------------------------------------------------------------


def functions(start: Callable[[Sequence[str]], Process], room: Path, run: Run) -> str:
    """The functions of the gateway that take most of a request.

    Args:
        start: starts a gateway with these words before its own arguments.
    """
    profile = room / "profile"
    with running(start([sys.executable, "-m", "cProfile", "-o", str(profile), "-m"])) as process:
        done = run(process)
    stats = pstats.Stats(str(profile))
    # The entries of pstats: (file, line, name) -> calls, all calls, own time, time below, callers.
    entries: dict[tuple[str, int, str], tuple[int, int, float, float, object]]
    entries = stats.stats  # type: ignore[attr-defined]
    ours = [
        (own, calls, _function(*where))
        for where, (_, calls, own, _, _) in entries.items()
        if calls >= done / 10
    ]
    whole = sum(own for own, _, _ in ours)
    lines = [
        f"| `{name}` | {calls / done:.2f} | {own / whole:.1%} |"
        for own, calls, name in sorted(ours, reverse=True)[:_MOST]
    ]
    return (
        "The gateway's Python, by a profiler:\n\n| function | calls per request | own share |\n"
        "| --- | --- | --- |\n" + "\n".join(lines) + "\n"
    )


def _function(file: str, line: int, name: str) -> str:
    """Builtins have no file, and everything else is told apart by its own."""
    if file == "~":
        return name.strip("<>").removeprefix("built-in method ").replace("method ", "")
    return f"{Path(file).name}:{line} {name}"


def imports(start: Callable[[Sequence[str]], Process], log: Path) -> str:
    """The modules that take longest to import at the start.

    Args:
        log: where that process writes to.
    """
    with running(start([sys.executable, "-X", "importtime", "-m"])):
        pass
    found = sorted(_IMPORT.findall(log.read_text()), key=lambda each: -int(each[0]))
    lines = [f"| `{name}` | {int(own) / 1000:.1f} |" for own, name in found[:_MOST]]
    return "| import | ms by itself |\n| --- | --- |\n" + "\n".join(lines) + "\n"
