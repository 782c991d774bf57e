"""The pages of API tokens: what they take to make one, and whose tokens they reach."""

from __future__ import annotations

import pytest

from gateway.core.audit.events import Event
from gateway.core.errors import Refusal, Slug
from gateway.core.notices.events import Notice
from gateway.core.tokens.caveats import Use
from gateway.core.tokens.records import scope_of
from gateway.core.upstream import Action, Credential
from tests.core.world import Person, World, caller
from tests.web.conftest import NewBrowser
from tests.web.site import Browser, Page

LIST, NEW = "/+auth/tokens", "/+auth/tokens/new"
TYPED = {"name": "CI", "upload": "yes", "days": "30", "password": "right"}
DAY = 86400


async def token(world: World, user: str, name: str) -> str:
    """The id of a token that somebody has."""
    made = await world.flow.tokens.make(
        user, name, scope_of(["upload"]), 7 * DAY, Credential(user, "right"), caller().origin
    )
    return made.token.id


async def made(browser: Browser, **typed: str) -> Page:
    return await browser.fill(await browser.get(NEW), NEW, **{**TYPED, **typed})


def shown(page: Page) -> list[str]:
    """The blocks to copy; the first is the token itself."""
    return [block.text for block in page.markup.all("pre")]


async def state(world: World, user: str = "alice") -> dict[str, str]:
    """The tokens of somebody and whether each is live, or to be decided on."""
    return {
        one.token.name: "revoked"
        if one.token.revoked
        else "left"
        if one.token.undecided
        else "live"
        for one in await world.flow.tokens.of(user)
    }


# -- making one --------------------------------------------------------------------------------


async def test_one_is_made_and_shown_once(browser: Browser, alice: Person, world: World) -> None:
    await browser.log_in(alice)
    page = await made(
        browser,
        name="  CI   of <b>foo</b> ",
        read="yes",
        indexes="alice/dev, /alice/other/",
        projects="Foo_Bar acme-*",
        networks="192.0.2.0/24",
    )
    assert page.status == 200, page.text
    text, *blocks = shown(page)
    assert "<b>" not in page.text.replace("&lt;b&gt;", "")
    bearer = await world.flow.tokens.verify(text, caller().origin)
    stored = bearer.token
    assert (stored.owner, stored.name, stored.made_by) == ("alice", "CI of <b>foo</b>", "")
    assert stored.expires - stored.created == 30 * DAY
    assert stored.scope.texts() == {
        "actions": ["upload", "read"],
        "indexes": ["alice/dev", "alice/other"],
        "projects": ["foo-bar", "acme-*"],
        "networks": ["192.0.2.0/24"],
    }
    assert world.flow.tokens.credential(bearer) == Credential("alice", "right")
    assert f"repository = {browser.site.public}/alice/dev/\n" in blocks[0]
    assert f"http://__token__:{text}@localhost:8080/alice/dev/+simple/" in "\n".join(blocks)
    assert world.ledger.names().count(Event.TOKEN_MADE) == 1
    assert (Notice.TOKEN_MADE, "alice") in world.ledger.notices
    listed = await browser.get(LIST)
    assert "CI of &lt;b&gt;foo&lt;/b&gt;" in listed.text
    assert text not in listed.text
    assert page.headers["cache-control"] == "no-store"
    # Sent again, as a reload would.
    again = await made(browser, name="CI of <b>foo</b>")
    assert "there is a token of this name already" in again.alert
    assert len(await world.flow.tokens.of("alice")) == 1


WRONG = {
    "no name": ({"name": ""}, "name"),
    "nothing it may do": ({"upload": ""}, "upload"),
    "manage, which is off": ({"manage": "yes"}, "upload"),
    "a user": ({"indexes": "alice"}, "indexes"),
    "an address": ({"indexes": "http://x/y"}, "indexes"),
    "a path": ({"projects": "foo/../bar"}, "projects"),
    "another alphabet": ({"projects": "ſoo"}, "projects"),
    "a class": ({"projects": "[a-z]oo"}, "projects"),
    "no network": ({"networks": "10.0.0.1/8"}, "networks"),
    "too long": ({"days": "other", "other": "366"}, "other"),
    "no days": ({"days": "0"}, "other"),
    "other digits": ({"days": "other", "other": "٣"}, "other"),
    "no number": ({"days": "1e1"}, "other"),
    "no password": ({"password": ""}, "password"),
    "a wrong password": ({"password": "wrong"}, "password"),
}


