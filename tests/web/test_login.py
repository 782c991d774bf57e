"""Logging in through the pages: password, second factor, first set-up, and the way back."""

from __future__ import annotations

import pytest

from gateway.core.administration import Admin
from gateway.core.errors import MESSAGES, Refusal, Slug
from gateway.core.http.facts import Facts
from gateway.core.login.models import Enrolment, Held
from gateway.web.context import Ask
from tests.core.world import Person, Phone, World, earned, wrong_code
from tests.web.conftest import NewBrowser
from tests.web.site import Browser, Page, Site
from tests.web.tour import phone_in

SESSION, PENDING = "ig-session", "ig-pending"


async def overview(browser: Browser) -> Page:
    return await browser.get("/+auth/")


async def test_password_then_code_leads_back_to_the_page_asked_for(
    browser: Browser, alice: Person
) -> None:
    first = await browser.give_password("alice", next="/alice/dev%3Fx")
    assert first.goes_to == "/+auth/verify"
    assert SESSION not in browser.cookies
    assert "auth_tkt" not in browser.cookies, "held back until the second factor"
    asked = await browser.follow(first)
    last = await browser.fill(asked, "/+auth/verify", code=browser.site.world.code(alice))
    assert last.goes_to == "/alice/dev?x"
    assert browser.cookies.keys() >= {SESSION, "auth_tkt"}
    assert PENDING not in browser.cookies
    assert "alice" in (await overview(browser)).text


async def test_a_wrong_password_shows_the_form_again(browser: Browser) -> None:
    page = await browser.give_password("alice", password="wrong")
    assert page.status == 401
    assert page.alert == Refusal(Slug.PASSWORD_INVALID).text
    assert page.form("/+auth/login").fields["user"] == "alice"
    assert page.form("/+auth/login").fields["password"] == ""
    assert PENDING not in browser.cookies


@pytest.mark.parametrize("missing", ["user", "password"])
async def test_an_empty_field_is_never_asked_of_the_upstream(
    browser: Browser, site: Site, missing: str
) -> None:
    door = await browser.get("/+auth/login")
    fields = {"user": "alice", "password": "right", missing: ""}
    page = await browser.fill(door, "/+auth/login", **fields)
    assert page.status == 400
    assert site.doorman.asked == []


async def test_a_wrong_code_shows_the_form_again_and_a_right_one_still_passes(
    browser: Browser, alice: Person, world: World
) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    again = await browser.fill(asked, "/+auth/verify", code=wrong_code(alice, world.clock()))
    assert again.status == 401
    assert again.alert == Refusal(Slug.OTP_INVALID).text
    assert SESSION not in browser.cookies
    last = await browser.fill(again, "/+auth/verify", code=world.code(alice))
    assert last.goes_to == "/+auth/"


async def test_a_code_works_once(browser: Browser, new_browser: NewBrowser, alice: Person) -> None:
    code = browser.site.world.code(alice)
    asked = await browser.follow(await browser.give_password("alice"))
    assert (await browser.fill(asked, "/+auth/verify", code=code)).status == 303
    other = new_browser()
    asked = await other.follow(await other.give_password("alice"))
    assert (await other.fill(asked, "/+auth/verify", code=code)).status == 401


async def test_a_recovery_code_passes_once(browser: Browser, alice: Person) -> None:
    for status in (303, 401):
        await browser.give_password("alice")
        asked = await browser.get("/+auth/verify?use=recovery")
        page = await browser.fill(asked, "/+auth/verify", code=alice.codes[0])
        assert page.status == status
    assert page.alert == Refusal(Slug.OTP_INVALID, recovery="yes").text


async def test_too_many_wrong_codes_are_told_how_long_to_wait(
    browser: Browser, alice: Person, world: World
) -> None:
    """They are warned before, and offered what works in the meantime."""
    asked = await browser.follow(await browser.give_password("alice"))
    wrong = wrong_code(alice, world.clock())
    said = [(await browser.fill(asked, "/+auth/verify", code=wrong)).alert for _ in range(5)]
    usual, warned = Refusal(Slug.OTP_INVALID).text, Refusal(Slug.OTP_INVALID, last="yes").text
    held = (
        "This one-time code is wrong or was used before. App codes work again in 5 minutes. You "
        "can use a recovery code or security key now."
    )
    assert said == [usual, usual, usual, warned, held]
    page = await browser.fill(asked, "/+auth/verify", code=wrong)
    assert (page.status, int(page.headers["retry-after"])) == (429, 300)
    assert page.alert == (
        "Too many wrong codes. App codes work again in 5 minutes. You can use a recovery code or "
        "security key now."
    )
    assert page.form("/+auth/verify").fields["kind"] == "recovery"
    passed = await browser.fill(page, "/+auth/verify", code=alice.codes[0])
    assert passed.goes_to == "/+auth/"


