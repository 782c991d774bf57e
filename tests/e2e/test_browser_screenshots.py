"""`make screenshots`: every page in every state, light and dark, narrow and wide, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import aiohttp
import pytest

from gateway.core.login.models import FlowLimits
from tests.core.world import Person, make_world
from tests.web import chrome
from tests.web.site import Browser, Doorman, Site
from tests.web.tour import Tour

SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
WIDTHS = [320, 1280]


@pytest.mark.timeout(600)
async def test_screenshots(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    wanted = request.config.getoption("--screenshots", default=None)
    if not wanted:
        pytest.skip("asked for by --screenshots FOLDER")
    folder = Path(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    limits = FlowLimits(public_url="http://localhost:8080", issuer="Example packages")
    world = make_world(tmp_path, limits)
    site = Site(world, Doorman(), limits.public_url)
    runner = await site.start()
    alice = Person("alice")
    await world.enrol(alice)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        people = Browser(site, http), Browser(site, http), Browser(site, http)
        pages = await Tour(*people, alice).all()
    shown = {name: page for name, page in pages.items() if page.text.startswith("<!doctype")}
    async with chrome.launched() as browser:
        for scheme in SCHEMES:
            for width in WIDTHS:
                context = await browser.new_context(
                    color_scheme=scheme, viewport={"width": width, "height": 700}
                )
                tab = await context.new_page()
                for name, page in shown.items():
                    await chrome.show(tab, f"http://localhost:{site.port}/+auth/", page)
                    path = chrome.picture(folder, name, scheme, width)
                    await tab.screenshot(path=path, full_page=True)
                await context.close()
    await runner.cleanup()
    await world.store.close()
    assert len(list(folder.glob("*.png"))) >= 4 * len(shown)
