"""Processes under measurement: started on one core, read through /proc.

Knows Linux; knows no contestant and no load.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PROXY_CORE = 0
LOAD_CORE = 1
REPOSITORY = Path(__file__).resolve().parents[1]


class Broken(Exception):
    """The measurement cannot go on; the message says why."""


class Process:
    """A process with all its children.

    Args:
        core: the one core everything in it runs on.
        port: where it listens once it is ready.
        ask: the path that is asked until it answers. fields: header lines sent with that.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        core: int,
        port: int,
        log: Path,
        cwd: Path | None = None,
        ask: str = "/root/pypi/+simple/ready/",
        fields: bytes = b"",
    ) -> None:
        self.port = port
        self._ask = b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (ask.encode(), fields)
        self._log = log.open("ab")
        self.began = time.monotonic()
        self._popen = subprocess.Popen(
            ["taskset", "-c", str(core), *arguments],
            stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL, cwd=cwd or REPOSITORY,
            start_new_session=True,
        )  # fmt: skip
        self._log_path = log
        self._others: list[Process] = []

    def attach(self, other: Process) -> None:
        """Count another process with this one."""
        self._others.append(other)

    def wait_ready(self, seconds: float = 15.0) -> float:
        """Wait until the port answers; seconds since the start.

        Raises:
            Broken: it does not come up.
        """
        for other in self._others:
            other.wait_ready(seconds)
        while time.monotonic() - self.began < seconds:
            if self._popen.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                    sock.sendall(self._ask)
                    sock.settimeout(5)
                    if sock.recv(12).startswith(b"HTTP/1.1 200"):
                        return time.monotonic() - self.began
            except OSError:
                time.sleep(0.005)
        raise Broken(f"{self._popen.args!r} does not answer; see {self._log_path}")

    def wait_alone(self, seconds: float = 15.0) -> None:
        """Wait until it has no descendants.

        Raises:
            Broken: some stay.
        """
        until = time.monotonic() + seconds
        while len(self.tree()) > 1:
            if time.monotonic() > until:
                raise Broken(f"{self._popen.args!r} does not end what it began at start")
            time.sleep(0.05)

    def tree(self) -> list[int]:
        """The process and its descendants."""
        found = [self._popen.pid, *(pid for other in self._others for pid in other.tree())]
        for pid in found:
            for task in _tasks(pid):
                with contextlib.suppress(OSError):
                    found += map(int, (task / "children").read_text().split())
        return found

    def cpu(self) -> int:
        """Nanoseconds on a processor so far, of the whole tree."""
        total = 0
        for pid in self.tree():
            for task in _tasks(pid):
                with contextlib.suppress(OSError):
                    total += int((task / "schedstat").read_text().split()[0])
        return total

    def ticks(self) -> tuple[float, float]:
        """Seconds in user space and in the kernel so far, as exact as the clock's ticks."""
        found = [0, 0]
        for pid in self.tree():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                found = [found[0] + int(words[11]), found[1] + int(words[12])]
        second = os.sysconf("SC_CLK_TCK")
        return found[0] / second, found[1] / second

    def memory(self) -> int:
        """Resident bytes of the whole tree (pages shared by its processes counted once)."""
        return sum(_smaps(pid) for pid in self.tree())

    def forget_peak(self) -> None:
        for pid in self.tree():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """The most resident bytes since `forget_peak`."""
        return sum(_status(pid, "VmHWM") for pid in self.tree())

    def resident(self) -> int:
        return sum(_status(pid, "VmRSS") for pid in self.tree())

    def stop(self) -> None:
        for other in self._others:
            other.stop()
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.wait()
        self._log.close()


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _smaps(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _status(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def running(process: Process) -> Iterator[Process]:
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
