"""One gateway before each real index, shared by the tests of a process; people are per test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from gateway.cli.demo.indexes import Package
from tests.support.clients import DevpiClient
from tests.support.codes import Authenticator
from tests.support.gateways import Gateway, running
from tests.support.names import unused
from tests.support.servers import Index


@pytest.fixture(scope="session")
def before_devpi(
    tmp_path_factory: pytest.TempPathFactory, devpi_server: Index
) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), "devpi", devpi_server.url) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def before_pypiserver(
    tmp_path_factory: pytest.TempPathFactory, pypiserver: Index
) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), "pypiserver", pypiserver.url) as gateway:
        yield gateway


@dataclass(frozen=True)
class Person:
    """A devpi user with an index `NAME/dev`, a phone and an own devpi-client."""

    name: str
    password: str
    phone: Authenticator
    devpi: DevpiClient
    place: Path

    @property
    def index(self) -> str:
        return f"{self.name}/dev"

    def with_code(self) -> str:
        return f"{self.password},{self.phone.code()}"


NewPerson: TypeAlias = Callable[..., Person]


@pytest.fixture(scope="session")
def person(
    devpi_server: Index, before_devpi: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> NewPerson:
    """Make somebody new at devpi: `person("alice", HELLO)`, enrolled unless told otherwise."""

    def new(name: str, *projects: Package, enrolled: bool = True) -> Person:
        full = unused(name)
        place = tmp_path_factory.mktemp(full)
        password = devpi_server.person(full, *projects)
        phone = before_devpi.enrol(full) if enrolled else Authenticator("")
        return Person(full, password, phone, DevpiClient(place / "home"), place)

    return new


@pytest_asyncio.fixture(loop_scope="session")
async def tab(chromium: Browser) -> Page:
    context = await chromium.new_context()
    context.set_default_timeout(15_000)
    return await context.new_page()
