"""`make screenshots`: every page in every state, light and dark, narrow and wide, to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from tests.web import chrome
from tests.web.site import Browser, Page

SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
WIDTHS = [320, 1280]


@pytest.mark.timeout(600)
async def test_screenshots(
    request: pytest.FixtureRequest, pages: Mapping[str, Page], browser: Browser
) -> None:
    wanted = request.config.getoption("--screenshots", default=None)
    if not wanted:
        pytest.skip("asked for by --screenshots FOLDER")
    folder = Path(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    address = str(browser.http.make_url("/+auth/"))
    shown = {name: page for name, page in pages.items() if page.text.startswith("<!doctype")}
    async with chrome.launched() as program:
        for scheme in SCHEMES:
            for width in WIDTHS:
                context = await program.new_context(
                    color_scheme=scheme, viewport={"width": width, "height": 700}
                )
                tab = await context.new_page()
                for name, page in shown.items():
                    await chrome.show(tab, address, page)
                    path = chrome.picture(folder, name, scheme, width)
                    await tab.screenshot(path=path, full_page=True)
                await context.close()
    assert len(list(folder.glob("*.png"))) >= 4 * len(shown)
