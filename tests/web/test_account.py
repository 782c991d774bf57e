"""What a person who is logged in sees and changes, and what each change needs first."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import pytest

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Enrolment
from gateway.core.notices.events import Notice
from gateway.core.throttle.limits import CHANGES
from gateway.core.upstream import Action
from gateway.web.handlers.activity import PAGE, WORDS
from tests.core.world import START, Person, World, caller, wrong_code
from tests.web.conftest import NewBrowser
from tests.web.site import Browser, Connect, Page, Site
from tests.web.tour import command_line_login, give_key, phone_in

SESSION, DEVICE = "ig-session", "ig-device"


async def overview(browser: Browser) -> Page:
    page = await browser.get("/+auth/")
    assert page.status == 200, page.text
    return page


def names(page: Page) -> list[str]:
    """The things listed on a page, by their names."""
    found = [e for e in page.markup.elements if e.attributes.get("class") == "thing-name"]
    return [" ".join(element.text.split()) for element in found]


async def device_page(browser: Browser, name: str) -> Page:
    page = await overview(browser)
    link = next(
        a for a in page.markup.all("a") if a.attributes.get("aria-label") == f"Manage {name}"
    )
    return await browser.get(link.attributes["href"])


# -- apps --------------------------------------------------------------------------------------


async def test_a_second_app_is_added_renamed_and_removed(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    old = browser.cookies[SESSION]
    form = await browser.get("/+auth/add")
    offer = await browser.follow(await browser.fill(form, "/+auth/add/start", name="Tablet"))
    tablet = phone_in(offer)
    world.clock.turn(30)
    done = await browser.fill(offer, "/+auth/add", code=tablet.code(world.clock()))
    assert done.goes_to == "/+auth/?done=added"
    assert (
        "“Tablet” was added. Your other sessions were logged out."
        in (await browser.follow(done)).text
    )
    assert browser.cookies[SESSION] != old, "a new id after every step up"
    assert names(await browser.follow(done))[:2] == ["phone", "Tablet"]

    renamed = await browser.fill(
        await device_page(browser, "Tablet"), "/+auth/rename", name="Old tablet"
    )
    assert names(await browser.follow(renamed))[:2] == ["phone", "Old tablet"]

    removed = await browser.fill(await device_page(browser, "phone"), "/+auth/remove")
    assert names(await browser.follow(removed))[0] == "Old tablet"
    again = await browser.follow(await browser.give_password("alice"))
    assert (await browser.fill(again, "/+auth/verify", code=world.code(alice))).status == 401


@pytest.mark.parametrize(
    ("name", "slug"),
    [("phone", "name_taken"), ("", "field_missing"), ("x" * 61, "unusable_label")],
)
async def test_a_name_that_does_not_do_is_said_on_the_form(
    browser: Browser, alice: Person, name: str, slug: str
) -> None:
    await browser.log_in(alice)
    form = await browser.get("/+auth/add")
    page = await browser.fill(form, "/+auth/add/start", name=name)
    assert page.alert == Refusal(Slug(slug), what="The name").text
    assert page.form("/+auth/add/start").fields["name"] == name


async def test_the_last_factor_stays_where_one_is_required(browser: Browser, alice: Person) -> None:
    await browser.log_in(alice)
    device = await device_page(browser, "phone")
    assert "This is your only second factor" in device.text
    assert [form.action for form in device.markup.forms] == ["/+auth/logout", "/+auth/rename"]
    token = browser.site.pages()._kit.tokens.make(browser.cookies["ig-session"], "/+auth/remove")
    fields = {"form_token": token, "id": device.form("/+auth/rename").fields["id"]}
    page = await browser.post("/+auth/remove", fields)
    assert (page.status, page.alert) == (409, Refusal(Slug.LAST_FACTOR).text)


@pytest.mark.parametrize("limits", [{"enrolment": Enrolment.OPTIONAL}], indirect=True)
async def test_who_has_no_factor_is_shown_what_to_do_first(browser: Browser) -> None:
    assert (await browser.give_password("bob")).goes_to == "/+auth/"
    page = await overview(browser)
    main_acts = [a for a in page.markup.all("a") if "main-act" in a.attributes.get("class", "")]
    assert [a.attributes["href"] for a in main_acts] == ["/+auth/add"]
    offer = await browser.follow(
        await browser.fill(await browser.get("/+auth/add"), "/+auth/add/start", name="Phone")
    )
    world = browser.site.world
    code = phone_in(offer).code(world.clock())
    codes = await browser.follow(await browser.fill(offer, "/+auth/add", code=code))
    done = await browser.fill(codes, "/+auth/add/recovery", saved="yes")
    assert names(await browser.follow(done))[0] == "Phone"


@pytest.mark.parametrize(
    "limits",
    [{"required_from": START + 5 * 86400, "enrolment": Enrolment.REQUIRED}],
    indirect=True,
)
async def test_a_grace_period_counts_down(browser: Browser, world: World) -> None:
    first = await browser.give_password("bob", next="/simple/")
    assert first.goes_to == "/+auth/?next=/simple/"
    page = await browser.follow(first)
    assert "within 5 days" in page.text
    assert "/simple/" in [a.attributes["href"] for a in page.markup.all("a")]
    world.clock.turn(4 * 86400 + 3600)
    await browser.give_password("bob")
    assert "within 23 hours" in (await overview(browser)).text
    world.clock.turn(86400)
    assert (await browser.give_password("bob")).goes_to == "/+auth/enrol"


# -- recovery codes ----------------------------------------------------------------------------


async def use_code(browser: Browser, code: str) -> Page:
    await browser.give_password("alice")
    return await browser.fill(
        await browser.get("/+auth/verify?use=recovery"), "/+auth/verify", code=code
    )


def shown_codes(page: Page) -> list[str]:
    return [item.text.strip() for item in page.markup.all("li")]


async def new_codes(browser: Browser, person: Person) -> Page:
    """Show a factor for new codes; the page with them."""
    world = browser.site.world
    form = await browser.get("/+auth/recovery")
    page = await browser.fill(form, "/+auth/recovery", code=world.code(person))
    return await browser.follow(page) if page.status == 303 else page


async def test_recovery_codes_take_a_factor_of_their_own(
    browser: Browser, alice: Person, world: World
) -> None:
    """A login of this very second does not do, nor does a code that was used for it."""
    await browser.log_in(alice)
    form = await browser.get("/+auth/recovery")
    assert alice.phone is not None
    used, wrong = alice.phone.code(world.clock()), wrong_code(alice, world.clock())
    for code, status in (("", 400), (used, 401), (wrong, 401)):
        page = await browser.fill(form, "/+auth/recovery", code=code)
        assert page.status == status
        assert shown_codes(page) == []
        assert page.form("/+auth/recovery").fields["kind"] == "totp"
    assert (await browser.post("/+auth/recovery", form.form("/+auth/recovery").fields)).alert
    shown = await browser.post("/+auth/add/recovery", form.form("/+auth/recovery").fields)
    assert (shown.status, shown_codes(shown)) == (403, [])
    assert len(shown_codes(await new_codes(browser, alice))) == 10


async def test_more_new_codes_than_allowed_leave_the_session_alive(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    for _ in range(CHANGES[0].limit + 1):
        page = await new_codes(browser, alice)
    assert (page.status, shown_codes(page)) == (429, [])
    assert (await overview(browser)).status == 200


async def test_new_recovery_codes_replace_the_old_ones_at_once(
    browser: Browser, new_browser: NewBrowser, alice: Person
) -> None:
    await browser.log_in(alice)
    old = browser.cookies[SESSION]
    shown = await new_codes(browser, alice)
    fresh = shown_codes(shown)
    assert len(fresh) == 10
    assert browser.cookies[SESSION] != old
    other = new_browser()
    assert (await use_code(other, alice.codes[0])).status == 401
    assert (await use_code(other, fresh[1])).status == 303
    done = await browser.fill(shown, "/+auth/add/recovery", code=fresh[0])
    assert done.goes_to == "/+auth/?done=codes"
    assert "9 codes left" in (await browser.follow(done)).text


async def test_codes_on_a_lost_page_are_asked_after_until_they_are_confirmed(
    browser: Browser, new_browser: NewBrowser, alice: Person
) -> None:
    await browser.log_in(alice)
    await new_codes(browser, alice)
    assert "recovery codes are not confirmed" in (await overview(browser)).text
    other = new_browser()
    passed = await other.log_in(alice, next="/simple/")
    assert passed.goes_to == "/+auth/?next=/simple/"
    page = await other.follow(passed)
    links = {a.text.strip(): a.attributes["href"] for a in page.markup.all("a")}
    assert links["Later"] == "/simple/"
    asked = await other.get(links["I have them"])
    instead = {a.text.strip(): a.attributes["href"] for a in asked.markup.all("a")}
    assert shown_codes(asked) == [], "another browser"
    assert instead["Make new codes instead"] == "/+auth/recovery"
    again = await new_codes(other, alice)
    assert len(shown_codes(again)) == 10
    await other.fill(again, "/+auth/add/recovery", saved="yes")
    assert "not confirmed" not in (await overview(other)).text
    assert (await other.get("/+auth/add/recovery")).goes_to == "/+auth/", "nothing is left to do"
    assert (await new_browser().log_in(alice, next="/simple/")).goes_to == "/simple/"


async def test_new_codes_are_shown_again_until_they_are_confirmed(
    browser: Browser, alice: Person, world: World
) -> None:
    """By a reload, the way back, an empty form; later for a factor; never after Finish."""
    await browser.log_in(alice)
    page = await new_codes(browser, alice)
    codes = shown_codes(page)
    assert len(codes) == 10
    again = await browser.get("/+auth/add/recovery")
    empty = await browser.fill(again, "/+auth/add/recovery")
    assert (empty.status, empty.alert) == (400, Refusal(Slug.RECOVERY_UNCONFIRMED).text)
    assert shown_codes(again) == shown_codes(empty) == codes
    world.clock.turn(world.limits.step_up + 1)
    locked = await browser.get("/+auth/add/recovery")
    assert (locked.status, shown_codes(locked)) == (200, [])
    links = {a.text.strip(): a.attributes["href"] for a in locked.markup.all("a")}
    asked = await browser.get(links["Show the codes again"])
    back = await browser.fill(asked, "/+auth/confirm", code=world.code(alice))
    assert shown_codes(await browser.follow(back)) == codes
    await browser.log_in(alice)
    assert shown_codes(await browser.get("/+auth/add/recovery")) == codes, "the same browser"
    await browser.fill(await browser.get("/+auth/add/recovery"), "/+auth/add/recovery", saved="yes")
    assert (await browser.get("/+auth/add/recovery")).goes_to == "/+auth/"
    assert (await use_code(browser, codes[0])).status == 303


async def test_new_codes_are_not_shown_for_ever(
    browser: Browser, alice: Person, world: World
) -> None:
    """Neither going on with the session nor another offer prolongs it, or ends it early."""
    await browser.log_in(alice)
    codes = shown_codes(await new_codes(browser, alice))
    form = await browser.get("/+auth/add")
    await browser.fill(form, "/+auth/add/start", name="Tablet")
    assert shown_codes(await browser.get("/+auth/add/recovery")) == codes
    world.clock.turn(world.limits.enrolling - 60)
    await browser.log_in(alice)
    assert shown_codes(await browser.get("/+auth/add/recovery")) == codes
    world.clock.turn(61)
    await browser.log_in(alice)
    page = await browser.get("/+auth/add/recovery")
    assert (page.status, shown_codes(page)) == (200, [])
    done = await browser.fill(page, "/+auth/add/recovery", code=codes[1])
    assert done.goes_to == "/+auth/?done=codes", "they count as long as nothing replaces them"


async def test_three_codes_left_are_warned_of(browser: Browser, alice: Person) -> None:
    for number in range(7):
        await browser.give_password("alice")
        asked = await browser.get("/+auth/verify?use=recovery")
        await browser.fill(asked, "/+auth/verify", code=alice.codes[number])
        left = 9 - number
        warned = "recovery codes left" in (await overview(browser)).text
        assert warned == (left <= 3), left


# -- remembered devices and sessions -----------------------------------------------------------


async def test_a_remembered_device_passes_until_it_is_forgotten(
    browser: Browser, alice: Person
) -> None:
    await browser.log_in(alice, remember=True)
    assert (await browser.give_password("alice")).goes_to == "/+auth/", "no code asked"
    page = await overview(browser)
    assert "Firefox on Linux this device" in names(page)
    gone = await browser.fill(page, "/+auth/devices/forget")
    assert gone.goes_to == "/+auth/?done=forgotten"
    assert (await browser.give_password("alice")).goes_to == "/+auth/verify"


async def test_a_device_can_be_remembered_later(browser: Browser, alice: Person) -> None:
    await browser.log_in(alice)
    page = await browser.fill(await overview(browser), "/+auth/devices/remember")
    assert page.goes_to == "/+auth/?done=remembered"
    assert "Max-Age=2592000" in page.set_cookies()[DEVICE]
    assert (await browser.give_password("alice")).goes_to == "/+auth/"


@pytest.mark.parametrize("limits", [{"remember": 0.0}], indirect=True)
async def test_remembering_can_be_off(browser: Browser, alice: Person) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    assert "emember" not in asked.text
    code = browser.site.world.code(alice)
    page = await browser.fill(asked, "/+auth/verify", code=code, remember="yes")
    assert DEVICE not in page.set_cookies()
    assert "emember" not in (await overview(browser)).text


async def test_sessions_are_ended_one_by_one_and_all_at_once(
    browser: Browser, new_browser: NewBrowser, alice: Person
) -> None:
    others = [new_browser(), new_browser(), new_browser()]
    for one in [*others, browser]:
        await one.log_in(alice)
    page = await browser.get("/+auth/sessions")
    ends = [form for form in page.markup.forms if form.action == "/+auth/sessions/end"]
    assert len(ends) == 4, "the present one is ended by logging out"
    said = await browser.follow(await browser.post("/+auth/sessions/end", ends[0].fields))
    assert "The session has ended." in said.text
    alive = [(await one.get("/+auth/")).status == 200 for one in others]
    assert alive.count(False) == 1
    await browser.fill(await overview(browser), "/+auth/sessions/end-others")
    assert [(await one.get("/+auth/")).status for one in others] == [303, 303, 303]
    assert len(names(await overview(browser))) >= 1


async def test_logging_out_by_its_address_takes_a_button(browser: Browser, alice: Person) -> None:
    """A page that is looked at changes nothing; who is logged out already is told so."""
    await browser.log_in(alice)
    page = await browser.get("/+auth/logout")
    assert page.status == 200
    assert "Log out?" in page.text
    assert (await browser.get("/+auth/")).status == 200, "still logged in"
    button = [form for form in page.markup.forms if form.action == "/+auth/logout"][-1]
    assert (await browser.post(button.action, button.fields)).goes_to == "/+auth/login"
    for page in (await browser.get("/+auth/logout"), await browser.post(button.action, {})):
        assert page.status == 200
        assert "You are logged out" in page.text


# -- proving it again --------------------------------------------------------------------------

NEED_PROOF = ["/+auth/add", "/+auth/add/key"]


@pytest.mark.parametrize("path", NEED_PROOF)
async def test_a_change_after_two_minutes_needs_a_factor_again_and_comes_back(
    browser: Browser, alice: Person, world: World, path: str
) -> None:
    await browser.log_in(alice)
    assert (await browser.get(path)).status == 200
    world.clock.turn(121)
    away = await browser.get(path)
    assert away.goes_to == f"/+auth/confirm?next=/%2Bauth{path.removeprefix('/+auth')}"
    form = await browser.follow(away)
    wrong = await browser.fill(form, "/+auth/confirm", code=wrong_code(alice, world.clock()))
    assert wrong.status == 401
    old = browser.cookies[SESSION]
    back = await browser.fill(wrong, "/+auth/confirm", code=world.code(alice))
    assert back.goes_to == path
    assert browser.cookies[SESSION] != old
    assert (await browser.follow(back)).status == 200
    browser.cookies[SESSION] = old
    assert (await browser.get(path)).status == 303, "the id before is dead"


async def test_a_form_sent_too_late_changes_nothing(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    form = await device_page(browser, "phone")
    world.clock.turn(121)
    page = await browser.fill(form, "/+auth/rename", name="Other")
    assert page.goes_to.startswith("/+auth/confirm?next=")
    assert "phone" in names(await overview(browser))


async def test_a_recovery_code_proves_it_too_but_the_password_does_not(
    browser: Browser, alice: Person
) -> None:
    await browser.log_in(alice)
    form = await browser.get("/+auth/confirm?use=recovery&next=/+auth/add")
    assert "password" not in [e.attributes.get("type") for e in form.markup.all("input")]
    page = await browser.fill(form, "/+auth/confirm", code=alice.codes[0])
    assert page.goes_to == "/+auth/add"


async def test_the_factor_used_last_is_offered_first(
    browser: Browser, alice: Person, world: World
) -> None:
    await give_key(world, "alice", last=True)
    asked = await browser.follow(await browser.give_password("alice"))
    assert asked.form("/+auth/verify").data["webauthn"] == "get"
    others = [a.attributes["href"] for a in asked.markup.all("a") if "use=" in str(a)]
    back = "next=/%2Bauth/"  # where the login leads, whatever other tabs do
    assert others == [f"/+auth/verify?use={one}&{back}" for one in ("totp", "recovery")]


# -- keys, as far as a browser is not needed ---------------------------------------------------


async def test_the_script_gets_options_only_with_its_token(
    browser: Browser, alice: Person, world: World
) -> None:
    await give_key(world, "alice")
    await browser.give_password("alice")
    form = (await browser.get("/+auth/verify?use=webauthn")).form("/+auth/verify")
    path = form.data["options"]
    got = await browser.post(path, {"form_token": form.data["token"]})
    assert got.status == 200
    assert got.headers["content-type"] == "application/json"
    assert '"rpId": "localhost"' in got.text
    forged = await browser.post(path, {"form_token": form.fields["form_token"]})
    assert (forged.status, '"slug": "csrf"' in forged.text) == (403, True)


async def test_a_key_that_cannot_be_read_is_refused_with_the_form(
    browser: Browser, alice: Person
) -> None:
    await browser.log_in(alice)
    form = await browser.get("/+auth/add/key")
    await browser.post(
        form.form("/+auth/add/key").data["options"],
        {"form_token": form.form("/+auth/add/key").data["token"], "name": "Key"},
    )
    page = await browser.fill(form, "/+auth/add/key", code='{"id": "x"}')
    assert (page.status, page.alert) == (400, Refusal(Slug.KEY_REFUSED).text)


async def test_a_passkey_nobody_has_is_refused_with_the_form(browser: Browser) -> None:
    door = await browser.get("/+auth/login?next=/x")
    form = door.form("/+auth/passkey")
    got = await browser.post(form.data["options"], {"form_token": form.data["token"]})
    assert '"ticket"' in got.text
    page = await browser.fill(door, "/+auth/passkey", ticket="x", code="{}")
    assert page.status in (400, 401)
    assert SESSION not in browser.cookies


# -- approving ---------------------------------------------------------------------------------


async def send_number(browser: Browser, page: Page, path: str, number: str) -> Page:
    form = next(one for one in page.markup.forms if "number" in one.fields)
    assert form.action == path
    return await browser.post(path, {**form.fields, "number": number})


@pytest.mark.parametrize("written", [" {} ", "{0[0]} {0[1]}", "wide"])
async def test_the_number_is_read_as_people_write_it(
    browser: Browser, alice: Person, world: World, written: str
) -> None:
    await browser.log_in(alice)
    path, number = await command_line_login(world, "alice")
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in number)
    typed = wide if written == "wide" else written.format(number)
    page = await send_number(browser, await browser.get(path), path, typed)
    assert page.goes_to == path


@pytest.mark.parametrize("typed", ["", "4", "420", "no", "0x", "1.5"])
async def test_what_is_no_number_of_two_digits_denies_nothing(
    browser: Browser, alice: Person, world: World, typed: str
) -> None:
    await browser.log_in(alice)
    path, number = await command_line_login(world, "alice")
    page = await send_number(browser, await browser.get(path), path, typed)
    assert (page.status, page.alert) == (400, Refusal(Slug.NUMBER_UNREADABLE).text)
    assert (await send_number(browser, page, path, number)).goes_to == path


async def test_logins_that_wait_stand_on_the_overview(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    path, number = await command_line_login(world, "alice")
    page = await browser.get("/+auth/")
    assert "A command-line login waits for you" in page.text
    assert path in [a.attributes["href"] for a in page.markup.all("a")]
    shown = " ".join(e.text for e in page.markup.all("main")).replace("192.0.2.10", "")
    assert re.search(rf"(?<![0-9]){number}(?![0-9])", shown) is None, "it must not show it"
    timer = next(e for e in page.markup.elements if "data-seconds" in e.attributes)
    assert timer.attributes["data-seconds"] == "120"
    assert timer.text.strip() == "2 minutes, until 08:03:00 UTC", "without a script"
    await send_number(browser, await browser.get(path), path, number)
    assert "waits for you" not in (await browser.get("/+auth/")).text, "approved"
    world.clock.turn(300)
    await command_line_login(world, "alice")
    world.clock.turn(121)
    assert "waits for you" not in (await browser.get("/+auth/")).text, "too late"


DENIALS = {
    "denied": ("yes", Slug.APPROVAL_DENIED, Event.COMMAND_LINE_DENIED, Notice.LOGIN_DENIED),
    "reported": (
        "report",
        Slug.APPROVAL_REPORTED,
        Event.COMMAND_LINE_REPORTED,
        Notice.LOGIN_REPORTED,
    ),
    "another number": (
        "",
        Slug.APPROVAL_DENIED,
        Event.COMMAND_LINE_DENIED,
        Notice.LOGIN_DENIED,
    ),
}


@pytest.mark.parametrize("how", DENIALS)
async def test_a_login_is_denied(browser: Browser, alice: Person, world: World, how: str) -> None:
    await browser.log_in(alice)
    path, number = await command_line_login(world, "alice")
    page = await browser.get(path)
    deny, slug, event, notice = DENIALS[how]
    if deny:
        form = next(one for one in reversed(page.markup.forms) if one.action == path)
        page = await browser.post(path, {**form.fields, "deny": deny})
    else:
        page = await send_number(browser, page, path, str(10 + (int(number) - 9) % 90))
    assert (page.status, page.reason) == (403, slug)
    links = [a.attributes["href"] for a in page.markup.all("a")]
    assert "/+auth/password" in links, "told where to change the password"
    assert (await browser.get(path)).reason == "approval_gone"
    assert event in world.ledger.names()
    assert world.ledger.notices[-1] == (notice, "alice")


async def test_a_command_line_login_is_approved_once(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    path, number = await command_line_login(world, "alice")
    page = await browser.get(path)
    assert "devpi-client" in page.text
    shown = " ".join(e.text for e in page.markup.all("main")).replace("192.0.2.10", "")
    assert re.search(rf"(?<![0-9]){number}(?![0-9])", shown) is None, "it must not show it"
    done = await send_number(browser, page, path, number)
    assert done.goes_to == path
    assert "Login approved" in (await browser.follow(done)).text
    assert Event.COMMAND_LINE_APPROVED in world.ledger.names()


async def test_approving_needs_a_recent_factor(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    world.clock.turn(121)
    path, _ = await command_line_login(world, "alice")
    page = await browser.get(path)
    assert page.goes_to.startswith("/+auth/confirm?next=/%2Bauth/approve/")
    form = await browser.follow(page)
    back = await browser.fill(form, "/+auth/confirm", code=world.code(alice))
    assert back.goes_to == path
    assert (await browser.follow(back)).markup.forms[1].action == path


async def test_an_approval_that_came_too_late_says_so(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    world.clock.turn(60)
    path, _ = await command_line_login(world, "alice")
    assert (await browser.get(path)).status == 200
    world.clock.turn(121)
    await browser.log_in(alice)
    late = await browser.get(path)
    assert (late.status, late.reason) == (404, "approval_gone")


# -- activity ----------------------------------------------------------------------------------


async def test_people_see_what_happened_to_them_and_to_nobody_else(
    browser: Browser, alice: Person, world: World
) -> None:
    origin = alice.caller.origin
    await browser.site.trail.record(Event.FACTOR_REFUSED, "alice", origin)
    await browser.site.trail.record(Event.RESET, "mallory", origin)
    await browser.log_in(alice)
    page = await browser.get("/+auth/activity")
    assert names(page) == [WORDS[Event.FACTOR_REFUSED]]
    assert [e.text for e in page.markup.all("td")][2] == "Firefox on Linux192.0.2.10"


async def test_ones_own_typo_is_not_marked(browser: Browser, alice: Person, world: World) -> None:
    """A wrong answer that a right one follows, from the same address and program; others are."""
    trail, mine, other = browser.site.trail, alice.caller.origin, caller("203.0.113.9").origin
    await trail.record(Event.FACTOR_REFUSED, "alice", other, detail="passkey alone")
    await trail.record(Event.FACTOR_REFUSED, "alice", mine)
    world.clock.turn(60)
    await trail.record(Event.LOGIN, "alice", mine)
    world.clock.turn(1)
    await trail.record(Event.FACTOR_REFUSED, "alice", mine, detail="step up")
    await browser.log_in(alice)
    page = await browser.get("/+auth/activity")
    marked = [e.text for e in page.markup.all("td") if "worth a look" in e.text]
    assert [" ".join(text.split()) for text in marked] == [
        "Wrong second factor, on a session that was logged in worth a look",
        "Wrong passkey worth a look",
    ]


def test_every_event_of_a_person_has_words() -> None:
    machines = {Event.RETENTION, Event.KEYS_ROTATED, Event.STORE_RESTORED}
    machines |= {Event.LEAK_REPORT_REFUSED}  # about nobody
    files = {Event.UPLOAD, Event.UPLOAD_REFUSED, Event.UPLOAD_FAILED, Event.DOWNLOAD}
    assert set(WORDS) == set(Event) - machines - files


async def test_activity_is_shown_by_days_in_pages_and_by_kind(
    browser: Browser, alice: Person, world: World
) -> None:
    trail, mine = browser.site.trail, alice.caller.origin
    for number in range(60):
        await trail.record(Event.LOGIN, "alice", mine, factor=f"totp phone{number}")
        world.clock.turn(3600)
    await trail.record(Event.TOKEN_MADE, "alice", mine)
    await browser.log_in(alice)
    first = await browser.get("/+auth/activity")
    assert len(names(first)) == PAGE
    days = [e.text for e in first.markup.all("h2")]
    assert days[:2] == ["17 January 2027", "16 January 2027"]
    assert "Page 1 of 2" in first.text
    second = await browser.get("/+auth/activity?page=2")
    assert len(names(second)) == 11
    assert len(names(await browser.get("/+auth/activity?page=99999"))) == 11
    assert names(await browser.get("/+auth/activity?show=tokens")) == ["API token made"]
    odd = await browser.get("/+auth/activity?show=%3Cb%3E&page=-1")
    assert len(names(odd)) == PAGE


async def test_activity_is_saved_as_csv_and_json(browser: Browser, alice: Person) -> None:
    origin = replace(alice.caller.origin, user_agent='=cmd|" /C calc"!A0', path="/a;=1+1")
    await browser.site.trail.record(Event.LOGIN, "alice", origin, factor="totp -phone")
    await browser.site.trail.record(Event.LOGIN, "mallory", origin)
    await browser.log_in(alice)
    page = await browser.get("/+auth/activity.csv?show=logins")
    assert page.headers["content-type"] == "text/csv; charset=utf-8"
    assert page.headers["content-disposition"] == 'attachment; filename="activity.csv"'
    heading, entry = csv.reader(page.text.splitlines())
    assert (heading[3], entry[3]) == ("user", "alice")
    assert entry[5] == '\'=cmd|" /C calc"!A0'
    assert entry[7] == "/a;'=1+1"
    (found,) = json.loads((await browser.get("/+auth/activity.json")).text)
    assert found["user_agent"] == '=cmd|" /C calc"!A0', "as it is"
    assert json.loads((await browser.get("/+auth/activity.json?show=tokens")).text) == []
    assert (await browser.send("HEAD", "/+auth/activity.csv")).text == ""


async def test_sessions_say_since_when_by_what_and_from_where(
    site: Site, connect: Connect, alice: Person
) -> None:
    site.country = {"192.0.2.10": "Iceland"}.__getitem__
    browser = Browser(site, await connect(site))
    await browser.log_in(alice, remember=True)
    await browser.give_password("alice")
    page = await browser.get("/+auth/sessions")
    facts = [e.text for e in page.markup.all("dd")]
    assert facts[2:4] == ["remembered device", "192.0.2.10 (Iceland)"]
    waits, _number = await command_line_login(site.world, "alice")
    asked = await site.world.flow.granting.ask((Action.READ,), 3600, alice.caller)
    site.world.clock.turn(30)
    fresh = Browser(site, await connect(site))  # a remembered device approves nothing
    await fresh.log_in(alice)
    await site.trail.record(Event.LOGIN, alice.name, alice.caller.origin)
    for path in (waits, f"/+auth/connect/{asked.id}", "/+auth/", "/+auth/activity"):
        shown = (await fresh.get(path)).text
        assert "192.0.2.10 (Iceland)" in shown, path
        assert "192.0.2.10<" not in shown, path
    assert facts[6] == "authenticator app"
    assert facts[0].endswith("UTC")
