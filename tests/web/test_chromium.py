"""The pages in a real browser: keys and passkeys, and every page judged by axe-core."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import DummyCookieJar
from aiohttp.test_utils import RawTestServer, TestClient
from playwright.async_api import Browser, Locator, Page, expect

from gateway.app.domain import jar_of
from gateway.core.audit.events import Event
from gateway.core.http.cookies import SESSION
from gateway.core.login.models import FlowLimits
from tests.core.world import Person, Phone, World, make_world
from tests.support.ports import free_port
from tests.web import chrome
from tests.web.chrome import Authenticators, Watch, press
from tests.web.site import Browser as Visitor
from tests.web.site import Doorman, Http, Site
from tests.web.site import Page as Answer
from tests.web.tour import Tour, command_line_login

fixture = pytest_asyncio.fixture(loop_scope="session")


@asynccontextmanager
async def served(site: Site, port: int | None = None) -> AsyncIterator[RawTestServer]:
    server = RawTestServer(site.handler(), port=port)
    await server.start_server(debug=False)
    yield server
    await server.close()


@pytest.fixture
def limits() -> FlowLimits:
    """WebAuthn wants the address that the browser really uses."""
    return FlowLimits(public_url=f"http://localhost:{free_port()}", issuer="Example packages")


@fixture
async def site(tmp_path: Path, limits: FlowLimits) -> AsyncIterator[Site]:
    """The same site as elsewhere, also on the port that its public address names."""
    world = make_world(tmp_path, limits)
    made = Site(world, Doorman(), limits.public_url)
    port = int(limits.public_url.rpartition(":")[2])
    async with served(made, port):
        yield made
    await world.store.close()


@fixture
async def alice(world: World) -> Person:
    person = Person("alice")
    await world.enrol(person)
    return person


@fixture
async def pages(site: Site, alice: Person) -> AsyncIterator[Mapping[str, Answer]]:
    """Every page in every state (`Tour`)."""
    async with AsyncExitStack() as opened:

        async def connect(site: Site) -> Http:
            server = await opened.enter_async_context(served(site))
            client: Http = TestClient(server, cookie_jar=DummyCookieJar())
            return await opened.enter_async_context(client)

        http = await connect(site)
        nobody, bob, hers = (Visitor(site, http) for _ in range(3))
        yield await Tour(nobody, bob, hers, alice, connect).all()


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch()
    yield made
    assert made.said == []


@fixture
async def tab(chromium: Browser, site: Site, watch: Watch) -> Page:
    context = await chromium.new_context(base_url=site.public)
    context.set_default_timeout(10_000)
    page = await context.new_page()
    watch.on(page)
    return page


@pytest.fixture
def keys(tab: Page) -> Authenticators:
    return Authenticators(tab)


async def give_password(tab: Page, user: str) -> None:
    await tab.goto("/+auth/login")
    await tab.get_by_label("User name").fill(user)
    await tab.get_by_label("Password").fill("right")
    await press(tab, "Continue")


async def log_in(tab: Page, person: Person, world: World) -> None:
    await give_password(tab, person.name)
    other_way = tab.get_by_role("link", name="Use an authenticator app")
    if not await is_there(tab.get_by_label("One-time code"), rather_than=other_way):
        await other_way.click()
    await tab.get_by_label("One-time code").fill(world.code(person))
    await press(tab, "Log in")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


async def enter(tab: Page, person: Person, world: World) -> None:
    """As `log_in`, but for its pages, where a test is about what comes after."""
    passed, address = await world.login(person), world.limits.public_url
    cookie = jar_of(world.ring, address).set(SESSION, passed.session_cookie)
    name, _, value = cookie.partition(";")[0].partition("=")
    await tab.context.add_cookies([{"name": name, "value": value, "url": address}])
    await tab.goto("/+auth/")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


async def is_there(sought: Locator, *, rather_than: Locator) -> bool:
    """Which of two the page has, once it has come."""
    await expect(sought.or_(rather_than).first).to_be_visible()
    return await sought.count() > 0


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
    codes = await shown_codes(tab)
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
        other_way = tab.get_by_role("link", name="Use a security key or passkey")
        if not await is_there(button, rather_than=other_way):  # the app was used last
            await other_way.click()
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


NO_SUGGESTIONS = "PublicKeyCredential.isConditionalMediationAvailable = undefined"


async def add_passkey(tab: Page, keys: Authenticators, person: Person, world: World) -> None:
    """Add a passkey, and log out with it put away: it would sign in at once."""
    await enter(tab, person, world)
    await keys.plug("Laptop", passkey=True)
    await add_key(tab, "Laptop")
    await expect(tab.get_by_text("passkey", exact=True)).to_be_visible()
    await keys.unplug("Laptop")
    await log_out(tab)
    await keys.plug("Laptop", passkey=True)


async def test_a_passkey_signs_in_without_a_user_name(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    """By the button: in a browser that puts no passkeys among its suggestions."""
    await tab.add_init_script(NO_SUGGESTIONS)
    await add_passkey(tab, keys, alice, world)
    await tab.goto("/+auth/login?next=/simple/")
    await press(tab, "Log in with a passkey")
    await expect(tab.get_by_role("link", name="alice")).to_be_visible()
    await expect(tab.get_by_text("You used only your passkey")).to_be_visible()
    await tab.get_by_role("link", name="Add an app").click()
    await expect(tab.get_by_role("heading", name="Add an authenticator app")).to_be_visible()


async def test_a_passkey_is_among_the_suggestions_for_the_user_name(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    """The virtual authenticator stands for a person who takes the suggestion; nothing is
    pressed."""
    await add_passkey(tab, keys, alice, world)
    await tab.goto("/+auth/login")
    await expect(tab.get_by_role("link", name="alice")).to_be_visible()


async def test_the_button_takes_the_question_over_from_the_suggestions(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    """The browser has one question open at a time; a key that checks nobody answers neither."""
    await enter(tab, alice, world)
    await keys.plug("Blue key")
    await add_key(tab, "Blue key")
    await expect(tab.get_by_text("Blue key", exact=True)).to_be_visible()
    await log_out(tab)
    for _ in range(2):
        await press(tab, "Log in with a passkey")
        await expect(tab.get_by_role("alert")).to_contain_text("No key answered")
    await tab.get_by_label("User name").fill("alice")
    await tab.get_by_label("Password").fill("right")
    await press(tab, "Continue")
    await expect(tab.get_by_role("heading", name="Use your security key")).to_be_visible()


# -- recovery codes ----------------------------------------------------------------------------


async def shown_codes(tab: Page) -> list[str]:
    await expect(tab.locator(".codes li")).to_have_count(10)
    return await tab.locator(".codes li").all_inner_texts()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
async def test_nothing_is_lost_at_the_recovery_codes(
    chromium: Browser, site: Site, world: World, scripts: bool
) -> None:
    """Reload, back and forward, an empty form, a closed tab, two tabs."""
    context = await chromium.new_context(base_url=site.public, java_script_enabled=scripts)
    tab = await context.new_page()
    await give_password(tab, "bob")
    await press(tab, "Continue")
    link = tab.get_by_role("link", name="Open in an app", include_hidden=True)
    person = Person("bob", phone=Phone(await link.get_attribute("href") or ""))
    await tab.get_by_label("Six-digit code").fill(world.code(person))
    await press(tab, "Continue")
    codes = await shown_codes(tab)
    await expect(tab.get_by_text("switched on when you press Finish")).to_be_visible()
    await tab.reload()
    assert await shown_codes(tab) == codes
    await tab.go_back()
    await tab.go_forward()
    assert await shown_codes(tab) == codes
    await press(tab, "Finish")
    await expect(tab.get_by_role("alert")).to_contain_text("Nothing says yet")
    assert await shown_codes(tab) == codes
    await tab.reload()
    assert await shown_codes(tab) == codes

    await tab.close()
    tab, other = await context.new_page(), await context.new_page()
    await give_password(tab, "bob")
    for one in (tab, other):
        await one.goto("/+auth/enrol")
        await one.get_by_role("link", name="Go on where you stopped").click()
        assert await shown_codes(one) == codes
    await tab.get_by_label("Type one of the codes").fill(codes[4].lower())
    await press(tab, "Finish")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()
    await press(other, "Finish")
    await expect(other.get_by_role("status")).to_contain_text("logged in already")
    await expect(other.get_by_text("10 codes left")).to_be_visible()
    await tab.go_back()
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


async def make_codes(tab: Page, person: Person, world: World) -> list[str]:
    await enter(tab, person, world)
    await tab.get_by_role("link", name="Make new codes").click()
    await tab.get_by_label("One-time code").fill(world.code(person))
    await press(tab, "Show new codes")
    return await shown_codes(tab)


async def test_recovery_codes_are_copied_by_a_button(
    tab: Page, site: Site, alice: Person, world: World
) -> None:
    await tab.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.public)
    codes = await make_codes(tab, alice, world)
    await press(tab, "Copy all")
    await expect(tab.get_by_role("status")).to_contain_text("Copied")
    # The page itself may not read the clipboard, so it is pasted into its field.
    reader = await tab.context.new_page()
    await reader.goto("data:text/html,<textarea autofocus></textarea>")
    await reader.locator("textarea").focus()
    await reader.keyboard.press("Control+V")
    await expect(reader.locator("textarea")).to_have_value("\n".join(codes))


async def test_a_token_is_made_and_its_lines_are_copied(
    tab: Page, site: Site, alice: Person, world: World
) -> None:
    await tab.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.public)
    await enter(tab, alice, world)
    await tab.get_by_role("link", name="Make a token").click()
    await tab.get_by_label("Name").fill("CI of foo")
    await tab.get_by_label("30 days").check()
    await tab.get_by_label("Your password").fill("right")
    await press(tab, "Make the token")
    text = await tab.locator("pre").first.inner_text()
    await tab.get_by_text("twine", exact=True).click()
    await press(tab, "Copy the lines for twine")
    await expect(tab.get_by_text("Copied.")).to_be_visible()
    reader = await tab.context.new_page()
    await reader.goto("data:text/html,<textarea autofocus></textarea>")
    await reader.locator("textarea").focus()
    await reader.keyboard.press("Control+V")
    lines = re.escape(f"\nusername = __token__\npassword = {text}")
    await expect(reader.locator("textarea")).to_have_value(re.compile(lines + "$"))


async def test_codes_are_copied_where_the_clipboard_is_not_for_scripts(
    tab: Page, alice: Person, world: World
) -> None:
    """On plain http beyond localhost there is no navigator.clipboard."""
    await tab.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    codes = await make_codes(tab, alice, world)
    await press(tab, "Copy all")
    await expect(tab.get_by_role("status")).to_contain_text("Copied")
    await tab.get_by_label("Type one of the codes").focus()
    await tab.keyboard.press("Control+V")
    field = tab.get_by_label("Type one of the codes")
    await expect(field).to_have_value(re.compile("^" + re.escape(codes[0])))


async def test_codes_are_printed_by_a_button_and_nothing_else_is_on_the_paper(
    tab: Page, alice: Person, world: World
) -> None:
    await tab.add_init_script("window.print = () => { document.title = 'printed'; }")
    codes = await make_codes(tab, alice, world)
    await press(tab, "Print")
    await expect(tab).to_have_title("printed")
    await tab.emulate_media(media="print", color_scheme="dark")
    on_paper = (await tab.locator("body").inner_text()).split("\n")
    heading = "10 codes for alice at Example packages"
    assert [line for line in on_paper if line.strip()] == [heading, *codes]
    look = "(e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    assert await tab.locator(".codes").evaluate(look) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


async def test_new_codes_that_were_not_confirmed_are_asked_after(
    tab: Page, alice: Person, world: World
) -> None:
    codes = await make_codes(tab, alice, world)
    await tab.goto("/+auth/")
    await expect(tab.get_by_text("new recovery codes are not confirmed")).to_be_visible()
    await tab.get_by_role("link", name="Go on where you stopped").click()
    assert await shown_codes(tab) == codes
    await tab.get_by_label("Type one of the codes").fill(codes[2].lower())
    await press(tab, "Finish")
    await expect(tab.get_by_role("status")).to_contain_text("recovery codes are confirmed")
    await expect(tab.get_by_text("not confirmed")).to_have_count(0)


# -- fields and keys ---------------------------------------------------------------------------


async def test_a_password_is_shown_while_its_button_is_pressed_in(tab: Page, alice: Person) -> None:
    await tab.goto("/+auth/login")
    field = tab.get_by_label("Password")
    button = tab.get_by_role("button", name="Show what is typed")
    await field.fill("right")
    await expect(field).to_have_attribute("type", "password")
    await button.click()
    await expect(field).to_have_attribute("type", "text")
    await expect(button).to_have_attribute("aria-pressed", "true")
    box = await button.bounding_box()
    assert box is not None and box["height"] >= 44
    await tab.get_by_label("User name").fill("alice")
    await press(tab, "Continue")
    await expect(tab.get_by_label("One-time code")).to_be_visible()


@pytest.mark.parametrize("phone", [True, False], ids=["phone", "desk"])
async def test_a_phone_is_offered_its_own_app_first_and_the_key_is_copied(
    chromium: Browser, site: Site, phone: bool
) -> None:
    context = await chromium.new_context(
        base_url=site.public,
        has_touch=phone,
        is_mobile=phone,
        viewport={"width": 390 if phone else 1280, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
    tab = await context.new_page()
    await give_password(tab, "bob")
    await expect(tab.get_by_text("Step 1 of 3")).to_be_visible()
    await press(tab, "Continue")
    await expect(tab.get_by_text("Step 2 of 3")).to_be_visible()
    link = await tab.get_by_role("link", name="Open in an app").bounding_box()
    code = await tab.locator(".qr").bounding_box()
    assert link is not None and code is not None
    assert (link["y"] < code["y"]) is phone
    await tab.get_by_text("Can’t scan it?").click()
    key = "".join((await tab.locator("#secret").inner_text()).split())
    await press(tab, "Copy the key")
    await expect(tab.locator("#copy-says")).to_have_text("Copied.")
    await tab.get_by_label("Six-digit code").focus()
    await tab.keyboard.press("Control+V")
    await expect(tab.get_by_label("Six-digit code")).to_have_value(key)


async def test_the_same_key_is_not_added_twice(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    await enter(tab, alice, world)
    await keys.plug("Blue key")
    await add_key(tab, "Blue key")
    await expect(tab.get_by_text("Blue key", exact=True)).to_be_visible()
    await add_key(tab, "Blue again")
    await expect(tab.get_by_role("alert")).to_contain_text("among your devices already")
    await expect(tab.get_by_text("Follow what your browser shows")).to_be_hidden()
    # Another key, on the same page.
    await keys.unplug("Blue key")
    await keys.plug("Red key")
    await press(tab, "Try again")
    await expect(tab.get_by_text("Blue again", exact=True)).to_be_visible()


async def test_it_is_said_that_a_key_is_awaited(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    await enter(tab, alice, world)
    await keys.plug("Slow key", touched=False)
    await add_key(tab, "Slow key")
    await expect(tab.get_by_role("status")).to_contain_text("then touch the key")
    await expect(tab.get_by_role("button", name="Continue")).to_be_disabled()


async def test_a_name_in_use_is_said_before_the_key_is_asked(
    tab: Page, keys: Authenticators, alice: Person, world: World
) -> None:
    await enter(tab, alice, world)
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
    await enter(tab, alice, world)
    await keys.plug("Blue key")
    await add_key(tab, "Blue key")
    await expect(tab.get_by_text("Blue key", exact=True)).to_be_visible()
    world.clock.turn(121)
    await tab.get_by_role("link", name="Add an app").click()
    await expect(tab.get_by_role("heading", name="Confirm it is you")).to_be_visible()
    other_way = tab.get_by_role("link", name="Use a security key or passkey")
    button = tab.get_by_role("button", name="Use security key or passkey", exact=True)
    if not await is_there(button, rather_than=other_way):
        await other_way.click()
    await button.click()
    await expect(tab.get_by_role("heading", name="Add an authenticator app")).to_be_visible()


async def test_a_command_line_login_is_approved(tab: Page, alice: Person, world: World) -> None:
    await enter(tab, alice, world)
    address, number = await command_line_login(world, "alice")
    await tab.goto(address)
    await tab.get_by_label("Number in your terminal").fill(number)
    await press(tab, "Approve")
    await expect(tab.get_by_role("heading", name="Login approved")).to_be_visible()


async def test_the_countdown_of_a_login_says_that_it_is_over(
    tab: Page, alice: Person, world: World
) -> None:
    """By the browser's clock, turned on by the test."""
    await log_in(tab, alice, world)
    address, _number = await command_line_login(world, "alice")
    await tab.clock.install()
    await tab.goto(address)
    timer = tab.get_by_role("timer")
    await expect(timer).to_have_text(re.compile(r"^(2:00|1:\d\d)$"))
    await tab.clock.run_for(30_000)
    await expect(timer).to_have_text(re.compile(r"^1:[0-3]\d$"))
    await tab.clock.run_for(91_000)
    await expect(timer).to_have_text("It has ended. Start it again in your terminal.")


