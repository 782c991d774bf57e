"""Every page measured in Chromium: letters and targets on phones, nothing cut or one over another.

WCAG 2.2: 2.5.5 (what is touched, 44 pixels; links within a sentence are left out), 1.4.4 and 1.4.10
(text twice as large).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import DummyCookieJar
from aiohttp.test_utils import RawTestServer, TestClient
from playwright.async_api import Browser

from gateway.core.login.models import FlowLimits
from gateway.languages import NAMES
from tests.core.world import Person, make_world
from tests.support.servers import ROOT
from tests.web.site import Browser as Visitor
from tests.web.site import Doorman, Http, Site
from tests.web.tour import Tour

MEASURE = Path(__file__).with_name("measure.js").read_text("utf-8")
STYLE = (ROOT / "gateway/web/static/style.css").read_text("utf-8")
PUBLIC = "http://localhost:8080"
ALWAYS = ("de",)  # the longest words
WINDOWS = {
    "small phone": (320, 100),
    "phone": (390, 100),
    "phone, large text": (390, 200),
    "desk at 200%": (640, 200),
}
"""Width in pixels, size of text in percent."""


@asynccontextmanager
async def toured(place: Path, language: str) -> AsyncIterator[Mapping[str, str]]:
    """The markup of every page in every state, in one language."""
    world = make_world(place, FlowLimits(public_url=PUBLIC, issuer="Example packages"))
    alice = Person("alice")
    await world.enrol(alice)
    async with AsyncExitStack() as opened:

        async def connect(site: Site) -> Http:
            server = RawTestServer(site.handler())
            await server.start_server(debug=False)
            opened.push_async_callback(server.close)
            client: Http = TestClient(server, cookie_jar=DummyCookieJar())
            return await opened.enter_async_context(client)

        site = Site(world, Doorman(), PUBLIC)
        http = await connect(site)
        nobody, bob, hers = (Visitor(site, http) for _ in range(3))
        for one in (nobody, bob, hers):
            await one.get(f"/+auth/language/{language}")
        pages = await Tour(nobody, bob, hers, alice, connect).all()
        yield {name: page.text for name, page in pages.items() if page.text.startswith("<!doctype")}
    await world.store.close()


@pytest_asyncio.fixture(
    loop_scope="session",
    params=[
        one if one in ALWAYS else pytest.param(one, marks=pytest.mark.long) for one in sorted(NAMES)
    ],
)
async def pages(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mapping[str, str]]:
    async with toured(tmp_path, request.param) as found:
        yield found


async def test_every_page_can_be_read_and_touched(
    chromium: Browser, pages: Mapping[str, str]
) -> None:
    assert len(pages) > 80
    tab = await chromium.new_page()
    wrong = {}
    for window, (width, percent) in WINDOWS.items():
        await tab.set_viewport_size({"width": width, "height": 800})
        large = f"html {{ font-size: {percent}%; }}"
        await tab.set_content(f"<!doctype html><style>{STYLE}{large}</style>")
        for name, found in (await tab.evaluate(MEASURE, dict(pages))).items():
            wrong[f"{name}, {window}"] = found
    assert wrong == {}
