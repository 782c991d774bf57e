from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import aiohttp
import pytest

from gateway.core.login.models import FlowLimits
from tests.core.world import Person, World, make_world
from tests.web.site import Browser, Doorman, Site

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
    made = Site(world, Doorman(), limits.public_url)
    runner = await made.start()
    yield made
    await runner.cleanup()
    await world.store.close()


@pytest.fixture
async def new_browser(site: Site) -> AsyncIterator[NewBrowser]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        )
        yield lambda: Browser(site, http)


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
