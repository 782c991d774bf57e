"""What goes wrong for people, told and mended: Chromium before a real devpi and pypiserver.

The gateways run in this process, so that their clocks can be turned. What the pages say in each
case is tried without a browser in `tests/web`; here is what only a browser and an index show.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from gateway.core.administration import Admin
from tests.conftest import PYPISERVER_USERS
from tests.gate.served import Served
from tests.gate.test_devpi_evidence import another_second
from tests.support.codes import Authenticator
from tests.support.http import Client
from tests.support.servers import Index
from tests.web.chrome import Authenticators, press

WRONG_CODE = "This one-time code is wrong or was used before."
STEPS = ("/+auth/enrol", "/+auth/enrol/key")


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory, pypiserver: Index) -> Iterator[Served]:
    """Before pypiserver: alice has a phone, the others have nothing yet."""
    place = tmp_path_factory.mktemp("simple")
    served = Served(place, "pypiserver", pypiserver.url, {}).start()
    served.enrol("alice")
    yield served
    served.stop()


@pytest.fixture(scope="module")
def devpi(tmp_path_factory: pytest.TempPathFactory, devpi_server: Index) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("devpi")
    served = Served(place, "devpi", devpi_server.url, {}).start()
    yield served
    served.stop()


async def at(chromium: Browser, served: Served) -> BrowserContext:
    context = await chromium.new_context(base_url=served.url)
    context.set_default_timeout(20_000)
    return context


async def give_password(tab: Page, user: str, password: str, next: str = "") -> None:
    await tab.goto("/+auth/login" + (f"?next={next}" if next else ""))
    await tab.get_by_label("User name").fill(user)
    await tab.get_by_label("Password").fill(password)
    await press(tab, "Continue")


async def give_code(tab: Page, code: str) -> None:
    await tab.get_by_label("One-time code").fill(code)
    await press(tab, "Log in")


async def headed(tab: Page, name: str) -> None:
    await expect(tab.get_by_role("heading", name=name, exact=True)).to_be_visible()


async def shown_codes(tab: Page) -> list[str]:
    await expect(tab.locator(".codes li")).to_have_count(10)
    return await tab.locator(".codes li").all_inner_texts()


async def app_in(tab: Page) -> Authenticator:
    await headed(tab, "Connect your app")
    link = tab.get_by_role("link", name="Open in an app", include_hidden=True)
    return Authenticator.from_uri(await link.get_attribute("href") or "")


async def set_up_app(tab: Page, served: Served) -> None:
    """From the picture of the key on: its code, and the recovery codes said to be saved."""
    phone = await app_in(tab)
    await tab.get_by_label("Six-digit code").fill(phone.at(int(served.clock() // 30)))
    await press(tab, "Continue")
    await tab.get_by_label("I have saved my recovery codes").check()
    await press(tab, "Finish")


# -- logging out, before devpi -------------------------------------------------------------------


def upload(served: Served, index: str, ticket: str) -> int:
    """What an upload gets that carries devpi's own cookie of a browser."""
    form = {":action": "submit", "name": "hello", "version": "1.0"}
    fields = {"Cookie": f"auth_tkt={ticket}"}
    return Client(served.port).post(f"/{index}", form=form, fields=fields).status


async def ticket_of(context: BrowserContext) -> str:
    found = [one for one in await context.cookies() if one.get("name") == "auth_tkt"]
    return str(found[0].get("value")) if found else ""


async def test_logging_out_ends_what_the_login_handed_out(
    chromium: Browser, devpi: Served, devpi_server: Index
) -> None:
    password = devpi_server.person("outs")
    devpi.enrol("outs")
    index = "outs/dev"

    async def logged_in() -> tuple[BrowserContext, Page]:
        context = await at(chromium, devpi)
        tab = await context.new_page()
        await tab.goto(f"/+login?goto_url={devpi.url}/{index}")
        await tab.locator("[name=username]").fill("outs")
        await tab.locator("[name=password]").fill(password)
        await tab.locator("[name=submit]").click()
        await give_code(tab, devpi.code("outs"))
        await expect(tab).to_have_url(f"{devpi.url}/{index}")
        return context, tab

    here, tab = await logged_in()
    kept = await ticket_of(here)
    assert kept
    assert upload(devpi, index, kept) not in (401, 403)
    await tab.goto("/+auth/logout")
    await headed(tab, "Log out?")
    await press(tab, "Log out of this browser")
    await headed(tab, "Log in")
    assert await ticket_of(here) == ""
    assert upload(devpi, index, kept) == 401

    await asyncio.to_thread(another_second)
    _here, tab = await logged_in()
    await asyncio.to_thread(another_second)
    there, other = await logged_in()
    kept = await ticket_of(there)
    await tab.goto("/+auth/")
    await press(tab, "End all others")
    await expect(tab.get_by_text("All other logins have ended")).to_be_visible()
    assert upload(devpi, index, kept) == 401
    await other.goto("/+auth/")
    await headed(other, "Log in")


