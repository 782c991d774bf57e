"""Headless Chromium: real keys are stood for by its virtual authenticators (WebDriver BiDi's
older sister, the DevTools protocol), pages are judged by axe-core."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Route, async_playwright

from tests.support.servers import ROOT, program
from tests.web.site import Page as Answer

AXE = ROOT / "node_modules/axe-core/axe.min.js"
SWITCHES = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def launched(*, whole: bool = False) -> AsyncIterator[Browser]:
    """The headless shell, which has all that is tested and takes half the time of the whole
    browser, whose windows nobody sees. Where one of them is not there, the other."""
    names = ("chromium-headless-shell", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program(*(reversed(names) if whole else names)), args=SWITCHES
        )
        yield browser
        await browser.close()


@dataclass
class Authenticators:
    """The security keys at a page. Each is "plugged in" while it is in use."""

    page: Page
    session: Any = None
    plugged: dict[str, str] = field(default_factory=dict)
    kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    async def _send(self, command: str, **values: Any) -> Any:
        if self.session is None:
            self.session = await self.page.context.new_cdp_session(self.page)
            await self.session.send("WebAuthn.enable")
        return await self.session.send(f"WebAuthn.{command}", values)

    async def plug(self, name: str, *, passkey: bool = False, touched: bool = True) -> None:
        """Have a key at hand; one that was there before still knows its credentials."""
        options = {
            "protocol": "ctap2",
            "transport": "internal" if passkey else "usb",
            "hasResidentKey": passkey,
            "hasUserVerification": passkey,
            "isUserVerified": passkey,
            "automaticPresenceSimulation": touched,
        }
        made = await self._send("addVirtualAuthenticator", options=options)
        self.plugged[name] = made["authenticatorId"]
        for credential in self.kept.get(name, []):
            await self._send(
                "addCredential", authenticatorId=self.plugged[name], credential=credential
            )

    async def unplug(self, name: str) -> None:
        own = self.plugged.pop(name)
        found = await self._send("getCredentials", authenticatorId=own)
        self.kept[name] = found["credentials"]
        await self._send("removeVirtualAuthenticator", authenticatorId=own)


@dataclass
class Watch:
    """What a page complained about: errors of scripts and breaches of the policy."""

    said: list[str] = field(default_factory=list)

    def on(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        # Chromium reports every refusal's status as an error; those are meant.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.said.append(message.text)


async def axe(page: Page) -> list[str]:
    """What axe-core finds serious or critical; also what does not fit into the width."""
    if await page.evaluate("typeof axe") == "undefined":
        await page.evaluate(AXE.read_text("utf-8") + ";0")
    found = await page.evaluate(
        """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
            .map((v) => `${v.impact}: ${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`)"""
    )
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [*found, *([f"{wide} pixels too wide"] if wide > 0 else [])]


async def unclear(page: Page) -> list[str]:
    """What is too wide with text twice as large, and what shows no focus; forced colours too."""
    await page.evaluate("document.documentElement.style.fontSize = '200%'")
    await page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    unseen: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("a, button, summary, input:not([type=hidden])")]
            .filter((e) => e.getClientRects().length)
            .filter((e) => {
                e.focus();
                const style = getComputedStyle(e);
                const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                return document.activeElement !== e || !seen;
            })
            .map((e) => "no focus: " + e.outerHTML)"""
    )
    return [*unseen, *([f"{wide} pixels too wide"] if wide > 0 else [])]


async def show(tab: Page, address: str, page: Answer) -> None:
    """Open an answer got before as if the browser had asked for it now."""
    headers = {name: value for name, value in page.headers.items() if name != "Content-Length"}

    async def answer(route: Route) -> None:
        if route.request.resource_type == "document":
            await route.fulfill(status=page.status, headers=headers, body=page.text)
        else:
            await route.continue_()

    await tab.unroute_all()
    await tab.route("**/*", answer)
    await tab.goto(address)


def picture(folder: Path, name: str, scheme: str, width: int) -> Path:
    return folder / f"{name.replace(' ', '-')}-{scheme}-{width}.png"


async def press(tab: Page, name: str) -> None:
    await tab.get_by_role("button", name=name, exact=True).click()
