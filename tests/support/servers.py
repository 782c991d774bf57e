"""Servers that tests put behind or beside the gateway, each on a free loopback port."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.cli.demo import indexes
from gateway.cli.demo.indexes import Package, write
from gateway.cli.demo.processes import Child, Children
from tests.support import uploads
from tests.support.http import Client
from tests.support.ports import free_port

ROOT = Path(__file__).parent.parent.parent
ROOT_PASSWORD = "root password"
FEWEST_ROUNDS = 1000
"""Of SHA-crypt, for the reason of `QUICK_PASSWORDS`."""

# devpi keeps passwords by argon2: 64 MiB and a tenth of a second of processor time for each look.
# The tests look thousands of times, and none of them is about that hash.
QUICK_PASSWORDS = """
import sys
import devpi_server.auth
from passlib.context import CryptContext
devpi_server.auth.pwd_context = CryptContext(
    ["argon2"], argon2__time_cost=1, argon2__memory_cost=8, argon2__parallelism=1
)
"""
INIT = f"""{QUICK_PASSWORDS}
from devpi_server.init import init
sys.argv[0] = "devpi-init"
sys.exit(init())
"""
SERVER = f"""{QUICK_PASSWORDS}
from devpi_server.main import main
sys.argv[0] = "devpi-server"
main()
"""
# devpi-server without some of its plugins, as a deployment that never installed them.
WITHOUT_PLUGINS = f"""
import sys, pluggy
class Manager(pluggy.PluginManager):
    def load_setuptools_entrypoints(self, group, name=None):
        for plugin in sys.argv.pop(1).split(","):
            self.set_blocked(plugin)
        return super().load_setuptools_entrypoints(group, name)
import devpi_server.config
devpi_server.config.PluginManager = Manager
{SERVER}"""


@dataclass(frozen=True)
class Index:
    """A running index server and what it holds."""

    kind: str
    port: int
    place: Path
    child: Child

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def root(self) -> indexes.DevpiServer:
        """devpi's administrator."""
        return indexes.DevpiServer(self.port, "root", ROOT_PASSWORD)

    def person(self, name: str, *projects: Package) -> str:
        """A new devpi user with an index `NAME/dev` and perhaps projects in it; the password."""
        password = f"password of {name}"
        self.root().add_user(name, password, email=f"{name}@example.org")
        indexes.DevpiServer(self.port, name, password).add_index(f"{name}/dev")
        if projects:
            self.upload(name, password, projects)
        return password

    def upload(self, name: str, password: str, projects: Iterable[Package]) -> None:
        """Wheel and sdist of each, with the fields that twine sends."""
        for project in projects:
            fields = {
                ":action": "file_upload",
                "protocol_version": "1",
                "metadata_version": "2.1",
                "name": project.name,
                "version": project.version,
                "summary": project.summary,
            }
            for path in write(self.place / name, project):
                wheel = path.suffix == ".whl"
                kind = {
                    "filetype": "bdist_wheel" if wheel else "sdist",
                    "pyversion": "py3" if wheel else "source",
                    "sha256_digest": sha256(path.read_bytes()).hexdigest(),
                }
                content = path.name, path.read_bytes()
                uploads.post(self.port, f"/{name}/dev/", (name, password), fields | kind, content)

    def holds(self, user: str) -> object:
        """What devpi knows of a user: account, indexes, projects, tokens aside."""

        def told(path: str) -> dict[str, object]:
            answer = Client(self.port).get(path, fields={"Accept": "application/json"})
            found: dict[str, object] = answer.json["result"]
            return found

        account = told(f"/{user}")
        indexes = account["indexes"]
        assert isinstance(indexes, dict)
        return account, [told(f"/{user}/{name}") for name in sorted(indexes)]


class DevpiMaker:
    """devpi servers from one initialised directory (initialising takes seconds)."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._template = place / "template"
        indexes.init_devpi(self._template, ROOT_PASSWORD, program=(sys.executable, "-c", INIT))

    def start(self, children: Children, name: str, *, without: tuple[str, ...] = ()) -> Index:
        place = self._place / name
        shutil.copytree(self._template, place / "server")
        port, log = free_port(), place / "log"
        argv = [sys.executable, "-c", SERVER]
        if without:
            argv = [sys.executable, "-c", WITHOUT_PLUGINS, ",".join(without)]
        argv += indexes.devpi_options(port, place / "server")
        if not without:
            argv += ["--keep-docs-packed", "--theme", str(indexes.theme())]
        child = children.start("devpi-server", argv, log)
        child.ready(port, "/+api")
        return Index("devpi", port, place, child)


def start_pypiserver(
    children: Children, place: Path, users: dict[str, str], *, protected: str = "update"
) -> Index:
    """pypiserver with users and two packages, `hello` and `world`, each as wheel and sdist."""
    packages = place / "packages"
    for name in ("hello", "world"):
        write(packages, Package(name, "1.0"))
    indexes.write_htpasswd(place / "htpasswd", users, rounds=FEWEST_ROUNDS)
    port = free_port()
    child = indexes.start_pypiserver(
        children, port, packages, place / "htpasswd", place / "log", protected=protected
    )
    return Index("pypiserver", port, place, child)


def program(*names: str) -> str:
    """The path of the first of several programs that is there: the system's, or the one that
    `make test` put into .cache."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=ROOT / ".cache/bin")
        if found:
            return found
    raise AssertionError(f"no {names[0]}: tools/test-servers brings it, or says how to get it")


def start_redis(children: Children, place: Path, *options: str) -> int:
    """A Redis server that keeps what it acknowledges; its port."""
    place.mkdir(parents=True, exist_ok=True)
    port = free_port()
    argv = [
        program("redis-server"),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(place),
    ]
    argv += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", *options]
    child = children.start("redis-server", argv, place / "log")
    wait_for(port, child)
    return port


def wait_for(port: int, child: Child, within: float = 60) -> None:
    """Wait until something accepts connections on a loopback port."""
    end = time.monotonic() + within
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert child.process.poll() is None, child.tail()
            assert time.monotonic() < end, f"{child.name} does not listen"
            time.sleep(0.02)
        else:
            return
