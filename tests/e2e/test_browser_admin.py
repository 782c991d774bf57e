"""Administrators' pages in Chromium before a real pypiserver and a real devpi: one way through all
of them, and once more without JavaScript."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Browser, Page, expect

from gateway.cli.demo.indexes import Package
from tests.conftest import PYPISERVER_USERS
from tests.e2e.test_browser_login import set_up_app
from tests.support.gateways import Gateway, running
from tests.support.servers import Index
from tests.web import chrome
from tests.web.chrome import press

LONG = "1h"  # for a step-up, however long a busy machine takes


async def log_in(tab: Page, home: str, user: str, password: str, code: str = "") -> None:
    await tab.goto(f"{home}/+auth/login?next=/%2Bauth/")
    await tab.get_by_label("User name").fill(user)
    await tab.get_by_label("Password", exact=True).fill(password)
    await press(tab, "Continue")
    if code:
        await tab.get_by_label("One-time code").fill(code)
        await press(tab, "Log in")
        await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


async def new_tab(browser: Browser, *, script: bool = True) -> Page:
    context = await browser.new_context(java_script_enabled=script)
    context.set_default_timeout(15_000)
    return await context.new_page()


async def go(tab: Page, name: str) -> None:
    await tab.get_by_role("link", name=name, exact=True).click()


async def test_an_administrator_invites_resets_and_looks(
    chromium: Browser, tmp_path: Path, pypiserver: Index
) -> None:
    with running(
        tmp_path, "pypiserver", pypiserver.url, admins=["alice"], second_factor__step_up=LONG
    ) as gateway:
        root, bob = await new_tab(chromium), await new_tab(chromium)
        alice = gateway.enrol("alice")
        await log_in(root, gateway.url, "alice", PYPISERVER_USERS["alice"], alice.code())
        await go(root, "Administration")
        await expect(root.get_by_text("Everybody who has been here has")).to_be_visible()
        await invited(gateway, root, bob)
        await reset(gateway, root, bob)
        await looked_up(root)
        await bob.goto(f"{gateway.url}/+auth/admin/")
        await expect(bob.get_by_role("heading", name="No such page")).to_be_visible()


async def invited(gateway: Gateway, root: Page, bob: Page) -> None:
    """An invitation is made and used; then nobody is without a second factor."""
    await go(root, "Invite somebody new")
    await root.get_by_label("User name").fill("bob")
    await press(root, "Make the invitation")
    await expect(root.get_by_role("heading", name="Invitation for bob")).to_be_visible()
    link = await root.locator("[data-codes]").inner_text()
    await go(root, "People")
    await expect(root.get_by_text("1 person is protected by the password alone")).to_be_visible()
    await bob.goto(link)
    await bob.get_by_label("User name").fill("bob")
    await bob.get_by_label("Password", exact=True).fill(PYPISERVER_USERS["bob"])
    await press(bob, "Continue")
    await set_up_app(bob)
    await bob.goto(f"{gateway.url}/+auth/")
    await expect(bob.get_by_role("heading", name="Security", exact=True)).to_be_visible()
    await expect(bob.get_by_role("link", name="Administration")).to_have_count(0)


async def reset(gateway: Gateway, root: Page, bob: Page) -> None:
    """The factors go by the keyboard alone; whoever had them is out."""
    await root.goto(f"{gateway.url}/+auth/admin/")
    await root.get_by_label("Beginning of a name").fill("bo")
    await press(root, "Search")
    await go(root, "bob")
    await go(root, "Reset second factors")
    await expect(root.get_by_role("heading", name="Reset second factors: bob")).to_be_visible()
    await expect(root.get_by_label("Reason")).to_be_focused()
    await root.keyboard.type("lost phone <b>")
    await root.keyboard.press("Enter")
    await expect(root.get_by_text("The second factors are removed")).to_be_visible()
    await bob.reload()
    await expect(bob).to_have_url(f"{gateway.url}/+auth/login?next=/%2Bauth/")
    await go(root, "I have it")
    await expect(root.get_by_text("needs an invitation")).to_be_visible()


async def looked_up(root: Page) -> None:
    """It stands in the trail with the name; the trail comes as a file, and as bars."""
    await go(root, "Audit trail")
    await root.get_by_label("User name").fill("bob")
    await root.get_by_label("Event").select_option("reset")
    await press(root, "Show")
    await expect(root.get_by_text("by alice: lost phone <b>")).to_be_visible()
    async with root.expect_download() as download:
        await go(root, "CSV")
    saved = Path(await (await download.value).path()).read_text()
    assert "by alice: lost phone <b>" in saved
    assert len(saved.splitlines()) == 2
    await go(root, "Last 30 days")
    chart = root.get_by_role("img", name="Logins: 2")
    await expect(chart.locator("rect")).to_have_count(1)
    assert await chrome.axe(root) == []
    await root.get_by_text("As a table").click()
    await expect(root.get_by_role("columnheader", name="Refusals")).to_be_visible()


async def test_everything_works_without_javascript_before_devpi(
    chromium: Browser, tmp_path: Path, devpi_server: Index
) -> None:
    users = {name: devpi_server.person(name, Package("hello", "1.0")) for name in ("boss", "kim")}
    with running(
        tmp_path, "devpi", devpi_server.url, admins="boss", second_factor__step_up=LONG
    ) as gateway:
        root, kim = [await new_tab(chromium, script=False) for _ in range(2)]
        for tab, user in ((root, "boss"), (kim, "kim")):
            await log_in(tab, gateway.url, user, users[user], gateway.enrol(user).code())
        await go(root, "Administration")
        await go(root, "Everybody")
        await go(root, "kim")
        await go(root, "Log out everywhere")
        await root.get_by_label("Reason").fill("left on a train")
        await press(root, "Log out everywhere")
        await expect(root.get_by_text("Logged out everywhere.", exact=True)).to_be_visible()
        await expect(root.get_by_text("Logged out everywhere by the")).to_be_visible()
        await kim.reload()
        await expect(kim).to_have_url(f"{gateway.url}/+auth/login?next=/%2Bauth/")
        await go(root, "All of it")
        await expect(root.get_by_text("by boss: left on a train")).to_be_visible()
        await root.goto(f"{gateway.url}/+auth/admin/person?user=boss")
        await expect(root.get_by_text("This is you.")).to_be_visible()
