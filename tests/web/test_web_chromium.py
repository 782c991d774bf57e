"""The pages in a real browser: keys and passkeys, and every page judged by axe-core."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.core.logins import FlowLimits
from tests.core.world import Person, Phone, World, make_world
from tests.web import chrome
from tests.web.chrome import Authenticators, Watch
from tests.web.conftest import NewBrowser
from tests.web.site import Doorman, Site
from tests.web.tour import Tour, command_line_login


@pytest.fixture
def limits() -> FlowLimits:
    """WebAuthn wants the address that the browser really uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return FlowLimits(public_url=f"http://localhost:{port}", issuer="Example packages")


@pytest.fixture
async def site(tmp_path: Path, limits: FlowLimits) -> AsyncIterator[Site]:
    """The same site as elsewhere, on the port that its public address names."""
    world = make_world(tmp_path, limits)
    made = Site(world, Doorman(), limits.public_url, int(limits.public_url.rpartition(":")[2]))
    runner = await made.start()
    yield made
    await runner.cleanup()
    await world.store.close()


@pytest.fixture
async def browser_program() -> AsyncIterator[Browser]:
    async with chrome.launched() as browser:
        yield browser


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    made = Watch()
    yield made
    assert made.said == []


@pytest.fixture
async def tab(browser_program: Browser, site: Site, watch: Watch) -> Page:
    context = await browser_program.new_context(base_url=site.public)
    context.set_default_timeout(10_000)
    page = await context.new_page()
    watch.on(page)
    return page


@pytest.fixture
def keys(tab: Page) -> Authenticators:
    return Authenticators(tab)


async def press(tab: Page, name: str) -> None:
    await tab.get_by_role("button", name=name, exact=True).click()


async def give_password(tab: Page, user: str) -> None:
    await tab.goto("/+auth/login")
    await tab.get_by_label("User name").fill(user)
    await tab.get_by_label("Password").fill("right")
    await press(tab, "Continue")


async def log_in(tab: Page, person: Person, world: World) -> None:
    await give_password(tab, person.name)
    if "use=" not in tab.url and await tab.get_by_label("One-time code").count() == 0:
        await tab.get_by_role("link", name="Use an authenticator app").click()
    await tab.get_by_label("One-time code").fill(world.code(person))
    await press(tab, "Log in")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


async def log_out(tab: Page) -> None:
    await press(tab, "Log out")
    await expect(tab.get_by_role("heading", name="Log in")).to_be_visible()


async def add_key(tab: Page, name: str) -> None:
    await tab.get_by_role("link", name="Add a key").click()
    await tab.get_by_label("Name for this key").fill(name)
    await press(tab, "Continue")


async def test_an_app_and_two_keys_each_let_in_and_one_is_removed(
    tab: Page, keys: Authenticators, world: World
) -> None:
    await give_password(tab, "bob")
    await tab.get_by_label("Name for this app").fill("Phone")
    await press(tab, "Continue")
    uri = await tab.get_by_role("link", name="Open in an app", include_hidden=True).get_attribute(
        "href"
    )
    assert uri
    person = Person("bob", phone=Phone(uri))
    await tab.get_by_label("Six-digit code").fill(world.code(person))
    await press(tab, "Continue")
    codes = await tab.locator(".codes li").all_inner_texts()
    async with tab.expect_download() as download:
        await tab.get_by_role("link", name="Download as text").click()
    saved = await (await download.value).path()
    assert all(code in saved.read_text() for code in codes)
    await tab.get_by_label("I have saved my recovery codes").check()
    await press(tab, "Finish")

    for name in ("Blue key", "Red key"):
        await keys.plug(name)
        await add_key(tab, name)
        await expect(tab.get_by_text(name, exact=True)).to_be_visible()
        await keys.unplug(name)
    await log_out(tab)

    for name in ("Blue key", "Red key"):
        await keys.plug(name)
        await give_password(tab, "bob")
        button = tab.get_by_role("button", name="Use security key or passkey")
        if await button.count() == 0:  # the app was used last
            await tab.get_by_role("link", name="Use a security key or passkey").click()
        await button.click()
        await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()
        await keys.unplug(name)
        if name == "Blue key":
            await log_out(tab)

    await tab.get_by_role("link", name="Manage Blue key").click()
    await press(tab, "Remove “Blue key”")
    await expect(tab.get_by_text("Red key", exact=True)).to_be_visible()
    await expect(tab.get_by_text("Blue key", exact=True)).to_have_count(0)
    await log_out(tab)

    await keys.plug("Blue key")
    await give_password(tab, "bob")
    await tab.get_by_role("button", name="Use security key or passkey").click()
    await expect(tab.get_by_role("alert")).to_contain_text("No key answered")

    await tab.get_by_role("link", name="Use a recovery code").click()
    await tab.get_by_label("Recovery code").fill(codes[0])
    await press(tab, "Log in")
    await expect(tab.get_by_text("9 codes left")).to_be_visible()


