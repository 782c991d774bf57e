from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import aiohttp
import pytest
from pytest_aiohttp import AiohttpClient, AiohttpRawServer

from gateway.core.login.models import FlowLimits
from tests.core.world import Person, World, make_world
from tests.web.site import Browser, Connect, Doorman, Http, Page, Site
from tests.web.tour import Tour

NewBrowser: TypeAlias = Callable[[], Browser]
PUBLIC = "http://localhost:8080"


@pytest.fixture
def limits(request: pytest.FixtureRequest) -> FlowLimits:
    """`@pytest.mark.parametrize("limits", [dict(...)], indirect=True)` changes single ones."""
    changes = getattr(request, "param", {})
    return replace(FlowLimits(public_url=PUBLIC, issuer="Example packages"), **changes)


@pytest.fixture
async def site(tmp_path: Path, limits: FlowLimits) -> AsyncIterator[Site]:
    world = make_world(tmp_path, limits)
    yield Site(world, Doorman(), limits.public_url)
    await world.store.close()


@pytest.fixture
async def connect(aiohttp_raw_server: AiohttpRawServer, aiohttp_client: AiohttpClient) -> Connect:
    """Serve the pages of a site on loopback; what reaches them, and keeps no cookies itself."""

    async def start(site: Site) -> Http:
        server = await aiohttp_raw_server(site.handler(), debug=False)
        return await aiohttp_client(server, cookie_jar=aiohttp.DummyCookieJar())

    return start


@pytest.fixture
async def new_browser(site: Site, connect: Connect) -> NewBrowser:
    http = await connect(site)
    return lambda: Browser(site, http)


@pytest.fixture
def browser(new_browser: NewBrowser) -> Browser:
    return new_browser()


@pytest.fixture
def world(site: Site) -> World:
    return site.world


@pytest.fixture
async def alice(world: World) -> Person:
    """Has a phone and recovery codes; is logged in nowhere that matters."""
    person = Person("alice")
    await world.enrol(person)
    return person


@pytest.fixture
async def pages(new_browser: NewBrowser, alice: Person, connect: Connect) -> Mapping[str, Page]:
    """Every page in every state (`Tour`)."""
    return await Tour(new_browser(), new_browser(), new_browser(), alice, connect).all()
