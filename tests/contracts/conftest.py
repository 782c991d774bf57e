"""Real servers for the store contract: Redis alone, under Sentinel, and as a Cluster."""

from __future__ import annotations

import contextlib
import functools
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.core.store import Store
from gateway.stores import open_store
from tests.support.ports import free_port
from tests.support.servers import program

_LOCAL = ("--bind", "127.0.0.1", "--daemonize", "no")


class Server:
    """One redis-server (or sentinel) process in a directory of its own."""

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program("redis-server"), *self.options, "--port", str(self.port), *_LOCAL],
                cwd=self.directory,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: not (self.command("PING") or "-LOADING").startswith("-LOADING"))

    def command(self, *words: str) -> str | None:
        return self.ask(self.port, *words)

    @staticmethod
    def ask(port: int, *words: str) -> str | None:
        """The start of the raw answer to one command; None when nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
                connection.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
                return connection.recv(65536).decode()
        except OSError:
            return None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def wait_for(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("a server did not come up")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"), "--save", "", "--appendonly", "no")
    server.start()
    yield server
    server.kill()


@dataclass(frozen=True)
class Group:
    """A primary with one replica, watched by one Sentinel."""

    url: str
    primary: Server
    replica: Server


@contextlib.contextmanager
def sentinel_group(base: Path) -> Iterator[Group]:
    quiet = ("--save", "", "--appendonly", "no")
    primary = Server(base / "primary", *quiet)
    primary.start()
    replica = Server(base / "replica", *quiet, "--replicaof", f"127.0.0.1 {primary.port}")
    replica.start()
    (base / "watch").mkdir()
    (base / "watch" / "sentinel.conf").write_text(
        f"sentinel monitor index 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds index 1000\n"
        "sentinel failover-timeout index 3000\n"
    )
    watch = Server(base / "watch", "sentinel.conf", "--sentinel")
    watch.start()
    wait_for(lambda: "master_link_status:up" in (replica.command("INFO", "replication") or ""))
    wait_for(lambda: "slave0" in (primary.command("INFO", "replication") or ""))
    wait_for(lambda: "*0" not in (watch.command("SENTINEL", "replicas", "index") or "*0"))
    yield Group(f"redis+sentinel://127.0.0.1:{watch.port}/index", primary, replica)
    for server in (watch, replica, primary):
        server.kill()


@pytest.fixture(scope="session")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The store address of a group that nobody disturbs."""
    with sentinel_group(tmp_path_factory.mktemp("sentinel")) as group:
        yield group.url


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The store address of three primaries that share the slots."""
    base = tmp_path_factory.mktemp("cluster")
    nodes = []
    for number in range(3):
        port, bus = free_port(), free_port()
        node = Server(
            base / str(number),
            *("--save", "", "--appendonly", "no", "--cluster-enabled", "yes"),
            *("--cluster-port", str(bus), "--cluster-node-timeout", "3000"),
            port=port,
        )
        node.start()
        nodes.append((node, bus))
    bounds = (0, 5461, 10923, 16384)
    for number, (node, _) in enumerate(nodes):
        node.command("CLUSTER", "ADDSLOTSRANGE", str(bounds[number]), str(bounds[number + 1] - 1))
        node.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    first = nodes[0][0]
    for node, bus in nodes[1:]:
        first.command("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(bus))
    for node, _ in nodes:
        wait_for(functools.partial(_joined, node))
    yield "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node, _ in nodes)
    for node, _ in nodes:
        node.kill()


def _joined(node: Server) -> bool:
    info = node.command("CLUSTER", "INFO") or ""
    return "cluster_state:ok" in info and "cluster_known_nodes:3" in info


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


BACKENDS = ("sqlite", "redis", "sentinel", "cluster")


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, once for every backend."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'state.db'}"
    if request.param == "redis":
        server: Server = request.getfixturevalue("redis_server")
        server.command("FLUSHALL")
        return f"redis://127.0.0.1:{server.port}/0"
    url: str = request.getfixturevalue(request.param)
    ports = [int(place.rpartition(":")[2]) for place in url.split("//")[1].split("/")[0].split(",")]
    if request.param == "sentinel":
        answer = Server.ask(ports[0], "SENTINEL", "get-master-addr-by-name", "index") or ""
        ports = [int(answer.split("\r\n")[4])]
    for port in ports:
        Server.ask(port, "FLUSHALL")
    return url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(
    store_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    monkeypatch.setattr("gateway.stores.redis.store.PATIENCE", 60.0)  # for a busy machine
    opened = await open_store(store_url, clock)
    yield opened
    await opened.close()