async def test_a_passkey_signs_in_without_a_user_name(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    await log_in(tab, alice, world)
    await keys.plug("Laptop", passkey=True)
    await add_key(tab, "Laptop")
    await expect(tab.get_by_text("passkey", exact=True)).to_be_visible()
    await log_out(tab)
    await tab.goto("/+auth/login?next=/simple/")
    await press(tab, "Sign in with a passkey")
    await expect(tab.get_by_role("link", name="alice")).to_be_visible()
    await expect(tab.get_by_text("signed in without your password")).to_be_visible()
    await tab.get_by_role("link", name="Add an app").click()
    await expect(tab.get_by_role("heading", name="Add an authenticator app")).to_be_visible()


async def test_the_same_key_is_not_added_twice(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    await log_in(tab, alice, world)
    await keys.plug("Blue key")
    await add_key(tab, "Blue key")
    await expect(tab.get_by_text("Blue key", exact=True)).to_be_visible()
    await add_key(tab, "Blue again")
    await expect(tab.get_by_role("alert")).to_contain_text("among your devices already")


async def test_a_name_in_use_is_said_before_the_key_is_asked(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    await log_in(tab, alice, world)
    await keys.plug("Blue key")
    await add_key(tab, "phone")
    await expect(tab.get_by_role("alert")).to_contain_text("device of this name")


async def test_a_remembered_device_is_not_asked_until_it_is_revoked(
    tab: Page, alice: Person, world: World
) -> None:
    await give_password(tab, "alice")
    await tab.get_by_label("Remember this device").check()
    await tab.get_by_label("One-time code").fill(world.code(alice))
    await press(tab, "Log in")
    await log_out(tab)
    await give_password(tab, "alice")
    await tab.get_by_role("button", name="Forget").click()
    await expect(tab.get_by_text("no longer remembered")).to_be_visible()
    await log_out(tab)
    await give_password(tab, "alice")
    await expect(tab.get_by_label("One-time code")).to_be_visible()


async def test_a_change_later_needs_the_key_again(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    await log_in(tab, alice, world)
    await keys.plug("Blue key")
    await add_key(tab, "Blue key")
    await expect(tab.get_by_text("Blue key", exact=True)).to_be_visible()
    world.clock.turn(601)
    await tab.get_by_role("link", name="Add an app").click()
    await expect(tab.get_by_role("heading", name="Confirm it is you")).to_be_visible()
    if await tab.get_by_label("One-time code").count():
        await tab.get_by_role("link", name="Use a security key or passkey").click()
    await press(tab, "Use security key or passkey")
    await expect(tab.get_by_role("heading", name="Add an authenticator app")).to_be_visible()


async def test_a_command_line_login_is_approved(tab: Page, alice: Person, world: World) -> None:
    await log_in(tab, alice, world)
    await tab.goto(await command_line_login(world, "alice"))
    await press(tab, "Approve")
    await expect(tab.get_by_role("heading", name="Login approved")).to_be_visible()


async def test_all_but_keys_works_without_javascript(
    browser_program: Browser, site: Site, world: World
) -> None:
    context = await browser_program.new_context(
        base_url=site.public, java_script_enabled=False, viewport={"width": 320, "height": 640}
    )
    tab = await context.new_page()
    await give_password(tab, "carol")
    await press(tab, "Continue")
    await tab.get_by_text("Can’t scan it?").click()
    uri = await tab.get_by_role("link", name="Open in an app").get_attribute("href")
    assert uri
    person = Person("carol", phone=Phone(uri))
    await tab.get_by_label("Six-digit code").fill(world.code(person))
    await press(tab, "Continue")
    await tab.get_by_label("I have saved my recovery codes").check()
    await press(tab, "Finish")
    await log_out(tab)
    await expect(tab.get_by_text("need JavaScript")).to_be_visible()
    await log_in(tab, person, world)
    await tab.get_by_role("link", name="Manage Authenticator app").click()
    await tab.get_by_role("textbox", name="Name").fill("Phone")
    await press(tab, "Save")
    await expect(tab.get_by_text("new name")).to_be_visible()


async def test_a_login_takes_only_the_keyboard(tab: Page, alice: Person, world: World) -> None:
    await tab.goto("/+auth/login")
    for typed, key in (("alice", "Tab"), ("right", "Enter")):
        await tab.keyboard.type(typed)
        await tab.keyboard.press(key)
    await expect(tab.get_by_label("One-time code")).to_be_focused()
    await tab.keyboard.type(world.code(alice))
    await tab.keyboard.press("Enter")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 320), ("dark", 1280)], ids=["light, narrow", "dark, wide"]
)
async def test_axe_finds_nothing_on_any_page(
    browser_program: Browser,
    new_browser: NewBrowser,
    alice: Person,
    site: Site,
    watch: Watch,
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    pages = await Tour(new_browser(), new_browser(), new_browser(), alice).all()
    context = await browser_program.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce"
    )
    tab = await context.new_page()
    watch.on(tab)
    wrong: dict[str, list[str]] = {}
    for name, page in pages.items():
        if page.headers.get("content-type", "").startswith("text/html"):
            await chrome.show(tab, site.public + "/+auth/", page)
            wrong[name] = await chrome.axe(tab)
    assert len(wrong) >= 30
    assert {name: faults for name, faults in wrong.items() if faults} == {}
