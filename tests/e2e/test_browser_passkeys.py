"""Passkeys and countdowns in Chromium, through real gateways before real indexes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.async_api import Page, expect

from gateway.cli.demo.indexes import Package
from tests.conftest import PYPISERVER_USERS, StartGateway
from tests.e2e.conftest import NewPerson
from tests.support.codes import Authenticator
from tests.support.gateways import Gateway
from tests.support.servers import Index
from tests.web.chrome import Authenticators, press


async def log_in(tab: Page, home: str, user: str, password: str, phone: Authenticator) -> None:
    """With the code, and remembering the device."""
    await tab.goto(f"{home}/+auth/login")
    await tab.get_by_label("User name").fill(user)
    await tab.get_by_label("Password").fill(password)
    await press(tab, "Continue")
    await tab.get_by_label("Remember this device").check()
    await tab.get_by_label("One-time code").fill(phone.code())
    await press(tab, "Log in")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


async def keep_passkey(
    tab: Page, home: str, user: str, password: str, phone: Authenticator
) -> Authenticators:
    """Add a passkey, remember the device, and close the browser: its session is gone."""
    keys = Authenticators(tab)
    await log_in(tab, home, user, password, phone)
    await keys.plug("Laptop", passkey=True)
    await tab.get_by_role("link", name="Add a key").click()
    await tab.get_by_label("Name for this key").fill("Laptop")
    await press(tab, "Continue")
    await expect(tab.get_by_role("link", name="Manage Laptop")).to_be_visible()
    await press(tab, "Remember this device")
    await expect(tab.get_by_text("This device is remembered")).to_be_visible()
    await tab.context.clear_cookies(name="ig-session")
    await tab.context.clear_cookies(name="auth_tkt")
    return keys


async def test_a_passkey_alone_opens_a_guarded_page_of_devpi_on_a_remembered_device(
    tab: Page, before_devpi: Gateway, person: NewPerson
) -> None:
    """No user name and no password is typed; the suggestion is taken as soon as it is there."""
    ann, home = person("ann"), before_devpi.url
    await keep_passkey(tab, home, ann.name, ann.password, ann.phone)
    await tab.goto(f"{home}/{ann.name}/+tokens")
    await expect(tab).to_have_url(f"{home}/{ann.name}/+tokens")
    await expect(tab.get_by_text("tokens").first).to_be_visible()


async def test_elsewhere_it_opens_only_the_gateways_own_pages(
    tab: Page, before_devpi: Gateway, person: NewPerson
) -> None:
    ann, home = person("ann"), before_devpi.url
    await keep_passkey(tab, home, ann.name, ann.password, ann.phone)
    await tab.context.clear_cookies()
    await tab.goto(f"{home}/{ann.name}/+tokens")
    await expect(tab.get_by_text("You used only your passkey")).to_be_visible()
    await expect(tab).to_have_url(f"{home}/+auth/")


SESSIONS_COUNT = [
    {
        "name": "removals",
        "match": {"methods": ["POST"], "path": "/"},
        "policy": "second_factor",
        "session": True,
    },
    {"name": "reading", "match": {"methods": ["GET"], "path": "/**"}, "policy": "pass"},
]


async def test_a_passkey_alone_deletes_at_pypiserver_on_a_remembered_device(
    tab: Page, start_gateway: StartGateway, pypiserver: Index
) -> None:
    """pypiserver knows only the password, which the remembered device keeps sealed; a rule has to
    say that a session counts, and that scripts of its pages run."""
    gateway = start_gateway(pypiserver, rules=SESSIONS_COUNT, tests=None, response="plain")
    home, phone = gateway.url, gateway.enrol("bob")
    await keep_passkey(tab, home, "bob", PYPISERVER_USERS["bob"], phone)
    await tab.goto(f"{home}/+auth/login?next=/simple/")
    await expect(tab).to_have_url(f"{home}/simple/")
    removed = await tab.evaluate(
        """async () => (await fetch("/", {method: "POST", body: new URLSearchParams(
            {":action": "remove_pkg", name: "no-such-package", version: "1.0"})})).status"""
    )
    assert removed == 404, "pypiserver itself looked for it"


async def test_devpis_own_form_counts_down_and_leads_on(
    tab: Page, start_gateway: StartGateway, devpi_server: Index, person: NewPerson
) -> None:
    day = datetime.now(UTC).date() + timedelta(3)
    home = start_gateway(devpi_server, second_factor__required_from=day).url
    new = person("new", Package("hello", "1.0"), enrolled=False)

    async def by_the_form() -> None:
        await tab.goto(f"{home}/+login?goto_url={home}/{new.index}")
        await tab.locator("[name=username]").fill(new.name)
        await tab.locator("[name=password]").fill(new.password)
        await tab.locator("[name=submit]").click()
        await expect(tab.get_by_text("Set up a second factor within")).to_be_visible()

    await by_the_form()
    await tab.get_by_role("link", name="Later").click()
    await expect(tab).to_have_url(f"{home}/{new.index}")
    await expect(tab.get_by_text("hello").first).to_be_visible()
    new.devpi("use", f"{home}/{new.index}")
    said = new.devpi("login", new.name, "--password", new.password).said
    assert f"logged in '{new.name}'" in said
    await by_the_form()
    await tab.get_by_role("link", name="Set it up now").click()
    await expect(tab.get_by_label("Name for this app")).to_be_visible()
