"""What pages promise to anxious people, each sentence with the tests that fail when it is broken.

Here: Chromium before a real devpi and pypiserver, whose gateways run in this process, so that their
clocks can be turned and the index can be taken away. `faults` stands for
tests/e2e/test_browser_faults.py, `chromium` for tests/web/test_chromium.py; the others are files of
tests/web, without a browser.

Log out logs out; what was handed out is refused everywhere
    faults: logging_out_ends_what_the_login_handed_out; tests/gate/test_ended_credentials.py
Nothing is lost at the recovery codes; a draft is offered at the next login
    faults: a_first_set_up_loses_nothing; chromium: nothing_is_lost_at_the_recovery_codes
Waiting is said, with what works now; before the last try it is warned
    faults: mistakes_are_named_and_never_a_dead_end
What was typed and the target stay: expired login, expired form, another tab's, step-up
    faults: mistakes_are_named; test_stale_tabs; test_way_on; here: administrators_…
"Try again" where it makes sense, the header stays, never to the address that failed
    here: an_index_that_is_away_…; test_way_on: what_may_work_in_a_moment_is_offered_again
Cancel and Log out at every step of a set-up
    here: every_step_of_a_set_up_…; test_way_on: every_step_of_a_first_set_up; test_stale_tabs
A wrong recovery code, a passkey alone, another QR code, a used invitation are called that
    faults: mistakes_…, a_passkey_alone_…, a_first_set_up_…, what_cannot_work_…
A factor just used is not "not used"; one's own typo is no attack
    faults: mistakes_…; test_account: ones_own_typo_is_not_marked
Added devices name the sessions that ended; the last factor has no "Remove"
    faults: a_passkey_alone_…, a_first_set_up_…
Who is logged in is told so; GET logout is a button; a wrong host is said before a password
    faults: a_first_set_up_…, logging_out_…, what_cannot_work_…; test_stale_tabs
A set-up under `optional` and `required_from` returns to where one came from
    faults: what_cannot_work_…; here: every_step_of_a_set_up_…
`//path` is a page
    faults: mistakes_…
The overview answers first and fits one screen
    faults: a_first_set_up_…; test_way_on: the_overview_says_first_that_one_is_protected
Step 2 of 3, apps named, the key copied, the device's own app first on a phone, shown passwords
    chromium: a_phone_is_offered_its_own_app_first, a_password_is_shown
"Lost phone and codes?", "Forgot password?"
    test_way_on: who_has_lost_something_is_told_what_to_do; test_appearance
Sessions, activity, codes used
    test_account: sessions_say_since_when, activity_is_…; test_way_on: it_says_how_many
Approving a command line
    tests/e2e/test_command_line_approval.py; test_account: logins_that_wait_stand_on_the_overview
Languages, times
    test_languages, test_untranslated, tests/test_catalogues.py; chromium: times_are_those_…
An admin's own look
    test_appearance; tests/cli/test_preview.py
Admin pages
    tests/e2e/test_browser_admin.py, test_admin, test_stale_tabs; here: administrators_…
A hint while a key is awaited, a second try without reload, the name of the authenticator
    chromium: it_is_said_that_a_key_is_awaited, the_same_key_is_not_added_twice; tests/factors
Wording
    test_wording
axe, forced colours, 200 %, keyboard
    chromium: every_page_is_for_everybody, a_login_takes_only_the_keyboard; here: administrators_…
16 px, 44 px; nothing cut or covered in any language
    test_measures
60 KB; one request beside the style sheet
    test_way_on: no_page_is_heavy; test_admin: a_page_stays_small; here: administrators_…
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.conftest import PYPISERVER_USERS
from tests.e2e.test_browser_faults import app_in, at, give_code, give_password, headed, shown_codes
from tests.gate.served import Served
from tests.support.names import unused
from tests.support.ports import free_port
from tests.support.servers import Index
from tests.web.chrome import press


class Line:
    """Carries bytes to an index, which can be taken away and brought back."""

    def __init__(self, to: int) -> None:
        self._to = to
        self.port = free_port()
        self._ends: list[socket.socket] = []
        self.bring_back()

    def bring_back(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._take, args=(self._listener,), daemon=True).start()

    def _take(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=(one, other), daemon=True).start()

    def take_away(self) -> None:
        _end(self._listener)  # `accept` returns; closing alone leaves it waiting
        self._listener.close()
        for one in self._ends:
            _end(one)
        self._ends.clear()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while some := source.recv(65536):
            target.sendall(some)
    _end(source)
    _end(target)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(devpi_server: Index) -> Iterator[Line]:
    made = Line(devpi_server.port)
    yield made
    made.take_away()


async def test_an_index_that_is_away_is_tried_again_with_what_was_typed(
    chromium: Browser,
    devpi_server: Index,
    line: Line,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    name = unused("awayer")
    password = devpi_server.person(name)
    served = Served(tmp_path_factory.mktemp("away"), "devpi", f"http://127.0.0.1:{line.port}", {})
    served.start()
    try:
        await asyncio.to_thread(served.enrol, name)
        tab = await (await at(chromium, served)).new_page()

        # The index's own form.
        form = f"{served.url}/+login?goto_url={served.url}/{name}/dev"
        await tab.goto(form)
        await tab.locator("[name=username]").fill(name)
        await tab.locator("[name=password]").fill(password)
        line.take_away()
        await tab.locator("[name=submit]").click()
        await headed(tab, "Index not reachable")
        await expect(tab.get_by_role("link", name="Back to the index")).to_be_visible()
        line.bring_back()
        await tab.get_by_role("link", name="Try again").click()
        await expect(tab).to_have_url(form)
        await expect(tab.locator("[name=username]")).to_be_visible()

        # The gateway's, with where it was to lead.
        await tab.goto(f"/+auth/login?next=/{name}/dev")
        await tab.get_by_label("User name").fill(name)
        await tab.get_by_label("Password").fill(password)
        line.take_away()
        await press(tab, "Continue")
        await headed(tab, "Index not reachable")
        line.bring_back()
        await tab.get_by_role("link", name="Try again").click()
        await expect(tab.get_by_label("User name")).to_have_value(name)
        await tab.get_by_label("Password").fill(password)
        await press(tab, "Continue")
        await give_code(tab, served.code(name))
        await expect(tab).to_have_url(f"{served.url}/{name}/dev")

        # A page of the index, for somebody who is logged in.
        line.take_away()
        await tab.goto(f"{served.url}/{name}/dev")
        await headed(tab, "Index not reachable")
        await expect(tab.get_by_role("link", name=name, exact=True)).to_be_visible()
        line.bring_back()
        await tab.get_by_role("link", name="Try again").click()
        await expect(tab.get_by_role("heading", name=f"{name}/dev")).to_be_visible()
    finally:
        await asyncio.to_thread(served.stop)


# -- setting up, before pypiserver ---------------------------------------------------------------


async def to_the_codes(tab: Page, served: Served) -> list[str]:
    await press(tab, "Continue")
    phone = await app_in(tab)
    await tab.get_by_label("Six-digit code").fill(phone.at(int(served.clock() // 30)))
    await press(tab, "Continue")
    return await shown_codes(tab)


async def test_every_step_of_a_set_up_has_a_way_out_and_leads_back(
    chromium: Browser, pypiserver: Index, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In the time of grace, and afterwards within a login."""
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 3 * 86400))
    served = Served(
        tmp_path_factory.mktemp("grace"),
        "pypiserver",
        pypiserver.url,
        {"second_factor.required_from": until},
    )
    served.start()
    try:
        context = await at(chromium, served)
        tab = await context.new_page()
        await in_the_time_of_grace(tab, served)
        served.offset += 4 * 86400
        await within_a_login(context, served)
    finally:
        await asyncio.to_thread(served.stop)


