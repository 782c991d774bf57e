"""A few whole requests through a running gateway to real servers; many with `make fuzz`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from gateway.cli.demo.processes import Children
from tests.fuzz.devpi_site import DevpiSite
from tests.fuzz.live import Live, LiveDevpi, LivePypiserver, Site
from tests.fuzz.pypiserver_site import PypiserverSite
from tests.fuzz.targets import corpus
from tests.support import gateways
from tests.support.servers import DevpiMaker, Index
from tests.support.wsgi_servers import start_pypiserver_on

SEED = 20
INPUTS = 3  # of six requests each
WITHOUT_PLUGINS = ("devpi-lockdown", "devpi-web", "devpi-tokens")
_numbers = itertools.count()
StartIndex = Callable[[], Index]


def devpi_full(maker: DevpiMaker, children: Children, place: Path) -> Index:
    return maker.start(children, f"fuzz{next(_numbers)}")


def devpi_plain(maker: DevpiMaker, children: Children, place: Path) -> Index:
    return maker.start(children, f"fuzz{next(_numbers)}", without=WITHOUT_PLUGINS)


def wsgiref(maker: DevpiMaker, children: Children, place: Path) -> Index:
    return start_pypiserver_on("wsgiref", children, place / f"index{next(_numbers)}")


def gunicorn(maker: DevpiMaker, children: Children, place: Path) -> Index:
    return start_pypiserver_on("gunicorn", children, place / f"index{next(_numbers)}")


def live(index: Index, gateway: gateways.Gateway | None) -> Live:
    """One index; gateway: None to leave it open to everybody."""
    sites: dict[str, Site]
    if index.kind == "devpi":
        sites = {"one": DevpiSite(index, gateway)}
        return LiveDevpi(sites)
    sites = {"one": PypiserverSite(index, gateway)}
    return LivePypiserver(sites)


LONG = pytest.mark.long
INDEXES = [
    devpi_full,
    pytest.param(devpi_plain, marks=LONG),
    wsgiref,
    pytest.param(gunicorn, marks=LONG),
]


@pytest.fixture(scope="module", params=INDEXES, ids=lambda each: each.__name__)
def index(
    request: pytest.FixtureRequest,
    devpi_maker: DevpiMaker,
    children: Children,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Index]:
    started: Index = request.param(devpi_maker, children, tmp_path_factory.mktemp("live"))
    yield started
    started.child.stop()


def test_the_password_alone_changes_nothing(index: Index, tmp_path: Path) -> None:
    random = Random(SEED)
    with gateways.running(tmp_path / "gateway", index.kind, index.url) as gateway:
        target = live(index, gateway)
        for data in corpus(target.name):
            target.check(data)
        for _ in range(INPUTS):
            target.check(target.example(random))
    assert target.share.tried >= 6 * INPUTS
    assert target.share.rate > 0.4, str(target.share)
    _without_the_gateway_it_would(index, target)


def _without_the_gateway_it_would(index: Index, target: Live) -> None:
    """The same kind of requests, straight to the index: something changes soon."""
    random = Random(SEED)
    target.patience = 0.5
    for site in target.sites.values():
        site.port = index.port
    for _ in range(20 * INPUTS):
        try:
            target.check(target.example(random))
        except AssertionError as exc:
            if not str(exc).startswith("no answer"):
                return
    raise AssertionError("nothing would have been found")
