"""A login by devpi-client without a code, approved in the browser of the same person."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

from playwright.async_api import Browser, Page, expect

from gateway.core.errors import MESSAGES, Slug
from tests.e2e.conftest import NewPerson, Person
from tests.support.clients import Done
from tests.support.gateways import Gateway
from tests.support.http import Answer, Client
from tests.web import chrome

CODE_REQUIRED = MESSAGES[Slug.OTP_REQUIRED].text


def address_in(done: Done, gateway: Gateway) -> tuple[str, str]:
    """The page that a refused login names, and the number to type there."""
    assert CODE_REQUIRED in done.words, done.said
    found = re.search(rf"{re.escape(gateway.url)}(/\+auth/approve/[\w-]+)", done.said)
    assert found, done.said
    assert "PASSWORD,123456. Or open " in done.words
    assert "within two minutes" in done.words
    number = re.search(r"type ([0-9]{2}) there", done.words)
    assert number, done.words
    return found[1], number[1]


# -- in a real browser ---------------------------------------------------------------------------


async def log_in(tab: Page, alice: Person) -> None:
    await tab.get_by_label("User name").fill(alice.name)
    await tab.get_by_label("Password").fill(alice.password)
    await tab.get_by_role("button", name="Continue", exact=True).click()
    await tab.get_by_label("One-time code").fill(alice.phone.code())
    await tab.get_by_role("button", name="Log in", exact=True).click()


async def test_a_login_on_a_terminal_is_approved_in_chromium(
    chromium: Browser, before_devpi: Gateway, person: NewPerson
) -> None:
    def try_again() -> Done:
        # The plugin asks for a code; Enter goes on without one.
        return alice.devpi.on_terminal("login", alice.name, answers=[alice.password, ""])

    alice = person("alice")
    alice.devpi("use", before_devpi.url)
    context = await chromium.new_context(base_url=before_devpi.url)
    context.set_default_timeout(20_000)
    tab = await context.new_page()
    watch = chrome.Watch()
    watch.on(tab)
    await tab.goto("/+auth/login")
    await log_in(tab, alice)
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()

    address, number = address_in(await asyncio.to_thread(try_again), before_devpi)
    await tab.goto(address)
    await expect(tab.get_by_role("heading", name="Approve this login?")).to_be_visible()
    await expect(tab.locator("main")).to_contain_text("devpi-client")
    await expect(tab.locator("main")).to_contain_text("127.0.0.1")
    assert number not in (await tab.locator("main").inner_text()).split()
    await tab.get_by_label("Number in your terminal").fill(number)
    await tab.get_by_role("button", name="Approve", exact=True).click()
    await expect(tab.get_by_role("heading", name="Login approved")).to_be_visible()

    passed = await asyncio.to_thread(try_again)
    assert f"logged in '{alice.name}'" in passed.said, passed.said
    changed = await asyncio.to_thread(alice.devpi, "user", "-m", alice.name, "email=a@example.net")
    assert "user modified" in changed.said, changed.said
    used_up = await asyncio.to_thread(try_again)
    assert CODE_REQUIRED in used_up.words, used_up.said
    await tab.goto("/+auth/")
    await expect(tab.locator("main")).to_contain_text("Command-line login approved")
    assert watch.said == []


# -- over plain HTTP -----------------------------------------------------------------------------


def shell(gateway: Gateway, user: str, password: str, agent: str = "devpi-client/7.3.0") -> Answer:
    """The request that `devpi login` sends."""
    fields = {"Accept": "application/json", "User-Agent": agent}
    body = {"user": user, "password": password}
    return gateway.client().post("/+login", send=body, fields=fields)


def send(browser: Client, at: str, action: str, **values: str) -> Answer:
    """Fill in one form of a page and send it."""
    page = browser.browse("GET", at)
    assert page.status == 200, page.text
    form = page.text.partition(f'action="{action}"')[2].partition("</form>")[0]
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
    fields = {"Origin": f"http://localhost:{browser.port}"}
    return browser.browse("POST", action, form=dict(hidden) | values, fields=fields)


def browser_of(gateway: Gateway, who: Person, first: str = "/+auth/login") -> tuple[Client, str]:
    """Somebody's browser after a login with password and code, and where it was led then."""
    browser = gateway.client()
    sent = send(browser, first, "/+auth/login", user=who.name, password=who.password)
    assert (sent.status, sent.first("location")) == (303, "/+auth/verify"), sent.text
    sent = send(browser, "/+auth/verify", "/+auth/verify", code=who.phone.code())
    assert sent.status == 303, sent.text
    return browser, sent.first("location")


