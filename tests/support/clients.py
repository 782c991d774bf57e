"""Real command-line clients, each kept away from the configuration of whoever runs the tests."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.demo.indexes import script

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


@dataclass(frozen=True)
class Done:
    """A finished command; said: both its outputs, as a person sees them."""

    code: int
    said: str

    @property
    def words(self) -> str:
        """What was said, with line breaks and runs of blanks as one blank."""
        return " ".join(self.said.split())


def run(home: Path, *argv: str, env: dict[str, str] | None = None, within: float = 60) -> Done:
    """Run a program with an empty home and no configuration but what is given."""
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        argv,
        cwd=home,
        env=environment(home) | (env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=within,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"))


def environment(home: Path) -> dict[str, str]:
    """The variables a client of the tests sees, and no others."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | {
        "HOME": str(home),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONWARNINGS": "ignore",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }


def pip(home: Path, *arguments: str, **env: str) -> Done:
    return run(home, sys.executable, "-m", "pip", *arguments, env=env)


def twine(home: Path, url: str, user: str, password: str, *files: Path, **env: str) -> Done:
    argv = ["upload", "--non-interactive", "--disable-progress-bar", "--repository-url", url]
    login = {"TWINE_USERNAME": user, "TWINE_PASSWORD": password}
    return run(home, sys.executable, "-m", "twine", *argv, *map(str, files), env=login | env)


def uv(home: Path, *arguments: str, **env: str) -> Done:
    own = {"UV_CACHE_DIR": str(home / "uv-cache"), "UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1"}
    return run(home, script("uv"), *arguments, env=own | env)


@dataclass(frozen=True)
class DevpiClient:
    """One person's devpi-client with a login of its own."""

    home: Path

    def __call__(self, *arguments: str) -> Done:
        command, *rest = arguments
        return run(self.home, script("devpi"), command, "--clientdir", str(self._state), *rest)

    def on_terminal(self, *arguments: str, answers: list[str]) -> Done:
        """Run it on a terminal and answer each of its prompts (which end in a colon)."""
        command, *rest = arguments
        argv = [script("devpi"), command, "--clientdir", str(self._state), *rest]
        return typed(self.home, argv, answers)

    def reports_a_test(self, file: str) -> Done:
        """Post the results of a test run of that file, as `devpi test` does after tox."""
        code = (
            "import sys\nfrom devpi.main import initmain\n"
            "from devpi.test import post_tox_json_report\n"
            "hub = initmain(['devpi', 'use', '--clientdir', sys.argv[1]])[0]\n"
            "post_tox_json_report(hub, sys.argv[2], {'testenvs': {}, 'platform': 'linux'})\n"
        )
        return run(self.home, sys.executable, "-c", code, str(self._state), file)

    @property
    def _state(self) -> Path:
        return self.home / "client"

    @property
    def logged_in(self) -> bool:
        """Whether it still holds a login, by its own word."""
        return "logged in as" in self("use").said

    def move(self, old: str, new: str) -> None:
        """Make a login at one address one at another, as if it had always been there."""
        for path in self._state.glob("*.json"):
            path.write_text(path.read_text().replace(old, new))


def typed(home: Path, argv: list[str], answers: list[str], within: float = 30) -> Done:
    """Run a program on a pseudo-terminal, one line typed at each prompt."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(home)
        os.execve(argv[0], argv, environment(home))
    said, waiting = b"", [answer.encode() + b"\n" for answer in answers]
    end = time.monotonic() + within
    try:
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 0.1)[0]:
                if waiting and said.rstrip().endswith(b":"):
                    os.write(terminal, waiting.pop(0))
                    said += b"\n"
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not data:
                break
            said += data
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        _, status = os.waitpid(child, 0)
        os.close(terminal)
    return Done(os.waitstatus_to_exitcode(status), said.decode("utf-8", "replace"))