async def in_the_time_of_grace(tab: Page, served: Served) -> None:
    async def begin() -> None:
        await give_password(tab, "bob", PYPISERVER_USERS["bob"], "/simple/")
        await tab.get_by_role("link", name="Set it up now").click()

    await begin()
    await press(tab, "Cancel")
    await expect(tab).to_have_url(f"{served.url}/simple/")
    await begin()
    await to_the_codes(tab, served)
    await press(tab, "Log out")
    await headed(tab, "Log in")
    await begin()
    await to_the_codes(tab, served)
    await tab.get_by_label("I have saved my recovery codes").check()
    await press(tab, "Finish")
    await expect(tab).to_have_url(f"{served.url}/simple/")
    await tab.goto("/+auth/logout")
    await press(tab, "Log out of this browser")


async def within_a_login(context: BrowserContext, served: Served) -> None:
    tab = await context.new_page()
    for step in ("offer", "codes"):
        for way in ("Cancel", "Log out"):
            await give_password(tab, "carol", PYPISERVER_USERS["carol"], "/simple/")
            if step == "offer":
                await press(tab, "Continue")
                await headed(tab, "Connect your app")
            else:
                await to_the_codes(tab, served)
            await press(tab, way)
            await headed(tab, "Log in")

    # Two tabs at the codes: one says they are saved, the other is not lost.
    await give_password(tab, "carol", PYPISERVER_USERS["carol"], "/simple/")
    codes = await to_the_codes(tab, served)
    other = await context.new_page()
    await other.goto("/+auth/enrol/recovery")
    assert await shown_codes(other) == codes
    await other.get_by_label("Type one of the codes").fill(codes[3].lower())
    await press(other, "Finish")
    await expect(other).to_have_url(f"{served.url}/simple/")
    await tab.get_by_label("I have saved my recovery codes").check()
    await press(tab, "Finish")
    await expect(tab.get_by_text("You are logged in already.")).to_be_visible()
    await other.go_back()
    await expect(other.get_by_role("link", name="carol", exact=True)).to_be_visible()

    # "Log out" of a set-up that went on in another tab logs out.
    await tab.go_back()
    await expect(tab.get_by_role("link", name="carol", exact=True)).to_be_visible()
    await press(tab, "Log out")
    await headed(tab, "Log in")
    await other.reload()
    await headed(other, "Log in")


