"""Real processes under a service manager played here: its socket, its messages, its watchdog."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.serving import systemd
from gateway.serving.systemd import Heartbeats
from tests.serving.test_server import gateway, get, index
from tests.support.memory import children_of
from tests.support.ports import free_port
from tests.support.waiting import eventually

__all__ = ["index"]  # a fixture

_PASS = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """Hears what a service says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.setblocking(False)
        self.heard: list[str] = []

    def hears(self, state: str, *, begins: bool = False) -> bool:
        """begins: it begins so."""

        def heard() -> bool:
            try:
                while True:
                    self.heard.append(self.sock.recv(4096).decode())
            except BlockingIOError:
                texts = [text[: len(state)] if begins else text for text in self.heard]
                return state in texts

        return eventually(heard)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(made.path))
    yield made
    made.sock.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_says_that_it_is_ready_alive_and_stopping(
    index: str, manager: Manager, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", workers) as process:
        assert manager.hears("READY=1")
        assert manager.hears("WATCHDOG=1")
        assert "STOPPING=1" not in manager.heard
        process.send_signal(signal.SIGTERM)
        assert manager.hears("STOPPING=1")
        assert process.wait(60) == 0


def test_a_worker_that_hangs_is_replaced(
    index: str, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", "2") as process:
        assert manager.hears("READY=1")
        assert eventually(lambda: len(children_of(process.pid)) == 2)
        before = set(children_of(process.pid))
        stopped = min(before)
        os.kill(stopped, signal.SIGSTOP)
        assert eventually(
            lambda: stopped not in (now := set(children_of(process.pid))) and len(now) == 2
        )
        assert eventually(lambda: get(port, "/worker") in b" ".join(
            b"%d" % pid for pid in children_of(process.pid)
        ))  # fmt: skip
        assert process.poll() is None


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_socket_that_is_passed_takes_the_place_of_the_address(index: str, workers: str) -> None:
    with socket.socket() as passed:
        passed.bind(("127.0.0.1", 0))
        passed.listen()
        port = passed.getsockname()[1]
        number = passed.fileno()
        os.set_inheritable(number, True)
        unused = free_port()
        launch = (sys.executable, "-c", _PASS, str(number))
        with gateway(index, f"127.0.0.1:{unused}", workers, before=launch, inherit=[number]):
            assert get(port, "/worker").isdigit()
            with pytest.raises(ConnectionRefusedError):
                get(unused, "/worker")


def test_sockets_of_another_process_are_left_alone() -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"}
    assert systemd.inherited(environment) == []
    assert environment == {}
    assert systemd.inherited({}) == []


def test_nobody_is_watched_where_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert systemd.watched() == 0.0
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert systemd.watched() == 3.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watched() == 0.0
    assert Heartbeats(2, 0.0).silent([0, 1]) == []


def test_silence_is_told_from_signs_of_life() -> None:
    beats = Heartbeats(2, 1000.0)
    beats.beat(1)
    assert beats.silent([1]) == []
    old = Heartbeats(2, -1.0)
    old.beat(0)
    assert old.silent([0]) == [0]