async def test_a_passkey_alone_is_said_to_be_that(
    chromium: Browser, devpi: Served, devpi_server: Index
) -> None:
    """Not "after the right password": there was none."""
    password = devpi_server.person("passkeys")
    devpi.enrol("passkeys")
    context = await at(chromium, devpi)
    tab = await context.new_page()
    keys = Authenticators(tab)
    devpi.browse_in("passkeys", password)
    await give_password(tab, "passkeys", password)
    await give_code(tab, devpi.code("passkeys"))
    await keys.plug("Laptop", passkey=True)
    await tab.get_by_role("link", name="Add a key").click()
    await tab.get_by_label("Name for this key").fill("Laptop")
    await press(tab, "Continue")
    added = tab.get_by_text("“Laptop” was added. Your other sessions were logged out.")
    await expect(added).to_be_visible()
    await expect(tab.get_by_role("status").get_by_role("listitem")).to_have_count(1)
    await expect(tab.get_by_role("status").get_by_role("listitem")).to_contain_text("127.0.0.1")
    await press(tab, "Log out")  # the passkey that is plugged in logs in at once
    await expect(tab.get_by_text("You used only your passkey.")).to_be_visible()
    await tab.get_by_role("link", name="Log in with your password").click()
    said = "You used only your passkey. To change packages, log in with your password too."
    await expect(tab.get_by_text(said)).to_be_visible()


# -- setting up, before pypiserver ---------------------------------------------------------------