async def test_what_does_not_do_is_said_and_the_rest_is_kept(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    form = await browser.get(NEW)
    typed = {**TYPED, "projects": "Foo", "networks": "192.0.2.0/24", "indexes": "alice/dev"}
    for name, (fault, where) in WRONG.items():
        page = await browser.fill(form, NEW, **{**typed, **fault})
        assert (page.status // 100, bool(page.alert)) == (4, True), name
        invalid = [e for e in page.markup.all("input") if "aria-invalid" in e.attributes]
        assert where in [e.attributes["name"] for e in invalid], name
        kept = page.form(NEW).fields
        for field, value in {**typed, **fault}.items():
            if field in ("name", "projects", "networks", "indexes", "other"):
                assert kept[field] == value, (name, field)
        assert kept["password"] == "", name
    assert await world.flow.tokens.of("alice") == []


async def test_it_takes_a_recent_factor(browser: Browser, alice: Person, world: World) -> None:
    await browser.log_in(alice)
    form = await browser.get(NEW)
    world.clock.turn(world.limits.step_up + 1)
    away = await browser.get(NEW)
    assert away.goes_to == "/+auth/confirm?next=/%2Bauth/tokens/new"
    # What was begun in time may be finished, though not for ever.
    assert (await browser.fill(form, NEW, **TYPED)).status == 200
    world.clock.turn(world.limits.enrolling)
    late = await browser.fill(form, NEW, **{**TYPED, "name": "too late & <b>", "projects": "a+b c"})
    assert late.goes_to.startswith("/+auth/confirm")
    asked = await browser.follow(late)
    code = world.code(alice)
    back = await browser.fill(asked, "/+auth/confirm", code=code)
    kept = (await browser.follow(back)).form(NEW).fields
    shown = {name: kept.get(name) for name in ("name", "projects", "days", "password", "manage")}
    assert shown == {
        "name": "too late & <b>",
        "projects": "a+b c",
        "days": "30",
        "password": "",
        "manage": None,
    }
    assert list(await state(world)) == ["CI"]


async def test_a_remembered_device_and_an_old_form_are_not_enough(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice, remember=True)
    stolen = await browser.get(NEW)
    await browser.fill(stolen, "/+auth/logout")
    passed = await browser.give_password("alice")
    assert passed.goes_to == "/+auth/", "the device stands for the factor"
    assert (await browser.get(NEW)).goes_to.startswith("/+auth/confirm")
    # With a form of the session before, and with the form token of another page.
    assert (await browser.fill(stolen, NEW, **TYPED)).reason == "csrf"
    forged = {**TYPED, "form_token": stolen.form(NEW).fields["form_token"]}
    asked = await browser.follow(await browser.get(NEW))
    await browser.fill(asked, "/+auth/confirm", code=world.code(alice))
    assert (await browser.post(NEW, forged)).reason == "csrf"
    await token(world, "alice", "one")
    other = (await browser.get(LIST + "/revoke-all")).form(LIST + "/revoke-all").fields
    assert (await browser.post(NEW, {**TYPED, **other})).reason == "csrf"
    foreign = await browser.send(
        "POST", NEW, headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    )
    assert foreign.reason == "cross_site"
    assert list(await state(world)) == ["one"]


async def test_wrong_passwords_are_counted_as_at_a_login(browser: Browser, alice: Person) -> None:
    await browser.log_in(alice)
    form = await browser.get(NEW)
    for number in range(40):
        page = await browser.fill(form, NEW, **{**TYPED, "password": f"wrong {number}"})
        if page.status == 429:
            break
    assert page.reason == "throttled"
    assert number > 3


@pytest.mark.parametrize("limits", [{"token_age": 10 * DAY, "token_manage": True}], indirect=True)
async def test_the_page_offers_what_the_administrator_allows(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    form = await browser.get(NEW)
    offered = [
        e.attributes["value"]
        for e in form.markup.all("input")
        if e.attributes.get("type") == "radio"
    ]
    assert offered == ["7", "other"]
    assert form.form(NEW).fields["days"] == "7"
    page = await made(browser, manage="yes", days="other", other="10")
    assert page.status == 200, page.alert
    (listed,) = await world.flow.tokens.of("alice")
    assert listed.token.scope.actions == (Action.UPLOAD, Action.MANAGE)


# -- ending and keeping ------------------------------------------------------------------------


async def test_one_is_revoked_after_a_look_at_it(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    text = shown(await made(browser))[0]
    bearer = await world.flow.tokens.verify(text, caller().origin)
    await world.flow.tokens.used(bearer, caller(agent="uv/0.13 {}").origin)
    world.clock.turn(world.limits.step_up + 1)  # a leak is stopped without a code
    page = await browser.get(f"/+auth/token/{bearer.token.id}")
    assert "from 192.0.2.10, uv" in page.text
    gone = await browser.fill(page, LIST + "/revoke")
    assert "The token is revoked." in (await browser.follow(gone)).text
    with pytest.raises(Refusal, match="token_revoked"):
        await world.flow.tokens.verify(text, caller().origin)
    bearer.check(Use(Action.UPLOAD, world.clock()))
    assert Event.TOKEN_REVOKED in world.ledger.names()


async def test_all_are_revoked_at_once(browser: Browser, alice: Person, world: World) -> None:
    await browser.log_in(alice)
    for name in ("one", "two"):
        await token(world, "alice", name)
    await token(world, "bob", "his")
    page = await browser.get(LIST + "/revoke-all")
    await browser.fill(page, LIST + "/revoke-all")
    assert await state(world) == {"one": "revoked", "two": "revoked"}
    assert await state(world, "bob") == {"his": "live"}


async def test_nobody_reaches_the_tokens_of_another(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    his, own = await token(world, "bob", "his"), await token(world, "alice", "own")
    await world.flow.tokens.password_changed("bob", caller().origin)
    await world.flow.tokens.password_changed("alice", caller().origin)
    assert (await browser.get(f"/+auth/token/{his}")).reason == "no_such_token"
    page = await browser.get(f"/+auth/token/{own}")
    for action in (LIST + "/revoke", LIST + "/keep"):
        told = await browser.fill(page, action, id=his)
        assert (told.status, told.reason) == (404, "no_such_token"), action
    for odd in ("", "../bob/" + his, "bob/" + his, his.upper()):
        assert (await browser.fill(page, LIST + "/revoke", id=odd)).reason == "no_such_token"
    assert await state(world, "bob") == {"his": "left"}
    assert "his" not in (await browser.get(LIST)).markup.all("main")[0].text


async def test_a_changed_password_makes_the_owner_decide(
    browser: Browser, alice: Person, world: World
) -> None:
    await browser.log_in(alice)
    for name in ("one", "two", "three", "four"):
        world.clock.turn(1)
        await token(world, "alice", name)
    assert "password was changed" not in (await browser.get("/+auth/")).text
    await world.flow.tokens.password_changed("alice", caller().origin)
    await token(world, "alice", "new")
    assert "what about 4 API tokens?" in (await browser.get("/+auth/")).text
    page = await browser.get(LIST)
    forms = [f for f in page.markup.forms if f.action in (LIST + "/keep", LIST + "/revoke")]
    assert len(forms) == 8
    ids = {one.token.name: one.token.id for one in await world.flow.tokens.of("alice")}
    for name, action in (("one", LIST + "/keep"), ("two", LIST + "/revoke")):
        form = next(f for f in forms if (f.action, f.fields["id"]) == (action, ids[name]))
        await browser.post(action, form.fields)
    left = {"three": "left", "four": "left", "new": "live"}
    assert await state(world) == {"one": "live", "two": "revoked", **left}
    await browser.fill(page, LIST + "/revoke-left")
    ended = {"three": "revoked", "four": "revoked", "new": "live"}
    assert await state(world) == {"one": "live", "two": "revoked", **ended}
    await world.flow.tokens.password_changed("alice", caller().origin)
    await browser.fill(page, LIST + "/keep-left")
    assert await state(world) == {"one": "live", "two": "revoked", **ended}
    assert world.ledger.names().count(Event.TOKEN_KEPT) == 3


async def test_nobody_sees_anything(browser: Browser, new_browser: NewBrowser) -> None:
    for path in (LIST, NEW, LIST + "/revoke-all", "/+auth/token/aaaaaaaaaaaaaaaa"):
        assert (await browser.get(path)).goes_to.startswith("/+auth/login?next="), path
    for path in ("", "/new", "/revoke", "/keep", "/revoke-all", "/keep-left", "/revoke-left"):
        page = await new_browser().post(LIST + path, {**TYPED, "id": "x"})
        assert page.status in (303, 405), path


def test_the_refusal_names_no_command() -> None:
    assert "index-gateway" not in Refusal(Slug.NO_SUCH_TOKEN, own="yes").text
