"""What was too late, out of date or from another tab: nothing is lost, and a way on is offered."""

from __future__ import annotations

import re

import pytest

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Enrolment
from gateway.web.rendering import moment
from tests.core.world import Person, World, caller
from tests.web.conftest import NewBrowser
from tests.web.site import Browser, Page
from tests.web.tour import give_key, phone_in

ANDROID = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"


def leads(page: Page, label: str) -> list[str]:
    """Where the links of that text lead."""
    return [a.attributes["href"] for a in page.markup.all("a") if a.text.strip() == label]


# -- expired logins and forms ------------------------------------------------------------------


async def test_a_login_form_that_was_open_too_long_starts_again_with_what_was_typed(
    browser: Browser, world: World
) -> None:
    door = await browser.get("/+auth/login?next=/simple/%3Fa=%2526b")
    world.clock.turn(12 * 3600 + 1)
    page = await browser.fill(door, "/+auth/login", user="Ann B", password="right")
    assert (page.status, page.reason) == (403, "csrf")
    assert Refusal(Slug.CSRF).text in page.text
    (way,) = leads(page, "Start again")
    again = await browser.get(way)
    form = again.form("/+auth/login")
    assert (form.fields["user"], form.fields["next"]) == ("Ann B", "/simple/?a=%26b")
    assert "right" not in page.text + again.text


@pytest.mark.parametrize("act", ["send", "look"])
async def test_a_login_that_took_too_long_begins_anew_where_it_led(
    browser: Browser, alice: Person, world: World, act: str
) -> None:
    asked = await browser.follow(await browser.give_password("alice", next="/simple/"))
    world.clock.turn(world.limits.pending + 1)
    if act == "send":
        page = await browser.fill(asked, "/+auth/verify", code=world.code(alice))
    else:
        page = await browser.get("/+auth/verify")
    assert (page.status, page.reason) == (401, "pending_expired")
    (way,) = leads(page, "Log in again")
    form = (await browser.get(way)).form("/+auth/login")
    assert (form.fields["user"], form.fields["next"]) == ("alice", "/simple/")


async def test_the_code_of_one_tab_with_the_login_of_another_starts_again(
    browser: Browser, alice: Person, world: World
) -> None:
    asked = await browser.follow(await browser.give_password("alice", next="/simple/"))
    await browser.give_password("alice")
    page = await browser.fill(asked, "/+auth/verify", code=world.code(alice))
    assert page.reason == "csrf"
    (way,) = leads(page, "Start again")
    passed = await browser.fill(await browser.get(way), "/+auth/verify", code=world.code(alice))
    assert passed.goes_to == "/simple/"