async def test_an_address_that_guesses_passwords_is_slowed_and_the_upstream_left_alone(
    browser: Browser, site: Site, world: World, alice: Person
) -> None:
    door = await browser.get("/+auth/login")
    page = door
    for number in range(200):
        page = await browser.fill(door, "/+auth/login", user=f"guess{number}", password="no")
        if page.status == 429:
            break
    assert (page.status, page.reason) == (429, "throttled")
    assert int(page.headers["retry-after"]) > 0
    asked = len(site.doorman.asked)
    await browser.fill(door, "/+auth/login", user="alice", password="right")
    assert len(site.doorman.asked) == asked
    world.clock.turn(3600)
    assert (await browser.give_password("alice")).goes_to == "/+auth/verify"


# -- the first time ----------------------------------------------------------------------------


async def enrol(browser: Browser, user: str) -> tuple[Page, Phone]:
    """As far as the recovery codes."""
    first = await browser.give_password(user, next="/somewhere")
    assert first.goes_to == "/+auth/enrol"
    begin = await browser.follow(first)
    offer = await browser.follow(await browser.fill(begin, "/+auth/enrol/start", name="Phone"))
    uri = next(a.attributes["href"] for a in offer.markup.all("a") if "otpauth" in str(a))
    phone = Phone(uri)
    browser.site.world.clock.turn(30)
    code = phone.code(browser.site.world.clock())
    return await browser.follow(await browser.fill(offer, "/+auth/enrol", code=code)), phone


def shown_codes(page: Page) -> list[str]:
    return [item.text.strip() for item in page.markup.all("li")]


async def test_a_first_login_sets_up_an_app_and_recovery_codes(browser: Browser) -> None:
    codes, phone = await enrol(browser, "bob")
    assert len(shown_codes(codes)) == 10
    assert SESSION not in browser.cookies, "not before the codes are confirmed"
    last = await browser.fill(codes, "/+auth/enrol/recovery", code=shown_codes(codes)[3])
    assert last.goes_to == "/somewhere"
    assert browser.cookies.keys() >= {SESSION, "auth_tkt"}
    again = await browser.log_in(Person("bob", phone=phone))
    assert again.goes_to == "/+auth/"


async def test_the_tick_finishes_too_and_nothing_at_all_does_not(browser: Browser) -> None:
    codes, _ = await enrol(browser, "bob")
    page = await browser.fill(codes, "/+auth/enrol/recovery")
    assert page.status == 400
    assert page.alert == Refusal(Slug.RECOVERY_UNCONFIRMED).text
    assert shown_codes(page) == shown_codes(codes)
    last = await browser.fill(page, "/+auth/enrol/recovery", saved="yes")
    assert last.goes_to == "/somewhere"


async def test_the_codes_are_shown_until_they_are_confirmed(browser: Browser) -> None:
    """A reload, the way back, an empty form, a code typed twice: the same codes, which count."""
    codes, phone = await enrol(browser, "bob")
    assert "switched on when you press Finish" in codes.text
    again = await browser.get("/+auth/enrol/recovery")
    back = await browser.get("/+auth/enrol")
    links = {a.text.strip(): a.attributes["href"] for a in back.markup.all("a")}
    gone_on = await browser.get(links["Go on where you stopped"])
    token = browser.site.pages()._kit.tokens.make(browser.cookies[PENDING], "/+auth/enrol")
    code = phone.code(browser.site.world.clock())
    twice = await browser.post("/+auth/enrol", {"form_token": token, "code": code})
    empty = await browser.fill(again, "/+auth/enrol/recovery")
    pages = [again, gone_on, await browser.follow(twice), empty]
    assert [shown_codes(page) for page in pages] == [shown_codes(codes)] * 4
    wrong = await browser.fill(again, "/+auth/enrol/recovery", code="AAAA")
    assert wrong.alert == Refusal(Slug.RECOVERY_UNCONFIRMED, typed="yes").text
    last = await browser.fill(codes, "/+auth/enrol/recovery", code=shown_codes(codes)[0])
    assert last.status == 303
    for end in ("", "/recovery", "/key"):
        assert (await browser.get(f"/+auth/enrol{end}")).goes_to == "/+auth/?done=already"
    other = await browser.fill(again, "/+auth/enrol/recovery", saved="yes")
    assert other.goes_to == "/+auth/?done=already", "the other tab"


async def test_a_set_up_goes_on_at_the_next_login_in_the_same_browser(
    browser: Browser, new_browser: NewBrowser
) -> None:
    codes, _ = await enrol(browser, "bob")
    door = await browser.get("/+auth/login")
    assert "Go on where you stopped" in door.text
    assert (await browser.give_password("bob")).goes_to == "/+auth/enrol"
    assert "Go on where you stopped" in (await browser.get("/+auth/enrol")).text
    page = await browser.get("/+auth/enrol/recovery")
    assert shown_codes(page) == shown_codes(codes)
    thief = new_browser()
    assert "Go on where you stopped" not in (await thief.get("/+auth/login")).text
    await thief.follow(await thief.give_password("bob"))
    assert (await thief.get("/+auth/enrol/recovery")).goes_to == "/+auth/enrol"
    assert (await browser.fill(page, "/+auth/enrol/recovery", saved="yes")).status == 303