async def test_all_but_keys_works_without_javascript(
    chromium: Browser, site: Site, world: World
) -> None:
    context = await chromium.new_context(
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
    await expect(tab.get_by_text("click into the list and copy")).to_be_visible()
    await expect(tab.get_by_role("button")).to_have_text(["Log out", "Finish", "Cancel"])
    await tab.locator(".codes").click()
    await tab.keyboard.press("Control+C")
    await tab.get_by_label("Type one of the codes").focus()
    await tab.keyboard.press("Control+V")
    several = re.compile("(.*-){3}", re.DOTALL)
    await expect(tab.get_by_label("Type one of the codes")).to_have_value(several)
    await tab.get_by_label("Type one of the codes").fill("")
    await tab.get_by_label("I have saved my recovery codes").check()
    await press(tab, "Finish")
    await log_out(tab)
    await expect(tab.get_by_text("need JavaScript")).to_be_visible()
    await log_in(tab, person, world)
    await tab.get_by_role("link", name="Manage Authenticator app").click()
    await tab.get_by_role("textbox", name="Name").fill("Phone")
    await press(tab, "Save")
    await expect(tab.get_by_text("new name")).to_be_visible()


@pytest.mark.parametrize(
    ("script", "written"),
    [
        (True, "15. Januar 2027 um 17:01"),
        (False, "15 January 2027, 08:01 UTC"),
    ],
    ids=["script", "no script"],
)
async def test_times_are_those_of_the_browser_or_name_their_zone(
    chromium: Browser, site: Site, alice: Person, world: World, script: bool, written: str
) -> None:
    context = await chromium.new_context(
        base_url=site.public,
        java_script_enabled=script,
        timezone_id="Asia/Tokyo",
        locale="de-DE" if script else "en-GB",
    )
    tab = await context.new_page()
    answer = await context.request.get(f"/+auth/language/{'de' if script else 'en'}")
    assert answer.ok
    await tab.goto("/+auth/login")
    await tab.locator("[name=user]").fill(alice.name)
    await tab.locator("[name=password]").fill("right")
    await tab.locator("form[action='/+auth/login'] .main-act").click()
    await tab.locator("[name=code]").fill(world.code(alice))
    await tab.locator("form[action='/+auth/verify'] button").click()
    shown = tab.locator("section[aria-labelledby=sessions] time").first
    await expect(shown).to_have_text(written)
    await expect(shown).to_have_attribute("datetime", "2027-01-15T08:01:00Z")
    await site.trail.record(Event.LOGIN, alice.name, alice.caller.origin)
    await tab.goto("/+auth/activity")
    await expect(tab.locator(".log-when time")).to_have_text("17:01" if script else "08:01")
    await expect(tab.locator(".log th").first).to_have_text("GMT+9" if script else "UTC")


async def test_a_login_takes_only_the_keyboard(tab: Page, alice: Person, world: World) -> None:
    await tab.goto("/+auth/login")
    for field, typed, key in (("user", "alice", "Tab"), ("password", "right", "Enter")):
        await expect(tab.locator(f"[name={field}]")).to_be_focused()
        await tab.keyboard.type(typed)
        await tab.keyboard.press(key)
    await expect(tab.get_by_label("One-time code")).to_be_focused()
    await tab.keyboard.type(world.code(alice))
    await tab.keyboard.press("Enter")
    await expect(tab.get_by_role("heading", name="Security", exact=True)).to_be_visible()


def shapes(page: Answer) -> set[tuple[object, ...]]:
    """What a page is made of, as far as style and axe-core look at it: no texts, no values."""
    named = ("class", "role", "type", "disabled", "open")
    return {
        (one.tag, frozenset(one.attributes), *map(one.attributes.get, named))
        for one in page.markup.elements
    }


@pytest.mark.timeout(900)
async def test_every_page_is_for_everybody(
    chromium: Browser,
    pages: Mapping[str, Answer],
    site: Site,
    watch: Watch,
    request: pytest.FixtureRequest,
) -> None:
    """axe-core finds nothing, narrow and light, wide and dark. With the system's own colours, on a
    window of 640 pixels, which is 1280 at 200%, focus is seen and large text fits.

    Unless --long is given, those pages are judged that have an element like which none before had
    one; whether texts fit is measured in every page by `test_measures`.
    """
    context = await chromium.new_context(reduced_motion="reduce")
    tab = await context.new_page()
    watch.on(tab)
    faults: dict[tuple[str, str], list[str]] = {}
    known: set[tuple[object, ...]] = set()
    for name, page in pages.items():
        if page.headers.get("content-type", "").startswith("text/html"):
            if shapes(page) <= known and not request.config.getoption("--long"):
                continue
            known |= shapes(page)
            await tab.set_viewport_size({"width": 320, "height": 800})
            await tab.emulate_media(color_scheme="light", forced_colors="none")
            await chrome.show(tab, site.public + "/+auth/", page)
            faults[name, "light, narrow"] = await chrome.axe(tab)
            await tab.set_viewport_size({"width": 1280, "height": 800})
            await tab.emulate_media(color_scheme="dark")
            faults[name, "dark, wide"] = await chrome.axe(tab)
            await tab.set_viewport_size({"width": 640, "height": 800})
            await tab.emulate_media(color_scheme="light", forced_colors="active")
            faults[name, "own colours, large"] = await chrome.unclear(tab)
    assert len(faults) >= 3 * 40
    assert {where: found for where, found in faults.items() if found} == {}


async def test_the_first_key_skips_to_the_content(tab: Page, alice: Person, world: World) -> None:
    await enter(tab, alice, world)
    await tab.keyboard.press("Tab")
    await expect(tab.get_by_role("link", name="Skip to the content")).to_be_focused()
    await tab.keyboard.press("Enter")
    await tab.keyboard.press("Tab")
    await expect(tab.locator("main a").first).to_be_focused()
