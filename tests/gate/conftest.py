"""Gateways in this process, before the real servers of the shared fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from gateway.app import wiring
from gateway.core.clock import Clock
from gateway.stores import open_store
from tests.gate.counting import Count, Counting
from tests.gate.served import Served
from tests.support import servers
from tests.support.names import unused
from tests.support.waiting import PATIENCE

Serve: TypeAlias = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a gateway before an index; keyword arguments are keys, "." written as "__"."""
    monkeypatch.setattr("gateway.stores.redis.store.PATIENCE", PATIENCE)  # for a busy machine
    started: list[Served] = []

    def start(kind: str, upstream: str, **changes: Any) -> Served:
        place = tmp_path / str(len(started))
        place.mkdir()
        keys = {name.replace("__", "."): value for name, value in changes.items()}
        served = Served(place, kind, upstream, keys)
        started.append(served)
        return served.start()

    yield start
    for served in started:
        served.stop()


@pytest.fixture
def devpi(serve: Serve, devpi_server: servers.Index) -> Served:
    """A gateway with the shipped configuration before devpi with all its plugins."""
    return serve("devpi", devpi_server.url)


@pytest.fixture
def simple(serve: Serve, pypiserver: servers.Index) -> Served:
    """The same before pypiserver; its users are alice, bob, carol and dave."""
    served = serve("pypiserver", pypiserver.url)
    served.enrol("alice", "bob")
    return served


@pytest.fixture
def person(devpi: Served, devpi_server: servers.Index) -> Callable[[], tuple[str, str]]:
    """Make a devpi user who is enrolled at the gateway: name and password."""

    def make() -> tuple[str, str]:
        name = unused("user")
        password = devpi_server.person(name)
        devpi.enrol(name)
        return name, password

    return make


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    opened: list[Counting] = []

    async def counting(url: str, clock: Clock) -> Counting:
        opened.append(Counting(await open_store(url, clock)))
        return opened[-1]

    monkeypatch.setattr(wiring, "open_store", counting)

    def of(served: Served) -> Counting:
        (store,) = (one for one in opened if one is served.running.store)
        store.taken()
        return store

    return of