def waiting_page(answer: Answer, gateway: Gateway) -> tuple[str, str]:
    """The page that approves a login, and the number it asks for."""
    assert answer.slug == "otp_required"
    found = re.search(rf"{re.escape(gateway.url)}(/\+auth/approve/[\w-]+)", answer.json["message"])
    assert found, answer.json
    number = re.search(r"type ([0-9]{2}) there", answer.json["message"])
    assert number, answer.json
    return found[1], number[1]


def test_without_a_live_session_no_address_is_named(
    before_devpi: Gateway, person: NewPerson
) -> None:
    alice = person("alice")
    answer = shell(before_devpi, alice.name, alice.password)
    assert answer.slug == "otp_required"
    assert "/+auth/approve" not in answer.json["message"]


def test_an_approval_lets_only_that_client_in_with_the_right_password(
    before_devpi: Gateway, person: NewPerson
) -> None:
    alice = person("alice")
    browser, _ = browser_of(before_devpi, alice)
    page, number = waiting_page(shell(before_devpi, alice.name, alice.password), before_devpi)
    assert send(browser, page, page, number=number).first("location") == page
    assert "passes once" in browser.browse("GET", page).text
    assert shell(before_devpi, alice.name, "wrong").status == 401
    other = shell(before_devpi, alice.name, alice.password, agent="curl/8")
    assert other.slug == "otp_required"
    assert shell(before_devpi, alice.name, alice.password).status == 200
    assert shell(before_devpi, alice.name, alice.password).slug == "otp_required"


def test_tries_at_the_same_moment_name_one_address(
    before_devpi: Gateway, person: NewPerson
) -> None:
    alice = person("alice")
    browser, _ = browser_of(before_devpi, alice)
    with ThreadPoolExecutor(4) as pool:
        tries = [pool.submit(shell, before_devpi, alice.name, alice.password) for _ in range(4)]
    pages = {waiting_page(each.result(), before_devpi) for each in tries}
    assert len(pages) == 1
    page, number = pages.pop()
    assert send(browser, page, page, number=number).first("location") == page
    with ThreadPoolExecutor(4) as pool:
        tries = [pool.submit(shell, before_devpi, alice.name, alice.password) for _ in range(4)]
    assert sorted(each.result().status for each in tries) == [200, 401, 401, 401]
    used = browser.browse("GET", page)
    assert used.status == 404
    assert "has ended" in used.text


def test_somebody_else_cannot_see_or_approve_it(before_devpi: Gateway, person: NewPerson) -> None:
    alice, mallory = person("alice"), person("mallory")
    browser_of(before_devpi, alice)
    others, _ = browser_of(before_devpi, mallory)
    page, _ = waiting_page(shell(before_devpi, alice.name, alice.password), before_devpi)
    assert others.browse("GET", page).status == 404
    assert shell(before_devpi, alice.name, alice.password).slug == "otp_required"


def test_the_address_leads_through_the_login_and_back(
    before_devpi: Gateway, person: NewPerson
) -> None:
    """It may be opened in another browser than the one that is logged in."""
    alice = person("alice")
    browser_of(before_devpi, alice)
    page, number = waiting_page(shell(before_devpi, alice.name, alice.password), before_devpi)
    led = before_devpi.client().browse("GET", page)
    assert led.status == 303
    browser, back = browser_of(before_devpi, alice, led.first("location"))
    assert back == page
    send(browser, page, page, number=number)
    assert shell(before_devpi, alice.name, alice.password).status == 200
