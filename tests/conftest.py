"""Real servers for every test that asks for one: started once for each test process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import hypothesis
import pytest
import pytest_asyncio

from gateway.cli.demo.processes import Children
from gateway.stores.sqlite.store import SqliteStore
from tests.support import gateways, servers, starting
from tests.support.clock import Clock

if TYPE_CHECKING:
    from playwright.async_api import Browser

# How long an example takes tells how busy the machine is. `make test` tries the same examples each
# time, `make test-long` others.
hypothesis.settings.register_profile(
    "random", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "repeated", hypothesis.settings.get_profile("random"), derandomize=True
)
hypothesis.settings.load_profile("repeated")
# Whether something fails is all that is asked where code is broken on purpose.
_SEARCH = (hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate)
hypothesis.settings.register_profile(
    "unshrunk", hypothesis.settings.get_profile("repeated"), phases=_SEARCH
)

StartGateway: TypeAlias = Callable[..., gateways.Gateway]

PYPISERVER_USERS = {name: f"password of {name}" for name in ("alice", "bob", "carol", "dave")}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", metavar="FOLDER", help="where `make screenshots` puts them")
    parser.addoption("--long", action="store_true", help="all that `make test` leaves out")
    parser.addoption("--packages", action="store_true", help="image and deployment, as root")
    parser.addoption("--quick", action="store_true", help="only tests that start no server")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pictures are taken when they are asked for; otherwise there is nothing to skip."""
    if collection_path.name == "test_screenshots.py":
        return config.getoption("--screenshots") is None or None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `long` runs by `make test-long`, what starts no server by `make quick`."""
    for item in items:
        if starting.starts(item):
            item.add_marker("server")
        if _shows_pages(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
    left_out = [
        item
        for item in items
        if (item.get_closest_marker("long") and not config.getoption("--long"))
        or (item.get_closest_marker("packages") and not config.getoption("--packages"))
        or (item.get_closest_marker("server") and config.getoption("--quick"))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        dropped = set(left_out)
        items[:] = [item for item in items if item not in dropped]
    _longest_first(items)


def _longest_first(items: list[pytest.Item]) -> None:
    """Whole files in the order in which they begin: clients and browsers, other servers, the rest.

    A file stays with one process, so one that takes a minute must not be the last to begin.
    """
    slow = {item.path for item in items if item.get_closest_marker("server")}
    slowest = {item.path for item in items if _shows_pages(item) or item.path.parent.name == "e2e"}
    items.sort(key=lambda item: (item.path not in slow, item.path not in slowest))


def _shows_pages(item: pytest.Item) -> bool:
    return "chromium_process" in getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    if item.get_closest_marker("server"):
        return (yield)
    with starting.nothing_starts():
        return (yield)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    """Where a test has no other, in a file of its own."""
    opened = SqliteStore(tmp_path / "state.db", clock)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    """What is started here is stopped when the tests are over."""
    with Children() as started:
        yield started


@pytest.fixture(scope="session")
def devpi_maker(tmp_path_factory: pytest.TempPathFactory) -> servers.DevpiMaker:
    return servers.DevpiMaker(tmp_path_factory.mktemp("devpi"))


@pytest.fixture(scope="session")
def devpi_server(devpi_maker: servers.DevpiMaker, children: Children) -> servers.Index:
    """devpi-server with devpi-web, devpi-lockdown and devpi-tokens."""
    return devpi_maker.start(children, "full")


@pytest.fixture(scope="session")
def devpi_plain(devpi_maker: servers.DevpiMaker, children: Children) -> servers.Index:
    """devpi-server with no plugin: no pages, no form to log in with."""
    without = ("devpi-lockdown", "devpi-web", "devpi-tokens")
    return devpi_maker.start(children, "plain", without=without)


@pytest.fixture(scope="session")
def pypiserver(tmp_path_factory: pytest.TempPathFactory, children: Children) -> servers.Index:
    """pypiserver with the users of `PYPISERVER_USERS` and two packages."""
    return servers.start_pypiserver(
        children, tmp_path_factory.mktemp("pypiserver"), PYPISERVER_USERS
    )


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory, children: Children) -> int:
    """A Redis server of our own; tests use databases or keys that do not meet."""
    return servers.start_redis(children, tmp_path_factory.mktemp("redis"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium_process(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    """Chromium, in the one event loop that all tests with pages run in.

    What awaits something for such a test has `@pytest_asyncio.fixture(loop_scope="session")`.
    """
    from tests.web import chrome

    async with chrome.launched(whole=request.config.getoption("--long")) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def chromium(chromium_process: Browser) -> AsyncIterator[Browser]:
    """What a test opens in it is closed with the test."""
    yield chromium_process
    for context in chromium_process.contexts:
        await context.close()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Start gateways for one test: `start_gateway(index, second_factor__enrolment="optional")`."""
    started: list[gateways.Gateway] = []

    def start(index: servers.Index, **more: Any) -> gateways.Gateway:
        place = tmp_path / f"gateway{len(started)}"
        gateway = gateways.configure(place, index.kind, more.pop("upstream", index.url), **more)
        started.append(gateway)
        return gateway.start()

    yield start
    for gateway in started:
        gateway.stop()
