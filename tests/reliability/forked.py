"""A gateway that is started by a fork of a process which has imported it all: quick enough to be
killed a thousand times.

python -m tests.reliability.forked gateway.yaml LOG; each line on stdin starts one, and its process
id is printed.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gateway
from gateway.app import run
from gateway.settings import load


class Forked:
    """Starts and kills the gateway of a configuration."""

    def __init__(self, config: Path, log: Path) -> None:
        command = [sys.executable, "-m", "tests.reliability.forked", str(config), str(log)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._gateway = 0

    def start(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._gateway = int(self._process.stdout.readline())

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Orderly, and no other can be started."""
        self._end(signal.SIGTERM)
        self._process.kill()
        self._process.wait()

    def _end(self, how: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._gateway, how)
            while True:
                os.kill(self._gateway, 0)
                time.sleep(0.005)


def main(config: str, log: str) -> None:
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if "demo" not in module.name and "__main__" not in module.name:
            importlib.import_module(module.name)
    settings = load(Path(config))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for _ in sys.stdin:
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with open(log, "ab", 0) as output, open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os._exit(run(settings, workers=1, file=Path(config)))


if __name__ == "__main__":
    main(*sys.argv[1:])
