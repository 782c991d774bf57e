"""What docs/deployment.md ships, built and run: `make packages`, as root on Debian or Ubuntu.

The image runs by podman and runc, with a read-only root and without a capability.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import clients
from tests.support.http import Client
from tests.support.ports import free_port
from tests.support.servers import ROOT, Index

pytestmark = [pytest.mark.packages, pytest.mark.timeout(900)]

LARGEST = 120_000_000
"""Bytes of the whole image, unpacked."""


def said(*argv: str | Path, env: dict[str, str] | None = None, within: float = 600) -> str:
    """What a program printed; it has to end with 0."""
    done = subprocess.run(
        [str(one) for one in argv], cwd=ROOT, env=env, timeout=within, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Engine:
    """podman with a store and a configuration of its own."""

    def __init__(self, place: Path) -> None:
        settings = place / "containers.conf"
        # Fits wherever the tests are root: in a container without systemd, too.
        settings.write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=2000:2000"]\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )
        storage = place / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{place}/root"\nrunroot = "{place}/run"\n'
        )
        self._env = {
            **os.environ,
            "CONTAINERS_CONF": str(settings),
            "CONTAINERS_STORAGE_CONF": str(storage),
        }

    def __call__(self, *arguments: str | Path) -> str:
        return said("podman", *arguments, env=self._env)

    def gateway(self, data: Path, *arguments: str, options: tuple[str, ...] = ("--rm",)) -> str:
        """`docker run` as docs/deployment.md has it."""
        return self(
            *("run", *options, "--read-only", "--cap-drop", "ALL"),
            *("--security-opt", "no-new-privileges", "--network", "host", "--no-healthcheck"),
            *("-v", f"{data}:/data", "index-gateway", *arguments),
        )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    place = tmp_path_factory.mktemp("image")
    file = place / "index-gateway.tar"
    said("tools/image", file)
    engine = Engine(place)
    engine("load", "--quiet", "--input", file)
    yield engine
    engine("rm", "--all", "--force")
    engine("rmi", "--all", "--force")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    os.chown(folder, 10001, 10001)
    return folder


def test_the_image_is_small_and_holds_nothing_to_run_but_python(engine: Engine) -> None:
    (told,) = json.loads(engine("image", "inspect", "index-gateway"))
    assert told["Size"] < LARGEST
    assert told["User"] == "10001:10001"
    assert told["Healthcheck"]["Test"][:2] == ["CMD", "python3"]
    files = engine("run", "--rm", "--entrypoint", "python3", "index-gateway", "-c", (
        "import os; print(sorted(os.listdir('/usr/bin')), os.listdir('/usr/sbin'))"
    ))  # fmt: skip
    assert re.fullmatch(r"\['index-gateway', 'python3', 'python3\.\d+'\] \[\]\n", files), files


def test_the_image_serves_without_a_privilege(
    engine: Engine, data: Path, pypiserver: Index, tmp_path: Path
) -> None:
    port = free_port()
    engine.gateway(
        *(data, "init", "pypiserver", "--listen", f"127.0.0.1:{port}"),
        *("--upstream", pypiserver.url, "--public-url", f"http://localhost:{port}"),
    )
    engine.gateway(data, "keys", "new", "-c", "gateway.yaml")
    assert "rules and" in engine.gateway(data, "check", "-c", "gateway.yaml")
    engine.gateway(data, options=("--detach", "--name", "served"))
    client = Client(port)
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        time.sleep(0.1)
    assert client.get("/+auth/ready").json["status"] == "ready"

    home = tmp_path / "home"
    got = clients.pip(
        *(home, "download", "--no-deps", "-d", str(home)),
        *("-i", f"http://127.0.0.1:{port}/simple/", "hello"),
    )
    assert got.code == 0, got
    assert "alice" in engine(
        *("exec", "served", "index-gateway", "user", "invite", "alice"),
        *("--json", "--anyway", "-c", "gateway.yaml"),
    )
    status = engine("exec", "served", "python3", "-c", "print(open('/proc/1/status').read())")
    for kind in ("CapEff", "CapPrm", "CapBnd"):
        assert re.search(rf"^{kind}:\t0+$", status, re.MULTILINE), status
    assert re.search(r"^Uid:\t10001\t10001", status, re.MULTILINE)
    with pytest.raises(AssertionError, match="Read-only file system"):
        engine("exec", "served", "python3", "-c", "open('/usr/x', 'w')")
    engine("stop", "--time", "20", "served")
    (ended,) = json.loads(engine("container", "inspect", "served"))
    assert ended["State"]["ExitCode"] == 0


def test_uv_installs_it_as_a_tool(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }
    source = tmp_path / "source"
    source.mkdir()
    for name in ("gateway", "config"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    said(Path(sys.executable).with_name("uv"), "tool", "install", source, env=env)
    command = tmp_path / "bin/index-gateway"
    assert "kind: devpi" in said(command, "init", "devpi", "-o", "-")


def test_kubernetes_would_take_the_manifests() -> None:
    kinds = re.findall(r"^kind: (\w+)$", (ROOT / "deploy/kubernetes.yaml").read_text(), re.M)
    assert len(kinds) == 6
    program = ROOT / ".cache/packagers/bin/kubernetes-validate"
    said(program, "--strict", "deploy/kubernetes.yaml")


def test_ansible_reads_the_playbook() -> None:
    program = ROOT / ".cache/packagers/bin/ansible-playbook"
    said(program, "--syntax-check", "-i", "packages.example.org,", "deploy/ansible.yml")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "index-gateway.service"
    text = (ROOT / "deploy/index-gateway.service").read_text()
    unit.write_text(text.replace("/opt/index-gateway/bin/index-gateway", "/usr/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
