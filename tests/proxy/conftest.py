"""Every test of the forwarder runs on both event loops: uvloop and asyncio's own.

Of the product with the ways only so much as finds bugs (`thinning.py`), all of it with `--long`.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from gateway.proxy.http1.response import read_answer, sized
from tests.proxy.http1.readers import forget_shapes
from tests.proxy.thinning import thinned
from tests.proxy.ways import WAYS, taking


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """Each conversation ends with a collection of garbage, which is to look at its own only."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long") or any("[" in argument for argument in config.args):
        return
    here = Path(__file__).parent
    tests: dict[tuple[Path, str], list[pytest.Function]] = {}
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and hasattr(item, "callspec")
            and here in item.path.parents
        ):
            tests.setdefault((item.path, item.originalname), []).append(item)
    dropped: set[pytest.Item] = set()
    for runs in tests.values():
        enough = {runs[place] for place in thinned([run.callspec.params for run in runs])}
        dropped |= set(runs) - enough
    if dropped:
        config.hook.pytest_deselected(items=list(dropped))
        items[:] = [item for item in items if item not in dropped]


USUAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@pytest.fixture(autouse=True)
def seen_before(request: pytest.FixtureRequest) -> None:
    """On asyncio's loop every head is the first; on uvloop a usual answer has come often."""
    forget_shapes()
    if "uvloop" in request.node.name:
        for _ in range(40):
            read_answer(USUAL, len(USUAL))
        assert sized(USUAL, len(USUAL)) == (len(USUAL), 2)


@pytest.fixture(params=WAYS, ids=str)
def every_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Conversations over each kind of listener and upstream, with splice and without."""
    way = request.param
    if not way.splice:
        monkeypatch.setattr("gateway.proxy.relay.AVAILABLE", False)
        monkeypatch.setattr("gateway.proxy.exchange.AVAILABLE", False)
    with taking(way):
        yield