async def test_nobody_goes_on_with_the_set_up_of_another_person(browser: Browser) -> None:
    await enrol(browser, "bob")
    assert (await browser.give_password("carol")).goes_to == "/+auth/enrol"
    assert "Go on where you stopped" not in (await browser.get("/+auth/enrol")).text
    assert (await browser.get("/+auth/enrol/recovery")).goes_to == "/+auth/enrol"


async def test_a_second_qr_code_is_said_to_be_another(browser: Browser, world: World) -> None:
    begin = await browser.follow(await browser.give_password("bob"))
    first = await browser.follow(await browser.fill(begin, "/+auth/enrol/start", name="Phone"))
    second = await browser.follow(await browser.fill(begin, "/+auth/enrol/start", name="Phone"))
    world.clock.turn(30)
    code = phone_in(first).code(world.clock())
    page = await browser.fill(first, "/+auth/enrol", code=code)
    assert (page.status, page.alert) == (400, Refusal(Slug.OFFER_REPLACED).text)
    assert phone_in(page).uri == phone_in(second).uri
    code = phone_in(page).code(world.clock())
    assert (await browser.fill(page, "/+auth/enrol", code=code)).goes_to == "/+auth/enrol/recovery"


async def test_the_codes_can_be_kept_as_a_file(browser: Browser) -> None:
    codes, _ = await enrol(browser, "bob")
    link = next(a for a in codes.markup.all("a") if "download" in a.attributes)
    for code in shown_codes(codes):
        assert code in link.attributes["href"]


async def test_a_wrong_first_code_shows_the_same_secret_again(browser: Browser) -> None:
    begin = await browser.follow(await browser.give_password("bob"))
    offer = await browser.follow(await browser.fill(begin, "/+auth/enrol/start", name="Phone"))
    again = await browser.fill(offer, "/+auth/enrol", code="000000")
    assert again.status in (400, 401)
    assert again.alert
    secrets = [[c.text for c in page.markup.all("code")] for page in (offer, again)]
    assert secrets[0] == secrets[1]


async def test_a_clock_that_is_off_is_named(browser: Browser, world: World) -> None:
    begin = await browser.follow(await browser.give_password("bob"))
    offer = await browser.follow(await browser.fill(begin, "/+auth/enrol/start", name="Phone"))
    uri = next(a.attributes["href"] for a in offer.markup.all("a") if "otpauth" in str(a))
    late = Phone(uri, skew=-150).code(world.clock())
    again = await browser.fill(offer, "/+auth/enrol", code=late)
    assert "minutes slow" in again.alert


@pytest.mark.parametrize("limits", [{"enrolment": Enrolment.INVITE}], indirect=True)
async def test_without_an_invitation_a_password_alone_sets_nothing_up(browser: Browser) -> None:
    page = await browser.give_password("bob")
    assert (page.status, page.reason) == (403, "invite_required")
    assert PENDING not in browser.cookies


async def link_for(world: World, user: str) -> str:
    """An invitation as the administrator hands it out; its path."""
    invitation = await Admin(world.flow.services).invite(user)
    return invitation.link.removeprefix(world.limits.public_url)


async def open_invitation(browser: Browser, path: str, user: str) -> Page:
    door = await browser.get(path)
    assert door.status == 200
    return await browser.fill(door, path, user=user, password="right")


@pytest.mark.parametrize("limits", [{"enrolment": Enrolment.INVITE}], indirect=True)
async def test_an_invitation_lets_one_person_set_up_once(
    browser: Browser, new_browser: NewBrowser, world: World
) -> None:
    path = await link_for(world, "bob")
    for _ in range(2):  # looking at the page uses nothing up
        assert (await browser.get(path)).status == 200
    other = await open_invitation(new_browser(), path, "mallory")
    assert (other.status, other.reason) in [(403, "invite_required"), (403, "invite_invalid")]
    first = await open_invitation(browser, path, "bob")
    assert first.goes_to == "/+auth/enrol"
    begin = await browser.follow(first)
    offer = await browser.follow(await browser.fill(begin, "/+auth/enrol/start", name="Phone"))
    code = phone_in(offer).code(world.clock())
    codes = await browser.follow(await browser.fill(offer, "/+auth/enrol", code=code))
    last = await browser.fill(codes, "/+auth/enrol/recovery", saved="yes")
    assert last.goes_to == "/+auth/"
    late = await new_browser().get(path)
    assert (late.status, late.reason) == (403, "invite_used")
    assert "a second factor was set up on" in late.text
    log_in = [a for a in late.markup.all("a") if a.text == "Log in"]
    assert [a.attributes["href"] for a in log_in] == ["/+auth/login"]


