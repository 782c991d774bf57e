"""Chromium logs in through real gateways before a real devpi and a real pypiserver."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect

from gateway.cli.demo.indexes import Package
from tests.conftest import PYPISERVER_USERS
from tests.e2e.conftest import NewPerson
from tests.support.codes import Authenticator
from tests.support.gateways import Gateway
from tests.web.chrome import Watch, press


async def set_up_app(tab: Page) -> Authenticator:
    """Everything from the first set-up page to the page after the recovery codes."""
    await press(tab, "Continue")
    link = tab.get_by_role("link", name="Open in an app", include_hidden=True)
    phone = Authenticator.from_uri(await link.get_attribute("href") or "")
    await tab.get_by_label("Six-digit code").fill(phone.code())
    await press(tab, "Continue")
    await expect(tab.locator(".codes li")).to_have_count(10)
    codes = await tab.locator(".codes li").all_inner_texts()
    await tab.get_by_label("Type one of the codes").fill(codes[4])
    await press(tab, "Finish")
    return phone


async def cookies(tab: Page) -> set[str]:
    return {str(cookie.get("name")) for cookie in await tab.context.cookies()}


async def devpi_form(tab: Page, gateway: Gateway, back: str, user: str, password: str) -> None:
    await tab.goto(f"{gateway.url}/+login?goto_url={gateway.url}{back}")
    await tab.locator("[name=username]").fill(user)
    await tab.locator("[name=password]").fill(password)
    await tab.locator("[name=submit]").click()


async def test_devpis_own_form_leads_over_the_code_to_the_page_asked_for(
    tab: Page, before_devpi: Gateway, person: NewPerson
) -> None:
    ann = person("ann", Package("hello", "1.0"))
    await devpi_form(tab, before_devpi, f"/{ann.index}", ann.name, ann.password)
    await expect(tab).to_have_url(f"{before_devpi.url}/+auth/verify")
    assert "auth_tkt" not in await cookies(tab), "held back"
    await tab.get_by_label("One-time code").fill(ann.phone.code())
    await press(tab, "Log in")
    await expect(tab).to_have_url(f"{before_devpi.url}/{ann.index}")
    await expect(tab.get_by_text("hello").first).to_be_visible()
    assert {"auth_tkt", "ig-session"} <= await cookies(tab)
    assert "ig-pending" not in await cookies(tab)


async def test_a_first_login_by_devpis_form_sets_up_an_app(
    tab: Page, before_devpi: Gateway, person: NewPerson
) -> None:
    new = person("new", Package("hello", "1.0"), enrolled=False)
    await devpi_form(tab, before_devpi, f"/{new.index}", new.name, new.password)
    await expect(tab).to_have_url(f"{before_devpi.url}/+auth/enrol")
    await set_up_app(tab)
    await expect(tab).to_have_url(f"{before_devpi.url}/{new.index}")
    assert {"auth_tkt", "ig-session"} <= await cookies(tab)


async def test_a_wrong_password_at_devpis_form_is_devpis_own_answer(
    tab: Page, before_devpi: Gateway, person: NewPerson
) -> None:
    ann = person("ann")
    await devpi_form(tab, before_devpi, "/", ann.name, "wrong")
    await expect(tab.locator("[name=password]")).to_be_visible()
    assert not {"auth_tkt", "ig-session", "ig-pending"} & await cookies(tab)


async def test_a_guarded_page_leads_to_the_login_and_back(
    tab: Page, before_devpi: Gateway, person: NewPerson
) -> None:
    ann = person("ann")
    await tab.goto(f"{before_devpi.url}/{ann.name}/+tokens")
    await tab.get_by_label("User name").fill(ann.name)
    await tab.get_by_label("Password").fill(ann.password)
    await press(tab, "Continue")
    await tab.get_by_label("One-time code").fill(ann.phone.code())
    await press(tab, "Log in")
    await expect(tab).to_have_url(f"{before_devpi.url}/{ann.name}/+tokens")
    await expect(tab.get_by_text("tokens").first).to_be_visible()


async def test_pypiserver_gets_a_login_page_with_everything(
    tab: Page, before_pypiserver: Gateway
) -> None:
    watch = Watch()
    watch.on(tab)
    home = before_pypiserver.url
    await tab.goto(f"{home}/+auth/login?next=/simple/")
    await tab.get_by_label("User name").fill("dave")
    await tab.get_by_label("Password").fill(PYPISERVER_USERS["dave"])
    await press(tab, "Continue")
    phone = await set_up_app(tab)
    await expect(tab).to_have_url(f"{home}/simple/")
    await expect(tab.get_by_role("link", name="hello")).to_be_visible()

    await tab.goto(f"{home}/+auth/")
    await expect(tab.get_by_text("Logged in").or_(tab.get_by_text("set up")).first).to_be_visible()
    await press(tab, "Log out")
    await tab.get_by_label("User name").fill("Dave")
    await tab.get_by_label("Password").fill("wrong")
    await press(tab, "Continue")
    await expect(tab.get_by_role("alert")).to_contain_text("did not accept")
    await tab.get_by_label("User name").fill("dave")
    await tab.get_by_label("Password").fill(PYPISERVER_USERS["dave"])
    await press(tab, "Continue")
    await tab.get_by_label("One-time code").fill(phone.wrong())
    await press(tab, "Log in")
    await expect(tab.get_by_role("alert")).to_contain_text("wrong or was used before")
    await tab.get_by_label("One-time code").fill(phone.code())
    await press(tab, "Log in")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()
    assert watch.said == []


async def test_a_command_line_login_is_approved_in_the_browser(
    tab: Page, before_devpi: Gateway, person: NewPerson
) -> None:
    """devpi-client prints the address; after the approval its next try passes, once."""
    ann = person("ann")
    ann.devpi("use", f"{before_devpi.url}/{ann.index}")
    alone = ann.devpi("login", ann.name, "--password", ann.password)
    assert "/+auth/approve" not in alone.words, "nobody is logged in who could approve it"
    assert f"PASSWORD,123456. Or log in at {before_devpi.url}/+auth/login in a" in alone.words

    await tab.goto(f"{before_devpi.url}/+auth/login")
    await tab.get_by_label("User name").fill(ann.name)
    await tab.get_by_label("Password").fill(ann.password)
    await press(tab, "Continue")
    await tab.get_by_label("One-time code").fill(ann.phone.code())
    await press(tab, "Log in")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()

    asked = ann.devpi("login", ann.name, "--password", ann.password)
    assert not ann.devpi.logged_in
    address = re.search(
        r"(\S+/\+auth/approve/\S+) within two minutes, type ([0-9]{2}) there", asked.words
    )
    assert address, asked.words
    await tab.goto(address[1])
    await expect(tab.get_by_text("devpi-client")).to_be_visible()
    await tab.get_by_label("Number in your terminal").fill(address[2])
    await press(tab, "Approve")
    await expect(tab.get_by_role("heading", name="Login approved")).to_be_visible()

    passed = ann.devpi("login", ann.name, "--password", ann.password)
    assert f"logged in '{ann.name}'" in passed.said, passed.said
    again = ann.devpi("login", ann.name, "--password", ann.password)
    assert f"logged in '{ann.name}'" not in again.said, "approved once"
