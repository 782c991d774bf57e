"""A page that is no longer how things are: another tab was quicker, or another administrator."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from gateway.core.administration import Admin
from gateway.core.errors import Refusal, Slug
from gateway.core.http.facts import Facts
from tests.core.world import Person, World
from tests.web.conftest import NewBrowser
from tests.web.markup import Markup
from tests.web.site import Browser, Page, Site

VERIFY = "/+auth/verify"
CANCEL = "/+auth/verify/cancel"
RESET = "/+auth/admin/reset"


def buttons(page: Page) -> dict[str, str]:
    """Where the links that look like buttons lead, by their words."""
    found = page.markup.all("a")
    return {
        one.text.strip(): one.attributes["href"]
        for one in found
        if "button" in one.attributes.get("class", "")
    }


# -- logins in two tabs --------------------------------------------------------------------------


async def test_a_login_that_another_tab_replaced_leads_where_it_was_to_lead(
    browser: Browser, alice: Person, world: World
) -> None:
    first = await browser.follow(await browser.give_password("alice", next="/simple/"))
    await browser.give_password("alice", next="/packages/")
    late = await browser.fill(first, VERIFY, code=world.code(alice))
    assert (late.status, late.reason) == (403, "csrf")
    again = await browser.get(buttons(late)["Start again"])
    wrong = await browser.fill(again, VERIFY, code="")
    other_way = await browser.get(buttons(wrong)["Use a recovery code"])
    passed = await browser.fill(other_way, VERIFY, code=alice.codes[0])
    assert passed.goes_to == "/simple/"


async def test_a_login_that_another_tab_finished_leads_where_it_was_to_lead(
    browser: Browser, alice: Person, world: World
) -> None:
    asked = await browser.follow(await browser.give_password("alice", next="/simple/"))
    await browser.fill(asked, VERIFY, code=world.code(alice))
    world.clock.turn(30)
    assert (await browser.fill(asked, VERIFY, code=world.code(alice))).goes_to == "/simple/"


@pytest.mark.parametrize("way", ["to somewhere", "nowhere"])
async def test_a_way_back_of_somebody_else_is_none(
    browser: Browser, alice: Person, world: World, way: str
) -> None:
    """Only plain paths of ours; what was to be shown first is shown all the same."""
    asked = await browser.follow(await browser.give_password("alice", next="/simple/"))
    next = "//evil.example/" if way == "to somewhere" else ""
    passed = await browser.fill(asked, VERIFY, code=world.code(alice), next=next)
    assert passed.goes_to == "/simple/"


async def test_whoever_cancels_a_login_twice_is_logged_out(browser: Browser, alice: Person) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    for _ in range(2):
        assert (await browser.fill(asked, CANCEL)).goes_to == "/+auth/login"


async def test_whoever_logs_out_of_a_login_that_went_on_is_asked_to_log_out(
    browser: Browser, alice: Person, world: World
) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    await browser.fill(asked, VERIFY, code=world.code(alice))
    door = await browser.follow(await browser.fill(asked, CANCEL))
    assert "Log out?" in [e.text for e in door.markup.all("h1")]
    await browser.fill(door, "/+auth/logout")
    assert (await browser.get("/+auth/")).status == 303


async def test_a_set_up_that_another_login_replaced_can_be_left(
    browser: Browser, alice: Person
) -> None:
    asked = await browser.follow(await browser.give_password("bob"))
    await browser.give_password("alice")
    late = await browser.fill(asked, CANCEL)
    now = await browser.get(buttons(late)["Start again"])
    assert (await browser.fill(now, CANCEL)).goes_to == "/+auth/login"


async def test_there_is_time_to_think_of_a_password(
    browser: Browser, alice: Person, site: Site
) -> None:
    """A form that was opened with a recent factor is not lost two minutes later."""
    typed = {"old": "right", "new": "wholly new", "again": "wholly new"}
    await browser.log_in(alice)
    form = await browser.get("/+auth/password")
    site.world.clock.turn(901)
    late = await browser.fill(form, "/+auth/password", **typed)
    assert late.goes_to == "/+auth/confirm?next=/%2Bauth/password"
    assert site.passwords.taken == []
    site.world.clock.turn(-301)
    assert (await browser.fill(form, "/+auth/password", **typed)).status == 200
    assert site.passwords.taken == [("alice", "wholly new")]


# -- forms of the index --------------------------------------------------------------------------

REFERERS = {
    "a form of the index": ("http://localhost:8080/+login?goto_url=/a", "/+login?goto_url=/a"),
    "another site": ("http://evil.example/+login", ""),
    "one whose name begins alike": ("http://localhost:8080.evil.example/", ""),
    "two hosts": ("http://localhost:8080//evil.example/", ""),
    "none": ("", ""),
}


@pytest.mark.parametrize(("referer", "again"), REFERERS.values(), ids=REFERERS)
async def test_a_form_of_the_index_that_failed_is_offered_again(
    site: Site, referer: str, again: str
) -> None:
    fields = (("referer", referer), ("sec-fetch-mode", "navigate"), ("host", "localhost:8080"))
    facts = Facts("POST", "/+login", "/+login", "", fields, ip_address("192.0.2.10"))
    refusal = Refusal(Slug.UPSTREAM_UNREACHABLE)
    _status, _fields, body = site.pages().refusal(facts, refusal)
    links = {e.text.strip(): e.attributes["href"] for e in Markup(body.decode()).all("a")}
    assert links.get("Try again", "") == again


# -- administrators ------------------------------------------------------------------------------


@pytest.fixture
async def root(browser: Browser, alice: Person, world: World) -> Browser:
    await world.enrol(Person("dan"))
    await browser.log_in(alice)
    return browser


async def test_a_reset_is_of_what_the_administrator_saw(root: Browser, world: World) -> None:
    """The person changed something meanwhile: nothing is taken away before it was seen."""
    form = await root.get(f"{RESET}?user=dan")
    await Admin(world.flow.services).end_logins("dan", "lost laptop")  # grows the epoch
    typed = {"user": "dan", "reason": "phone & key"}
    refused = await root.fill(form, RESET, **typed)
    assert (refused.status, refused.reason) == (409, "changed_meanwhile")
    assert (await Admin(world.flow.services).show("dan")).protected
    again = await root.get(buttons(refused)["Start again"])
    shown = again.form(RESET).fields
    assert shown["reason"] == typed["reason"]
    made = await root.post(RESET, {**shown, **typed})
    assert (made.status, made.alert) == (200, "")
    assert not (await Admin(world.flow.services).show("dan")).protected


async def test_of_two_administrators_the_first_resets(root: Browser, world: World) -> None:
    """The invitation that was handed out stays good."""
    form = await root.get(f"{RESET}?user=dan")
    first = (await Admin(world.flow.services).reset("dan", "lost phone")).invitation
    late = await root.fill(form, RESET, user="dan", reason="lost phone")
    assert (late.status, late.reason) == (409, "changed_meanwhile")
    person = await root.follow(await root.get(buttons(late)["Start again"]))
    assert "the second factors are gone already" in person.text
    assert "Invite" in buttons(person)
    assert "Reset second factors" not in buttons(person)
    token = first.link.rpartition("/")[2]
    assert await world.flow.entering.invitation(token) is not None


async def test_a_reset_that_says_nothing_of_what_was_seen_is_refused(
    root: Browser, world: World
) -> None:
    form = await root.get(f"{RESET}?user=dan")
    for seen in ("", "-1", "one", "9" * 30):
        page = await root.fill(form, RESET, user="dan", reason="lost phone", seen=seen)
        assert page.status == 409
    assert (await Admin(world.flow.services).show("dan")).protected


async def test_a_refusal_leads_administrators_back_to_people(
    root: Browser, new_browser: NewBrowser
) -> None:
    unknown = await root.get("/+auth/admin/person?user=nobody")
    assert buttons(unknown)["People"] == "/+auth/admin/"
    for page in (await new_browser().get("/+auth/admin/"), await root.get("/+auth/admin/no")):
        assert "People" not in buttons(page)
