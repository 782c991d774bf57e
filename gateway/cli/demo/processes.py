"""Child processes: started, waited for, stopped together, their output kept in files.

Knows processes and ports; knows neither index servers nor the gateway.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from gateway.cli.output import CommandFailed

# Longer than devpi takes on a slow machine to import its plugins.
READY_WITHIN: Final = 90.0
STOP_WITHIN: Final = 8.0
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child:
    """A running program of ours, in a session of its own so that Ctrl-C reaches only us."""

    def __init__(
        self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name: Final = name
        self.log: Final = log
        with log.open("ab") as output:
            self.process: Final = subprocess.Popen(  # noqa: S603 - our own argument lists
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_release_signals,
                env={**os.environ, **(env or {})},
            )

    def ready(self, port: int, path: str = "/", *, within: float = READY_WITHIN) -> None:
        """Wait until it answers HTTP on a loopback port.

        Raises:
            CommandFailed: it ended, or did not answer within that many seconds.
        """
        end = time.monotonic() + within
        while not answers(port, path):
            if self.process.poll() is not None:
                raise CommandFailed(f"{self.name} did not start:\n{self.tail()}")
            if time.monotonic() > end:
                raise CommandFailed(f"{self.name} did not answer in {within:.0f} seconds.")
            time.sleep(0.05)

    def tail(self, lines: int = 12) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])

    def tell_to_stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def stop(self, within: float = STOP_WITHIN) -> int:
        """Stop it, by force if it does not end in time, with whatever it started."""
        self.tell_to_stop()
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
        # What it left running in its session goes too.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Children:
    """All children of one run; leaving the block stops every one, in reverse order."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(
        self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> Child:
        with signals_held():
            child = Child(name, argv, log, env)
            self._children.append(child)
        return child

    def ended(self) -> Child | None:
        """A child that ended by itself, if one did."""
        return next((c for c in self._children if c.process.poll() is not None), None)

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with signals_held():
            while self._children:
                self._children.pop().stop()


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Signals wait, so that none strikes between a start and the note of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _release_signals() -> None:
    """In the new process: the mask is inherited, but not meant for it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def answers(port: int, path: str) -> bool:
    """Whether something on this loopback port answers an HTTP request without a 5xx."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether a loopback port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