def test_an_invitation_is_not_written_into_the_trail() -> None:
    facts = Facts("POST", "/+auth/invite/secret", "/+auth/invite/secret", "", (), None)
    assert Ask(facts, tail="secret").caller.origin.path == "/+auth/invite/"


@pytest.mark.parametrize("limits", [{"enrolment": Enrolment.INVITE}], indirect=True)
async def test_an_invitation_ends_after_a_day(browser: Browser, world: World) -> None:
    path = await link_for(world, "bob")
    world.clock.turn(86401)
    page = await browser.get(path)
    assert (page.status, page.reason) == (403, "invite_invalid")


# -- ending ------------------------------------------------------------------------------------


async def test_logging_out_ends_the_session_for_good(browser: Browser, alice: Person) -> None:
    await browser.log_in(alice)
    kept = dict(browser.cookies)
    page = await browser.fill(await overview(browser), "/+auth/logout")
    assert page.goes_to == "/+auth/login"
    assert SESSION not in browser.cookies
    browser.cookies = kept
    assert (await overview(browser)).goes_to.startswith("/+auth/login?next=")


async def test_cancelling_forgets_the_login(browser: Browser, alice: Person) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    kept = dict(browser.cookies)
    page = await browser.fill(asked, "/+auth/verify/cancel")
    assert page.goes_to == "/+auth/login"
    assert PENDING not in browser.cookies
    browser.cookies = kept
    assert (await browser.get("/+auth/verify")).reason == "pending_expired"


async def test_logging_in_anew_changes_the_id_and_ends_the_old_session(
    browser: Browser, alice: Person
) -> None:
    await browser.log_in(alice)
    old = browser.cookies[SESSION]
    await browser.log_in(alice)
    assert browser.cookies[SESSION] != old
    browser.cookies[SESSION] = old
    assert (await overview(browser)).status == 303


# -- the world breaks --------------------------------------------------------------------------


@pytest.mark.parametrize("slug", ["upstream_unreachable", "upstream_timeout", "upstream_broken"])
async def test_an_upstream_that_fails_is_said_plainly(
    browser: Browser, site: Site, slug: str
) -> None:
    site.doorman.failing = Refusal(Slug(slug))
    page = await browser.give_password("alice")
    assert (page.status, page.reason) == (MESSAGES[Slug(slug)].status, slug)
    assert PENDING not in browser.cookies


async def test_without_the_store_the_pages_say_so(browser: Browser, world: World) -> None:
    await browser.give_password("alice")
    await world.store.close()
    page = await browser.get("/+auth/enrol")
    assert (page.status, page.reason) == (503, "store_unavailable")


# -- a code behind the password, as on a command line ----------------------------------------------


@pytest.mark.parametrize("written", ["{}", " {} ", "recovery"])
async def test_a_code_behind_the_password_is_both_steps(
    browser: Browser, alice: Person, world: World, written: str
) -> None:
    code = alice.codes[0].lower().replace("-", "") if written == "recovery" else world.code(alice)
    typed = f"right,{code if written == 'recovery' else written.format(code)}"
    page = await browser.give_password("alice", password=typed, next="/simple/")
    assert page.goes_to == "/simple/"
    assert (await browser.get("/+auth/")).status == 200


async def test_a_wrong_code_behind_the_password_leaves_the_login_waiting(
    browser: Browser, alice: Person, world: World
) -> None:
    wrong = wrong_code(alice, world.clock())
    page = await browser.give_password("alice", password=f"right,{wrong}", next="/simple/")
    assert (page.status, page.alert) == (401, Refusal(Slug.OTP_INVALID).text)
    done = await browser.fill(page, "/+auth/verify", code=world.code(alice))
    assert done.goes_to == "/simple/"


async def test_a_code_behind_a_wrong_password_says_nothing_of_the_code(
    browser: Browser, alice: Person, world: World
) -> None:
    for code in (world.code(alice), wrong_code(alice, world.clock())):
        page = await browser.give_password("alice", password=f"wrong,{code}")
        assert (page.status, page.alert) == (401, Refusal(Slug.PASSWORD_INVALID).text)


async def test_a_password_that_ends_like_a_code_is_a_password(
    browser: Browser, alice: Person, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def check(user: str, password: str, facts: Facts) -> Held | None:
        asked.append(password)
        return earned(user) if password == "word,123456" else None

    monkeypatch.setattr(site.doorman, "check", check)
    page = await browser.give_password("alice", password="word,123456")
    assert page.goes_to == "/+auth/verify"
    assert asked == ["word,123456"]
