"""The demo: what it prints works, and whatever ends it, nothing is left."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import Done, run
from tests.support.http import Client
from tests.support.ports import free_port
from tests.support.waiting import eventually


class Demo:
    """A demo that runs with a directory of its own for temporary files."""

    def __init__(
        self, place: Path, upstream: str, python: str = sys.executable, **env: str
    ) -> None:
        self.temporary = place / "temporary"
        self.temporary.mkdir()
        self.home = place / "home"
        self.port = free_port()
        self._log = place / "log"
        argv = [python, "-m", "gateway", "demo", "--upstream", upstream]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*argv, "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(self.temporary), **env},
            )

    @property
    def said(self) -> str:
        return self._log.read_text("utf-8")

    def wait_for(self, text: str, within: float = 100) -> None:
        end = time.monotonic() + within
        while text not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.05)

    def commands(self) -> list[str]:
        """The lines to type, in the order of the list."""
        return re.findall(r"^\d\. [^\n]+\n +(\S[^\n]*)$", self.said, re.MULTILINE)

    def value(self, name: str) -> str:
        found = re.search(rf"^  {name} +(\S+)", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    def type(self, line: str) -> Done:
        """Type a line into a shell, in the directory the demo was started from."""
        words = ["sh", "-c", f"cd {shlex.quote(str(Path.cwd()))} && {line}"]
        return run(self.home, *words)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def nothing_is_left(self) -> bool:
        """No file and no process of it is there any more (waits a moment for the kernel)."""
        marks = (str(self.temporary).encode(), f"TMPDIR={self.temporary}".encode())
        return eventually(lambda: not any(self.temporary.iterdir()) and not processes_with(marks))


def processes_with(marks: tuple[bytes, ...]) -> list[int]:
    """Processes whose command line or environment holds one of the marks."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if any(mark in text for mark in marks):
                found.append(int(entry.name))
    return found


OURS = "the tests' own"


def interpreters() -> dict[str, str]:
    """The tests' own, and the distribution's where that is another and new enough."""
    found = {OURS: ""}
    tell = "import sys; print(sys.version_info[:2] >= (3, 11), sys.version)"
    for python in ("/usr/bin/python3",):
        if Path(python).exists():
            done = subprocess.run([python, "-c", tell], capture_output=True, text=True, timeout=30)
            if done.stdout.startswith("True") and done.stdout.strip() != f"True {sys.version}":
                found["the distribution's"] = python
    return found


INTERPRETERS = interpreters()


def rows() -> Iterator[Any]:
    """Each index with each interpreter. In `make test` each of both once: the distribution's, where
    there is one, with devpi, which needs more."""
    for upstream in ("pypiserver", "devpi"):
        for python in INTERPRETERS:
            usual = (upstream == "devpi") is (python == list(INTERPRETERS)[-1])
            marks = [] if usual or len(INTERPRETERS) == 1 else [pytest.mark.long]
            yield pytest.param(upstream, python, id=f"{upstream}-{python}", marks=marks)


@pytest.fixture(scope="module")
def installed(request: pytest.FixtureRequest) -> str:
    """An interpreter that has the gateway and both indexes, installed as `make test` does."""
    python = INTERPRETERS[request.param]
    if not python:
        return sys.executable
    tell = "import sys; print('%s-%d.%d.%d' % (sys.implementation.name, *sys.version_info[:3]))"
    named = subprocess.run([python, "-c", tell], capture_output=True, text=True, check=True)
    place = f".cache/{named.stdout.strip()}"
    env = {**os.environ, "PYTHON": python, "VENV": place}
    subprocess.run(["tools/install", "dev"], env=env, check=True, timeout=600)
    return str(Path(place).absolute() / "bin/python")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("upstream", "installed"), list(rows()), indirect=["installed"])
def test_the_five_commands_work_as_printed(upstream: str, installed: str, tmp_path: Path) -> None:
    demo = Demo(tmp_path, upstream, installed)
    try:
        demo.wait_for("/+auth/login\n")
        assert demo.value("address") == f"http://localhost:{demo.port}"
        assert "\u2588" in demo.said  # the QR code
        download, upload, refused, accepted, login = demo.commands()
        done = demo.type(download)
        assert (done.code, "Successfully downloaded hello" in done.said) == (0, True), done.said
        done = demo.type(upload)
        assert done.code == 0, done.said
        done = demo.type(refused)
        assert '"second_factor_required"' in done.said
        assert done.said.rstrip().endswith("401")
        done = demo.type(accepted.replace("CODE", demo.value("code")))
        assert done.said.rstrip().endswith("200"), done.said
        done = demo.type(accepted.replace("CODE", demo.value("code")))
        assert '"otp_invalid"' in done.said, "the same code again"
        page = Client(demo.port).browse("GET", login.partition(str(demo.port))[2])
        assert page.status == 200
    finally:
        code = demo.end(signal.SIGINT)
    assert code == 0
    assert demo.nothing_is_left()
    assert "Traceback" not in demo.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after", ["Starting", "a second"])
def test_a_stop_half_way_leaves_nothing(number: int, after: str, tmp_path: Path) -> None:
    demo = Demo(tmp_path, "devpi" if after == "a second" else "pypiserver")
    demo.wait_for("Starting")
    if after == "a second":
        time.sleep(1)
    assert demo.end(number) == 0
    assert demo.nothing_is_left()
    assert "Traceback" not in demo.said


def test_a_failure_half_way_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken/pypiserver"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise SystemExit('the index does not start today')")
    demo = Demo(tmp_path, "pypiserver", PYTHONPATH=f"{broken.parent}:{Path.cwd()}")
    assert demo.process.wait(60) == 1
    assert "index-gateway: error: pypiserver did not start:" in demo.said
    assert "the index does not start today" in demo.said
    assert demo.nothing_is_left()


def test_an_index_that_dies_ends_the_demo(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "pypiserver")
    demo.wait_for("/+auth/login\n")
    [index] = [p for p in processes_with((b"pypi-server",)) if parent(p) == demo.process.pid]
    os.kill(index, signal.SIGKILL)
    assert demo.process.wait(60) == 1
    assert "pypiserver ended by itself" in demo.said
    assert demo.nothing_is_left()


def parent(process_id: int) -> int:
    status = Path(f"/proc/{process_id}/status").read_text()
    found = re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE)
    assert found
    return int(found[1])