# -- administrators, before pypiserver -----------------------------------------------------------

BLOCKING = """() => performance.getEntriesByType("resource")
    .filter((one) => one.renderBlockingStatus === "blocking").length"""


async def test_administrators_lose_nothing_and_are_told_what_changed(
    chromium: Browser, pypiserver: Index, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By the keyboard alone; a factor that runs out between page and act; two of them at once."""
    served = Served(
        tmp_path_factory.mktemp("admins"),
        "pypiserver",
        pypiserver.url,
        {"admins": ["alice", "bob"]},
    )
    served.start()
    try:
        await asyncio.to_thread(served.enrol, "alice", "bob", "carol")
        tabs = []
        for user in ("alice", "bob"):
            tab = await (await at(chromium, served)).new_page()
            await give_password(tab, user, PYPISERVER_USERS[user], "/%2Bauth/admin/")
            await give_code(tab, served.code(user))
            await headed(tab, "Who has no second factor")
            tabs.append(tab)
        first, second = tabs
        for path in ("person?user=carol", "audit", "stats", "?show=all"):
            await first.goto(f"/+auth/admin/{path}")
            await expect(first.get_by_role("navigation", name="Administration")).to_be_visible()
            assert await first.evaluate(BLOCKING) == 1, path

        for tab in tabs:
            await tab.goto("/+auth/admin/person?user=carol")
            await tab.get_by_role("link", name="Reset second factors").focus()
            await tab.keyboard.press("Enter")
            await expect(tab.get_by_label("Reason")).to_be_focused()
            await tab.keyboard.type("lost phone & key")
        served.offset += 1000
        await first.keyboard.press("Enter")
        await headed(first, "Confirm it is you")
        await expect(first.get_by_label("One-time code")).to_be_focused()
        await first.keyboard.type(served.code("alice"))
        await first.keyboard.press("Enter")
        await expect(first.get_by_label("Reason")).to_have_value("lost phone & key")
        await expect(first.get_by_label("Reason")).to_be_focused()
        await first.keyboard.press("Enter")
        await headed(first, "Invitation for carol")
        link = await first.locator("[data-codes]").inner_text()

        await press(second, "Reset second factors")
        await give_second_code(second, served)
        await expect(second.get_by_text("the second factors are gone already")).to_be_visible()
        await expect(second.get_by_text("by alice: lost phone & key")).to_be_visible()
        await expect(second.get_by_role("link", name="Invite", exact=True)).to_be_visible()
        await expect(second.get_by_role("link", name="Reset second factors")).to_have_count(0)
        carol = await (await at(chromium, served)).new_page()
        await carol.goto(link)
        await expect(carol.get_by_text("You have been invited")).to_be_visible()
    finally:
        await asyncio.to_thread(served.stop)


async def give_second_code(tab: Page, served: Served) -> None:
    await headed(tab, "Confirm it is you")
    await tab.get_by_label("One-time code").fill(served.code("bob"))
    await press(tab, "Confirm")
