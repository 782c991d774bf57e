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

from tests.proxy.thinning import thinned
from tests.proxy.ways import WAYS, taking


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module", autouse=True)
def only_what_a_conversation_leaves() -> Iterator[None]:
    """Each one ends with a collection of garbage, which is to look at its own only: through all
    that other tests have loaded it takes a tenth of a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


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


@pytest.fixture(params=WAYS, ids=str)
def every_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Conversations over each kind of listener and upstream, with splice and without."""
    way = request.param
    if not way.splice:
        monkeypatch.setattr("gateway.proxy.relay.AVAILABLE", False)
        monkeypatch.setattr("gateway.proxy.exchange.AVAILABLE", False)
    with taking(way):
        yield
