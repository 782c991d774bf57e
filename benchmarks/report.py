"""Figures to a page: medians with their spread, ratios to nginx, and the goals they meet."""

from __future__ import annotations

import platform
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks import deletion, lists, private
from benchmarks.contestants import NGINX_TUNED
from benchmarks.loads import GIB, Large, Small

BASE = "nginx, tuned"
AGAIN = "nginx, tuned (again)"
OURS = "gateway"
T = TypeVar("T")


@dataclass
class Results:
    """What one run found; see `benchmarks.__main__`."""

    rounds: int
    size: int
    seconds: float = 0.0
    small: dict[str, dict[str, list[Small]]] = field(default_factory=dict)
    down: dict[str, list[Large]] = field(default_factory=dict)
    up: dict[str, list[Large]] = field(default_factory=dict)
    idle: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    start: list[float] = field(default_factory=list)
    base: list[int] = field(default_factory=list)
    deletion: list[deletion.Deletion] = field(default_factory=list)
    lists: list[lists.ListRun] = field(default_factory=list)
    private: private.Private | None = None
    why: dict[str, str] = field(default_factory=dict)


class Goal(NamedTuple):
    """load: what measures it. what: in words. limit, got: as printed."""

    load: str
    what: str
    limit: str
    got: str
    met: bool


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, and how far the rounds lie apart."""
    return (
        f"{statistics.median(values):.{digits}f} "
        f"({min(values):.{digits}f}–{max(values):.{digits}f})"
    )


def ratio(found: dict[str, list[T]], name: str, base: str, value: Callable[[T], float]) -> float:
    """The median of the ratios round by round: neighbours in time share the machine's mood.

    Where nginx ran twice in a round, to the mean of both.
    """
    bases = [found[base]]
    if base == BASE and AGAIN in found:
        bases.append(found[AGAIN])
    return statistics.median(
        value(one) / statistics.mean(map(value, others))
        for one, *others in zip(found[name], *bases, strict=True)
    )


def write(results: Results) -> str:
    parts = [_header(results)]
    for load, title in (
        ("small", "Small GET, 64 connections"),
        ("session", "Small GET with a session cookie, 64 connections"),
        ("wheel", "40 kB wheel, 64 connections"),
        ("latency", "Small GET, 4 connections"),
        ("rules", "Small GET over more paths than are remembered, 10 and 200 rules"),
    ):
        if load in results.small:
            parts.append(_small(title, results.small[load], OURS if load == "rules" else BASE))
            parts += _why(results, load)
    for title, found in (("Download", results.down), ("Upload", results.up)):
        if found:
            parts.append(_large(f"{title} of {results.size / GIB:g} GiB", found))
            parts += _why(results, title.lower())
    if results.idle:
        parts.append(_idle(results))
    if results.start:
        parts.append(
            "## Start\n\nSeconds to the first answer through the upstream: "
            f"{spread(results.start, 2)}; resident then: "
            f"{spread([b / 1e6 for b in results.base])} MB.\n"
        )
        parts += _why(results, "start")
    if results.deletion:
        parts.append(_deletion(results.deletion))
    if results.private:
        parts.append(private.table(results.private))
    if results.lists:
        parts.append(lists.table(results.lists))
    rows = "\n".join(
        f"| {goal.what} | {goal.limit} | {goal.got} | {'yes' if goal.met else '**no**'} |"
        for goal in goals(results)
    )
    parts.insert(
        1, f"## Goals\n\n| what | goal | here | met |\n| --- | --- | --- | --- |\n{rows}\n"
    )
    parts.append(
        f"## nginx, tuned\n\n```nginx\n{NGINX_TUNED}\n```\n\n"
        "The whole configuration of every contestant is in `contestants.py`.\n"
    )
    return "\n".join(parts)


def _why(results: Results, load: str) -> list[str]:
    """Where the time goes, for what was missed."""
    text = results.why.get(load)
    return [f"### Where the time goes\n\n{text}"] if text else []


def _header(results: Results) -> str:
    def version(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip().splitlines()[0]

    load = Path("/proc/loadavg").read_text().split()[0]
    return (
        "# Results\n\nWritten by `make bench`; README.md says how to read it. Medians of up to "
        f"{results.rounds} interleaved rounds (3 for large bodies), with the lowest and highest; "
        "ratios are medians of the ratios round by round.\n\n"
        f"Python {platform.python_version()}, {version('nginx', '-v')}, "
        f"{version('haproxy', '-v')}, {platform.system()} {platform.release()}; "
        f"load average at the end {load}; the run took {results.seconds / 60:.1f} minutes.\n"
    )


def _small(title: str, found: dict[str, list[Small]], base: str) -> str:
    rows = [
        f"| {name} | {spread([s.cpu for s in runs])} "
        f"| {ratio(found, name, base, lambda s: s.cpu):.2f} "
        f"| {spread([s.rate for s in runs], 0)} | {ratio(found, name, base, lambda s: s.rate):.2f} "
        f"| {statistics.median(s.busy for s in runs):.0%} "
        f"| {spread([s.p50 for s in runs], 0)} | {spread([s.p99 for s in runs], 0)} |"
        for name, runs in found.items()
    ]
    return (
        f"## {title}\n\n| | CPU per request, µs | ratio | requests/s | ratio | core busy "
        "| p50, µs | p99, µs |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        + "\n".join(rows) + "\n"
    )  # fmt: skip


def _large(title: str, found: dict[str, list[Large]]) -> str:
    rows = [
        f"| {name} | {spread([run.cpu for run in runs], 2)} "
        f"| {ratio(found, name, BASE, lambda run: run.cpu):.2f} "
        f"| {spread([run.seconds for run in runs], 2)} "
        f"| {max(run.grown for run in runs) / (1 << 20):.1f} |"
        for name, runs in found.items()
    ]
    return (
        f"## {title}\n\n| | CPU per GiB, s | ratio | seconds | memory grown at most, MiB |\n"
        "| --- | --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def _slope(points: list[tuple[int, int]]) -> float:
    """KiB per connection, from the first to the last step."""
    (first, low), (last, high) = points[0], points[-1]
    return (high - low) / (last - first) / 1024


def _idle(results: Results) -> str:
    rows = [
        f"| {name} | {_slope(points):.2f} | "
        + ", ".join(f"{count}: {size / (1 << 20):.1f} MiB" for count, size in points) + " |"
        for name, points in results.idle.items()
    ]  # fmt: skip
    return (
        "## Idle keep-alive connections\n\n| | KiB each (slope) | memory at |\n"
        "| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def _deletion(runs: list[deletion.Deletion]) -> str:
    columns = (
        ("through the gateway", [run.through for run in runs]),
        ("the two questions alone", [run.alone for run in runs]),
        ("over that", [run.over for run in runs]),
        ("CPU", [run.cpu for run in runs]),
    )
    return (
        "## A deletion at pypiserver with password and code, SQLite\n\nMilliseconds, "
        f"{len(runs)} people's first, in three turns over the run: "
        + "; ".join(f"{name} {spread([one * 1e3 for one in v])}" for name, v in columns) + ".\n"
    )  # fmt: skip


def goals(results: Results) -> list[Goal]:
    """The goals that this run has measured."""
    found: list[Goal] = []

    def at_most(load: str, what: str, limit: float, got: float, unit: str = "") -> None:
        found.append(Goal(load, what, f"≤ {limit:g}{unit}", f"{got:.2f}{unit}", got <= limit))

    small = results.small.get("small")
    if small:
        at_most(
            "small",
            "small GET, CPU against nginx",
            1.4,
            ratio(small, OURS, BASE, lambda s: s.cpu),
            " ×",
        )
        rate = ratio(small, OURS, BASE, lambda s: s.rate)
        busy = statistics.median(s.busy for s in small[OURS])
        note = "" if busy >= 0.9 else f" (core {busy:.0%} busy: the load was the limit)"
        found.append(
            Goal("small", "small GET, requests/s against nginx", "≥ 0.75 ×",
                 f"{rate:.2f} ×{note}", rate >= 0.75)
        )  # fmt: skip
    if "session" in results.small:
        at_most("session", "small GET with a session, CPU against nginx + auth_request", 0.2,
                ratio(results.small["session"], OURS, "nginx + auth_request", lambda s: s.cpu),
                " ×")  # fmt: skip
    if "wheel" in results.small:
        at_most("wheel", "40 kB wheel, CPU against nginx", 1.25,
                ratio(results.small["wheel"], OURS, BASE, lambda s: s.cpu), " ×")  # fmt: skip
    for title, runs in (("download", results.down), ("upload", results.up)):
        if runs:
            at_most(title, f"{title}, CPU against nginx", 0.9,
                    ratio(runs, OURS, BASE, lambda run: run.cpu), " ×")  # fmt: skip
            at_most(title, f"{title}, CPU against nginx's defaults", 0.4,
                    ratio(runs, OURS, "nginx, defaults", lambda run: run.cpu), " ×")  # fmt: skip
            grown = max(run.grown for run in runs[OURS]) / (1 << 20)
            at_most(title, f"{title}, memory grown", 2, grown, " MiB")
    if results.idle:
        at_most("idle", "idle connection", 3, _slope(results.idle[OURS]), " KiB")
    latency = results.small.get("latency")
    if latency:
        at_most("latency", "p50 at 4 connections against nginx", 1.4,
                ratio(latency, OURS, BASE, lambda s: s.p50), " ×")  # fmt: skip
        at_most("latency", "p99 at 4 connections against nginx", 1.4,
                ratio(latency, OURS, BASE, lambda s: s.p99), " ×")  # fmt: skip
    if "rules" in results.small:
        many = ratio(results.small["rules"], "gateway, 200 rules", OURS, lambda s: s.cpu)
        at_most("rules", "200 rules against 10", 1.3, many, " ×")
    if results.start:
        at_most("start", "start to the first answer", 0.75, statistics.median(results.start), " s")
        at_most("start", "base memory", 64, statistics.median(results.base) / 1e6, " MB")
    if results.deletion:
        over = statistics.median(run.over for run in results.deletion)
        at_most("deletion", "guarded deletion, over the index's own time", 4, over * 1e3, " ms")
        cpu = statistics.median(run.cpu for run in results.deletion)
        at_most("deletion", "guarded deletion, CPU", 4, cpu * 1e3, " ms")
    if results.private:
        for way in private.WAYS[1:]:
            got = private.ratio(results.private, way)
            at_most("private", f"reading with {way}, CPU against a plain request", 2, got, " ×")
    for what, limit, got, unit in lists.goals(results.lists):
        at_most("lists", what, limit, got, unit)
    return found