async def test_a_session_that_ended_leads_back_to_what_was_typed(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    start = await browser.get("/+auth/add?next=/simple/")
    kept = browser.cookies.pop("ig-session")
    page = await browser.fill(start, "/+auth/add/start", name="Work phone")
    assert (
        page.goes_to == "/+auth/login?next=/%2Bauth/add%3Fname%3DWork%2520phone%26next%3D/simple/"
    )
    browser.cookies["ig-session"] = kept
    await browser.get(page.goes_to)
    again = await browser.get("/+auth/add?name=Work%20phone&next=/simple/")
    form = again.form("/+auth/add/start")
    assert (form.fields["name"], form.fields["next"]) == ("Work phone", "/simple/")


async def test_a_step_up_that_ran_out_keeps_the_name_and_comes_back(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    overview = await browser.get("/+auth/")
    links = [a.attributes["href"] for a in overview.markup.all("a")]
    device = await browser.get(next(link for link in links if "/factor/" in link))
    world.clock.turn(world.limits.step_up + 1)
    page = await browser.fill(device, "/+auth/rename", name="Old & new")
    asked = await browser.follow(page)
    back = await browser.fill(asked, "/+auth/confirm", code=world.code(alice))
    again = await browser.follow(back)
    assert again.form("/+auth/rename").fields["name"] == "Old & new"
    assert again.alert == ""
    done = await browser.fill(again, "/+auth/rename")
    assert done.goes_to == "/+auth/?done=renamed"


async def test_the_script_that_adds_a_key_is_told_where_to_go_first(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    page = await browser.get("/+auth/add/key")
    form = next(form for form in page.markup.forms if form.data)
    world.clock.turn(world.limits.step_up + 1)
    told = await browser.post(
        "/+auth/webauthn/add", {"form_token": form.data["token"], "name": "Blue key"}
    )
    goto = "/+auth/confirm?next=/%2Bauth/add/key%3Fname%3DBlue%2520key"
    assert told.status == 401
    assert f'"goto": "{goto}"' in told.text


async def test_a_session_that_ended_on_the_step_up_page_leads_to_what_it_was_for(
    browser: Browser, alice: Person
) -> None:
    page = await browser.get("/+auth/confirm?next=/%2Bauth/add/key")
    assert page.goes_to == "/+auth/login?next=/%2Bauth/add/key"


# -- refusals ----------------------------------------------------------------------------------


async def test_a_refusal_keeps_the_header_of_who_is_logged_in(
    browser: Browser, alice: Person
) -> None:
    await browser.log_in(alice)
    for path in ("/+auth/nothing", "/+auth/factor/none", "/+auth/approve/none"):
        page = await browser.get(path)
        assert page.status == 404
        assert page.form("/+auth/logout"), path
        assert leads(page, "Security overview") == ["/+auth/"], path
        assert path not in [a.attributes["href"] for a in page.markup.all("a")], path
    left = await browser.fill(page, "/+auth/logout")
    assert left.goes_to == "/+auth/login", "its button works"


async def test_a_refusal_shows_nobody_in_the_header_where_nobody_is(browser: Browser) -> None:
    browser.cookies["ig-session"] = "x.y.z"
    page = await browser.get("/+auth/nothing")
    assert page.status == 404
    assert not page.markup.forms
    assert leads(page, "Security overview") == []


async def test_what_may_work_in_a_moment_is_offered_again(browser: Browser, alice: Person) -> None:
    door = await browser.get("/+auth/login?next=/simple/")
    browser.site.doorman.failing = Refusal(Slug.UPSTREAM_UNREACHABLE)
    page = await browser.fill(door, "/+auth/login", user="alice", password="right")
    assert (page.status, page.reason) == (502, "upstream_unreachable")
    assert leads(page, "Try again") == ["/+auth/login?user=alice&next=/simple/"]
    await browser.site.world.store.close()
    page = await browser.get("/+auth/verify")
    assert leads(page, "Try again") in ([], ["/+auth/verify"])


# -- already logged in, another name of the host ------------------------------------------------


async def test_the_login_page_tells_who_is_logged_in_already(
    browser: Browser, alice: Person
) -> None:
    await browser.log_in(alice)
    page = await browser.get("/+auth/login?next=/simple/")
    assert "You are logged in as alice" in page.text
    assert leads(page, "Go on") == ["/simple/"]
    again = await browser.fill(page, "/+auth/login", user="alice", password="no")
    assert (again.status, "You are logged in as alice" in again.text) == (401, True)
    assert (await browser.fill(again, "/+auth/logout")).goes_to == "/+auth/login"


@pytest.mark.parametrize(
    ("host", "said"),
    [("localhost:8080", False), ("LOCALHOST:8080", False), ("127.0.0.1:8080", True),
     ("localhost", True), ("localhost:x", True)],
)  # fmt: skip
async def test_another_name_of_the_host_is_told_before_a_password_is_typed(
    browser: Browser, host: str, said: bool
) -> None:
    page = await browser.send("GET", "/+auth/login", headers={"host": host})
    assert page.status == 200
    assert ("Not the address of this index" in page.text) is said
    assert bool(leads(page, "Go there")) is said


# -- setting up --------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"enrolment": Enrolment.OPTIONAL}], indirect=True)
async def test_a_first_set_up_of_who_is_logged_in_returns_to_where_they_came_from(
    browser: Browser, world: World
) -> None:
    await browser.give_password("bob")
    overview = await browser.get("/+auth/?next=/simple/")
    (way,) = leads(overview, "Set it up now")
    start = await browser.get(way)
    offer = await browser.follow(await browser.fill(start, "/+auth/add/start", name="Phone"))
    code = phone_in(offer).code(world.clock())
    codes = await browser.follow(await browser.fill(offer, "/+auth/add", code=code))
    done = await browser.fill(codes, "/+auth/add/recovery", saved="yes")
    assert done.goes_to == "/simple/"


@pytest.mark.parametrize("step", ["", "/key", "offer", "/recovery"])
async def test_every_step_of_a_first_set_up_can_be_cancelled_and_logged_out_of(
    browser: Browser, world: World, step: str
) -> None:
    page = await browser.follow(await browser.give_password("bob", next="/simple/"))
    if step == "/key":
        page = await browser.get("/+auth/enrol/key")
    if step in ("offer", "/recovery"):
        page = await browser.follow(await browser.fill(page, "/+auth/enrol/start", name="Phone"))
    if step == "/recovery":
        code = phone_in(page).code(world.clock())
        page = await browser.follow(await browser.fill(page, "/+auth/enrol", code=code))
    assert [f.action for f in page.markup.forms].count("/+auth/verify/cancel") == 2
    assert "Log out" in page.text
    kept = dict(browser.cookies)
    left = await browser.fill(page, "/+auth/verify/cancel")
    assert left.goes_to == "/+auth/login?done=cancelled"
    assert "set-up was cancelled" in (await browser.follow(left)).text
    browser.cookies = kept
    assert (await browser.get("/+auth/enrol")).reason == "pending_expired"
    assert (await browser.give_password("bob")).goes_to == "/+auth/enrol", "nothing was set up"


async def test_a_set_up_on_a_session_can_be_cancelled(browser: Browser, alice: Person) -> None:
    await browser.log_in(alice)
    start = await browser.get("/+auth/add?next=/simple/")
    offer = await browser.follow(await browser.fill(start, "/+auth/add/start", name="Tablet"))
    left = await browser.fill(offer, "/+auth/add/cancel")
    assert left.goes_to == "/simple/"
    assert "Name for this app" in (await browser.get("/+auth/add")).text


async def test_a_device_that_is_added_names_the_sessions_it_ended(
    browser: Browser, new_browser: NewBrowser, alice: Person, world: World
) -> None:
    other = caller("198.51.100.7", agent=ANDROID)
    await world.login(alice, caller=other)
    await browser.log_in(alice)
    start = await browser.get("/+auth/add")
    offer = await browser.follow(await browser.fill(start, "/+auth/add/start", name="Tablet"))
    code = phone_in(offer).code(world.clock())
    page = await browser.follow(await browser.fill(offer, "/+auth/add", code=code))
    assert "“Tablet” was added. Your other sessions were logged out." in page.text
    trail = world.ledger.details
    assert "a factor or the password changed" in trail
    again = await browser.get("/+auth/")
    assert "was added" not in again.text


@pytest.mark.parametrize("limits", [{"enrolment": Enrolment.OPTIONAL}], indirect=True)
async def test_the_last_factor_may_go_where_none_is_required(
    browser: Browser, world: World
) -> None:
    alice = Person("alice")
    await browser.give_password("alice")
    start = await browser.get("/+auth/add")
    offer = await browser.follow(await browser.fill(start, "/+auth/add/start", name="Phone"))
    code = phone_in(offer).code(world.clock())
    codes = await browser.follow(await browser.fill(offer, "/+auth/add", code=code))
    page = await browser.follow(await browser.fill(codes, "/+auth/add/recovery", saved="yes"))
    links = [a.attributes["href"] for a in page.markup.all("a")]
    device = await browser.get(next(link for link in links if "/factor/" in link))
    assert "Your password alone then protects your packages." in device.text
    assert device.form("/+auth/remove")
    await give_key(world, alice.name)
    device = await browser.get(next(link for link in links if "/factor/" in link))
    assert "password alone" not in device.text


# -- what people look for ----------------------------------------------------------------------


async def test_the_overview_says_first_that_one_is_protected(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    page = await browser.get("/+auth/")
    headings = [e.text for e in page.markup.all("h2")]
    assert headings[0] == "Your account is protected by a second factor"
    assert page.text.count("Add a second device") == 1
    await give_key(world, "alice")
    assert "There is nothing you have to do." in (await browser.get("/+auth/")).text


async def test_it_says_how_many_recovery_codes_are_used_and_when(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    for path in ("/+auth/", "/+auth/recovery"):
        assert not re.search(r"\d used", said(await browser.get(path)))
    for number, sentence in enumerate(("1 used, ", "2 used, the last ")):
        world.clock.turn(3600)
        step_up = await browser.get("/+auth/confirm?use=recovery&next=/%2Bauth/")
        code = alice.codes[number]
        assert (await browser.fill(step_up, "/+auth/confirm", code=code)).status == 303
        await browser.site.trail.record(Event.RECOVERY_CODE_USED, "alice", alice.caller.origin)
        when = moment(world.clock())
        for path in ("/+auth/", "/+auth/recovery"):
            assert f"{sentence}{when}." in said(await browser.get(path)), path


def said(page: Page) -> str:
    return " ".join(" ".join(e.text for e in page.markup.all("p")).split())


async def test_who_has_lost_something_is_told_what_to_do(browser: Browser, alice: Person) -> None:
    door = await browser.get("/+auth/login")
    titles = [e.text for e in door.markup.all("summary")]
    assert titles == ["Forgot password?", "Lost phone and codes?"]
    asked = await browser.follow(await browser.give_password("alice"))
    assert [e.text for e in asked.markup.all("summary")] == ["Lost phone and codes?"]


async def test_no_page_is_heavy(pages: dict[str, Page], browser: Browser) -> None:
    """All of it, scripts too; the first paint needs one request beside the page: the style."""
    sizes: dict[str, int] = {}
    for name, page in pages.items():
        if not page.text.startswith("<!doctype"):
            continue
        links = [e.attributes for e in page.markup.all("link")]
        styles = [one["href"] for one in links if one["rel"] == "stylesheet"]
        scripts = page.markup.all("script")
        assert len(styles) == 1, name
        assert all("defer" in one.attributes for one in scripts), name
        assert not page.markup.all("img"), name
        total = len(page.text.encode())
        for path in (*styles, *(one.attributes["src"] for one in scripts)):
            if path not in sizes:
                sizes[path] = len((await browser.get(path)).text.encode())
            total += sizes[path]
        assert total < 60 * 1024, (name, total)
