"""Settings that another process reads are those that this one would read."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.app.domain import reading_of
from gateway.settings import ConfigError, apart, load, run_tests
from gateway.settings.apart import load_apart

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_it_gives_what_reading_here_gives(kind: str) -> None:
    here, there = load(CONFIG / f"{kind}.yaml"), load_apart(CONFIG / f"{kind}.yaml")
    assert there == here
    assert (there.places, there.warnings) == (here.places, here.warnings)
    assert there.places
    assert run_tests(there, reading_of(there)) == []


def test_warnings_and_problems_come_over(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    text = (CONFIG / "devpi.yaml").read_text("utf-8")
    path.write_text(text.replace("http://localhost:8080", "http://192.0.2.1"), "utf-8")
    assert load_apart(path).warnings == load(path).warnings != ()
    path.write_text("version: 2\nlisten: 1\n", "utf-8")
    with pytest.raises(ConfigError) as here:
        load(path)
    with pytest.raises(ConfigError) as there:
        load_apart(path)
    assert there.value.problems == here.value.problems
    assert str(there.value) == str(here.value)


def test_ended_children_may_be_ignored(request: pytest.FixtureRequest) -> None:
    """As a parent may leave it to us: then nobody can be waited for."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGCHLD, before))
    assert load_apart(CONFIG / "devpi.yaml") == load(CONFIG / "devpi.yaml")


def test_what_nobody_foresaw_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: Path) -> None:
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(apart, "load", load)
    with pytest.raises(RuntimeError, match="nobody foresaw it"):
        load_apart(CONFIG / "devpi.yaml")


def test_a_gateway_keeps_nothing_of_what_reads() -> None:
    script = (
        "import sys; from pathlib import Path; from gateway.settings.apart import load_apart;"
        "import gateway.app.wiring, gateway.cli.serve, gateway.serving.server;"
        "print(load_apart(Path(sys.argv[1])).upstream.kind);"
        "print({name.partition('.')[0] for name in sys.modules} & {'pydantic', 'ruamel'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(CONFIG / "devpi.yaml")], capture_output=True, text=True
    )
    assert done.stdout == "devpi\nset()\n", done.stderr