async def test_a_first_set_up_loses_nothing_and_leads_back(
    chromium: Browser, simple: Served
) -> None:
    context = await at(chromium, simple)
    tab = await context.new_page()
    password = PYPISERVER_USERS["carol"]
    for step in STEPS:
        for way in ("Cancel", "Log out"):
            await give_password(tab, "carol", password, "/simple/")
            await tab.goto(step)
            await tab.get_by_role("button", name=way, exact=True).first.click()
            await headed(tab, "Log in")

    await give_password(tab, "carol", password, "/simple/")
    await press(tab, "Continue")
    first = await app_in(tab)
    other = await context.new_page()
    await other.goto("/+auth/enrol")
    await press(other, "Start over with a new QR code")
    phone = await app_in(other)
    await tab.get_by_label("Six-digit code").fill(first.at(int(simple.clock() // 30)))
    await press(tab, "Continue")
    await expect(tab.get_by_role("alert")).to_contain_text("This is another QR code")
    await other.get_by_label("Six-digit code").fill(phone.at(int(simple.clock() // 30)))
    await press(other, "Continue")
    codes = await shown_codes(other)
    for away in (other.reload, other.go_back, other.go_forward):
        await away()
    assert await shown_codes(other) == codes
    await press(other, "Finish")
    await expect(other.get_by_role("alert")).to_contain_text("Nothing says yet")
    for page in (tab, other):
        await page.close()

    tab = await context.new_page()
    await tab.goto("/+auth/login?next=/simple/")
    await expect(tab.get_by_text("A set-up waits in this browser")).to_be_visible()
    await tab.get_by_role("link", name="Go on where you stopped").click()
    await tab.get_by_role("link", name="Go on where you stopped").click()
    assert await shown_codes(tab) == codes
    await tab.get_by_label("I have saved my recovery codes").check()
    await press(tab, "Finish")
    await expect(tab).to_have_url(f"{simple.url}/simple/")

    await tab.goto("/+auth/login")
    await expect(tab.get_by_text("You are logged in as carol")).to_be_visible()
    await tab.goto("/+auth/")
    await headed(tab, "Your account is protected by a second factor")
    await tab.set_viewport_size({"width": 1280, "height": 800})
    assert await tab.evaluate("document.documentElement.scrollHeight") <= 800, "one screen"
    factors = tab.locator("section[aria-labelledby=factors]")
    await factors.get_by_role("link", name="Manage").click()
    await expect(tab.get_by_text("This is your only second factor")).to_be_visible()
    await expect(tab.get_by_role("button", name=re.compile("^Remove"))).to_have_count(0)


# -- mistakes, before pypiserver -----------------------------------------------------------------


async def test_mistakes_are_named_and_never_a_dead_end(chromium: Browser, simple: Served) -> None:
    context = await at(chromium, simple)
    tab = await context.new_page()
    password = PYPISERVER_USERS["alice"]

    # A form that is too old, and one from another tab, keep what was typed and where it led.
    await tab.goto("/+auth/login?next=/simple/")
    simple.offset += 13 * 3600
    await tab.get_by_label("User name").fill("alice")
    await tab.get_by_label("Password").fill(password)
    await press(tab, "Continue")
    await expect(tab.get_by_text("This page was open too long, or you logged in")).to_be_visible()
    await tab.get_by_role("link", name="Start again").click()
    await expect(tab.get_by_label("User name")).to_have_value("alice")
    await tab.get_by_label("Password").fill(password)
    await press(tab, "Continue")
    await headed(tab, "Enter your code")
    simple.offset += 3600
    await give_code(tab, simple.code("alice"))
    await tab.get_by_role("link", name="Log in again").click()
    await expect(tab.get_by_label("User name")).to_have_value("alice")
    await tab.get_by_label("Password").fill(password)
    await press(tab, "Continue")
    other = await context.new_page()
    await give_password(other, "alice", password, "/packages/")
    await give_code(tab, simple.code("alice"))
    await tab.get_by_role("link", name="Start again").click()

    # Wrong answers, the last one warned of; a recovery code is offered and works.
    await give_code(tab, simple.wrong("alice"))
    await expect(tab.get_by_role("alert")).to_contain_text(WRONG_CODE)
    await tab.get_by_role("link", name="Use a recovery code").click()
    await tab.get_by_label("Recovery code").fill("AAAA BBBB CCCC DDDD")
    await press(tab, "Log in")
    await expect(tab.get_by_role("alert")).to_have_text(
        "That recovery code is wrong or already used. Try another one from your list."
    )
    await tab.get_by_role("link", name="Use an authenticator app").click()
    for said in (WRONG_CODE, WRONG_CODE, "After one more wrong code, app codes have to wait"):
        await give_code(tab, simple.wrong("alice"))
        await expect(tab.get_by_label("One-time code")).to_have_value("")
        await expect(tab.get_by_role("alert")).to_contain_text(said)
    await give_code(tab, simple.wrong("alice"))
    await expect(tab.get_by_role("alert")).to_contain_text(
        "App codes work again in 5 minutes. You can use a recovery code or security key now."
    )
    await tab.get_by_label("Recovery code").fill(simple.recovery["alice"][0])
    await press(tab, "Log in")
    await expect(tab).to_have_url(f"{simple.url}/simple/")

    # One's own typo is no attack; a step-up that ran out keeps the name.
    await tab.goto("/+auth/activity?show=alarming")
    await headed(tab, "Activity")
    await expect(tab.get_by_text("Nothing of this kind.")).to_be_visible()
    await tab.goto("/+auth/")
    factors = tab.locator("section[aria-labelledby=factors]")
    await factors.get_by_role("link", name="Manage").click()
    await tab.get_by_role("textbox", name="Name").fill("Old & new")
    simple.offset += 600
    await press(tab, "Save")
    await headed(tab, "Confirm it is you")
    await tab.get_by_label("One-time code").fill(simple.code("alice"))
    await press(tab, "Confirm")
    await expect(tab.get_by_role("textbox", name="Name")).to_have_value("Old & new")
    await press(tab, "Save")
    await expect(tab.get_by_text("The device has its new name.")).to_be_visible()
    await expect(factors).to_contain_text("Last used")

    # Refusals keep the header, and offer another try where it makes sense.
    await tab.goto("/+auth/factor/none")
    await expect(tab.get_by_role("link", name="alice")).to_be_visible()
    await tab.goto(f"{simple.url}//simple/")
    await headed(tab, "Address not accepted")
    await expect(tab.get_by_role("link", name="Back to the index")).to_be_visible()


# -- before a password is typed ------------------------------------------------------------------


async def test_what_cannot_work_is_said_before_a_password_is_typed(
    chromium: Browser, simple: Served, pypiserver: Index, tmp_path: Path
) -> None:
    context = await at(chromium, simple)
    tab = await context.new_page()
    await tab.goto(f"http://127.0.0.1:{simple.port}/+auth/login")
    await headed(tab, "Not the address of this index")
    await tab.get_by_role("link", name="Go there").click()
    await expect(tab).to_have_url(f"{simple.url}/+auth/login")

    admin = Admin(simple.running.parts.flow.services)
    invited = await asyncio.to_thread(simple.run, admin.invite("dave"))
    await tab.goto(invited.link)
    await tab.get_by_label("User name").fill("dave")
    await tab.get_by_label("Password").fill(PYPISERVER_USERS["dave"])
    await press(tab, "Continue")
    await press(tab, "Continue")
    await set_up_app(tab, simple)
    await headed(tab, "Security")
    await tab.goto(invited.link)
    await headed(tab, "Invitation used")
    await expect(tab.get_by_label("Password")).to_have_count(0)

    optional = Served(
        tmp_path, "pypiserver", pypiserver.url, {"second_factor.enrolment": "optional"}
    )
    optional.start()
    try:
        tab = await (await at(chromium, optional)).new_page()
        await give_password(tab, "bob", PYPISERVER_USERS["bob"])
        await tab.goto("/+auth/add?next=/simple/")
        await press(tab, "Continue")
        await set_up_app(tab, optional)
        await expect(tab).to_have_url(f"{optional.url}/simple/")
    finally:
        await asyncio.to_thread(optional.stop)
