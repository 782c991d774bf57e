"""Real processes that take over something new: on SIGHUP, by the command's call, and a certificate
by the time of its file."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.serving.reloading import NotServed, Reloaded, ask
from tests.serving.test_server import answered, gateway, get, index
from tests.serving.test_systemd import Manager, manager
from tests.support.certificates import certificate_for_localhost
from tests.support.ports import free_port
from tests.support.waiting import eventually

__all__ = ["index", "manager"]  # fixtures
WITHIN = 60
_IN_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.close(int(sys.argv[1]))
os.execv(sys.argv[2], sys.argv[3:])
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "said"
    made.write_text("first")
    monkeypatch.setenv("RELOADED", str(made))
    return made


@contextmanager
def line(port: int) -> Iterator[http.client.HTTPConnection]:
    """A connection that is never made again."""
    made = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)
    made.connect()
    made.auto_open = 0
    yield made
    made.close()


def said(on: http.client.HTTPConnection) -> str:
    on.request("GET", "/worker")
    return on.getresponse().read().decode()


def heard(process: subprocess.Popen[str], what: str) -> bool:
    assert process.stdout is not None
    return process.stdout.readline().strip() == what


@pytest.mark.parametrize("workers", ["1", "2"])
def test_connections_go_on_with_what_is_new(
    index: str, file: Path, manager: Manager, workers: str
) -> None:
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", workers) as process:
        with line(port) as one, line(port) as other:
            assert said(one) == said(one) != "second"
            assert manager.hears("READY=1")
            file.write_text("second")
            process.send_signal(signal.SIGHUP)
            assert heard(process, "told True")
            assert eventually(lambda: said(one) == said(other) == "second")
            assert manager.hears("RELOADING=1\nMONOTONIC_USEC=", begins=True)
            with answered(port) as got:  # what is under way ends as it began
                file.write_text("third")
                assert ask(file, WITHIN) == Reloaded(True, ())
            assert got == [b"second"]
            assert said(one) == said(other) == "third"
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("bad", ["refuse", "fail"])
def test_what_cannot_be_used_changes_nothing(
    index: str, file: Path, workers: str, bad: str
) -> None:
    port = free_port()
    why = {"refuse": "it says so", "fail": "the new configuration cannot be used (RuntimeError)"}
    with gateway(index, f"127.0.0.1:{port}", workers) as process, line(port) as one:
        before = said(one)
        file.write_text(bad)
        assert ask(file, WITHIN) == Reloaded(False, (why[bad],))
        assert said(one) == before
        assert heard(process, "told False")


def test_a_worker_that_follows_another_has_what_is_new(index: str, file: Path) -> None:
    port = free_port()
    with gateway(index, f"127.0.0.1:{port}", "2") as process:
        assert get(port, "/worker")  # it is up
        file.write_text("second")
        assert ask(file, WITHIN).ok
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        before = children.read_text().split()
        for worker in before:
            os.kill(int(worker), signal.SIGKILL)
        assert eventually(lambda: len({*children.read_text().split()} - {*before}) == 2)
        assert eventually(lambda: get(port, "/worker") == b"second")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_closes_ends_it(index: str, file: Path, workers: str) -> None:
    port = free_port()
    ours, its = os.openpty()
    start = [sys.executable, "-c", _IN_TERMINAL, str(its), sys.executable]
    with gateway(index, f"127.0.0.1:{port}", workers, before=start, inherit=[its]) as process:
        os.close(its)
        assert get(port, "/worker")  # it is up
        file.write_text("second")
        process.send_signal(signal.SIGHUP)  # by somebody; the terminal is there
        assert heard(process, "told True")
        os.close(ours)
        assert process.wait(WITHIN) == 0


def test_nobody_serves_it(tmp_path: Path) -> None:
    with pytest.raises(NotServed, match="no gateway serves this file"):
        ask(tmp_path / "none", WITHIN)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(
    index: str, tmp_path: Path, workers: str
) -> None:
    port = free_port()
    (tmp_path / "new").mkdir()
    old, key = certificate_for_localhost(tmp_path)
    new, new_key = certificate_for_localhost(tmp_path / "new")

    def trusted(by: Path) -> bool:
        context = ssl.create_default_context(cafile=str(by))
        connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
        try:
            connection.request("GET", "/worker")
            return bool(connection.getresponse().read())
        except ssl.SSLCertVerificationError:
            return False
        finally:
            connection.close()

    first = old.read_bytes()
    before = tmp_path / "before.pem"
    before.write_bytes(first)
    with gateway(index, f"127.0.0.1:{port}", workers, str(old), str(key)) as process:
        assert trusted(before)  # it is up
        old.write_bytes(b"no certificate")
        for _ in range(int(workers)):
            assert heard(process, "certificate False")
        assert trusted(before)
        old.write_bytes(new.read_bytes())
        key.write_bytes(new_key.read_bytes())
        assert eventually(lambda: trusted(new))
        assert eventually(lambda: not trusted(before))
