"""Steps skipped, empty, repeated, or taken with another person's cookie: nothing is gained."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import pytest

from gateway.core.errors import Refusal, Slug
from gateway.core.login.models import Step
from gateway.core.urls import CANCEL
from gateway.web.context import ForPending, ForSession
from gateway.web.routes import ROUTES
from tests.core.world import Person, World
from tests.web.conftest import NewBrowser
from tests.web.site import URLENCODED, Browser, Page, Site
from tests.web.tour import command_line_login, give_key, phone_in

SESSION, PENDING, FORM = "ig-session", "ig-pending", "ig-form"

PENDING_POSTS = [p for p, r in ROUTES.items() if isinstance(r, ForPending) and r.post]
PENDING_GETS = [p for p, r in ROUTES.items() if isinstance(r, ForPending) and r.get]
FOR_SESSION = {p: r for p, r in ROUTES.items() if isinstance(r, ForSession)}
SESSION_POSTS = [p for p, r in FOR_SESSION.items() if r.post]
SESSION_GETS = [p for p, r in FOR_SESSION.items() if r.get]


def turned_away(page: Page, path: str) -> None:
    """To the login, or told that nobody is logged in."""
    if FOR_SESSION[path].nobody is None:
        assert page.goes_to.startswith("/+auth/login?next=")
    else:
        assert "You are logged out" in page.text


def refused(page: Page, status: int, slug: str) -> None:
    """A refusal, as a page or for the script."""
    assert page.status == status, page.text
    assert slug in page.text


# -- the pending login is no session, and a session no pending login ----------------------------


@pytest.mark.parametrize("path", SESSION_GETS)
async def test_a_pending_login_opens_no_page_of_the_account(
    browser: Browser, alice: Person, path: str
) -> None:
    await browser.give_password("alice")
    turned_away(await browser.get(path), path)
    browser.cookies[SESSION] = browser.cookies[PENDING]
    turned_away(await browser.get(path), path)


@pytest.mark.parametrize("path", SESSION_POSTS)
async def test_a_pending_login_changes_nothing(
    browser: Browser, alice: Person, path: str, site: Site
) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    token = asked.form("/+auth/verify").fields["form_token"]
    browser.cookies[SESSION] = browser.cookies[PENDING]
    before = list(site.world.ledger.events)
    page = await browser.post(path, {"form_token": token, "id": "x", "name": "y"})
    if path.startswith("/+auth/webauthn/"):
        refused(page, 401, "pending_expired")
    else:
        turned_away(page, path)
    assert site.world.ledger.events == before


@pytest.mark.parametrize("path", PENDING_GETS)
async def test_a_session_opens_no_step_of_a_login(
    browser: Browser, alice: Person, path: str
) -> None:
    await browser.log_in(alice)
    browser.cookies[PENDING] = browser.cookies[SESSION]
    assert (await browser.get(path)).goes_to == "/+auth/?done=already"
    assert PENDING not in browser.cookies


@pytest.mark.parametrize("path", PENDING_GETS)
async def test_a_step_without_a_login_leads_to_its_beginning(browser: Browser, path: str) -> None:
    assert (await browser.get(path)).goes_to == "/+auth/login"


# -- steps skipped -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", PENDING_POSTS)
@pytest.mark.parametrize(
    "cookie", ["", "x", "a.b.c", "W10.AAAA.BBBB", "%00", "null"], ids=lambda c: c or "empty"
)
async def test_no_step_is_taken_without_a_pending_login(
    browser: Browser, path: str, cookie: str
) -> None:
    browser.cookies[PENDING] = cookie
    page = await browser.post(path, {"kind": "totp", "code": "123456", "saved": "yes"})
    if path == CANCEL:  # of what is over already
        assert page.goes_to == "/+auth/login"
    else:
        refused(page, 401, "pending_expired")
    assert SESSION not in browser.cookies


async def test_the_last_step_of_an_enrolment_cannot_be_taken_first(browser: Browser) -> None:
    await browser.follow(await browser.give_password("bob"))
    last = await browser.get("/+auth/enrol/recovery")
    assert last.goes_to == "/+auth/enrol"
    tokens = browser.site.pages()._kit.tokens
    path = "/+auth/enrol/recovery"
    token = tokens.make(browser.cookies[PENDING], path)
    page = await browser.post(path, {"form_token": token, "saved": "yes"})
    assert (page.status, page.alert) == (400, Refusal(Slug.ENROLMENT_EXPIRED).text)
    assert SESSION not in browser.cookies


async def test_a_confirmed_app_does_not_pass_before_the_recovery_codes(browser: Browser) -> None:
    begin = await browser.follow(await browser.give_password("bob"))
    offer = await browser.follow(await browser.fill(begin, "/+auth/enrol/start", name="Phone"))
    code = phone_in(offer).code(browser.site.world.clock())
    done = await browser.fill(offer, "/+auth/enrol", code=code)
    assert done.goes_to == "/+auth/enrol/recovery"
    assert (await browser.get("/+auth/")).status == 303
    verify = await browser.get("/+auth/verify")
    assert verify.goes_to == "/+auth/enrol"
    other = await browser.give_password("bob")
    assert other.goes_to == "/+auth/enrol", "nothing was enrolled yet"


async def test_who_has_a_factor_cannot_go_around_it_by_enrolling_another(
    browser: Browser, alice: Person
) -> None:
    """CVE-2026-49443: the set-up pages must not be a way in."""
    asked = await browser.follow(await browser.give_password("alice"))
    assert asked.form("/+auth/verify")
    token = asked.form("/+auth/verify").fields["form_token"]
    for path in [p for p in PENDING_GETS if p.startswith("/+auth/enrol")]:
        assert (await browser.get(path)).goes_to == "/+auth/verify"
    for path in [p for p in PENDING_POSTS if "enrol" in p]:
        page = await browser.post(path, {"form_token": token, "name": "x", "saved": "yes"})
        if path.startswith("/+auth/webauthn"):
            refused(page, 401, "pending_expired")
            await browser.give_password("alice")
        else:
            assert page.goes_to == "/+auth/verify"
    assert SESSION not in browser.cookies


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param({}, 400, id="nothing"),
        pytest.param({"kind": "totp"}, 400, id="no code"),
        pytest.param({"kind": "totp", "code": ""}, 400, id="empty code"),
        pytest.param({"kind": "totp", "code": "   "}, 400, id="blanks"),
        pytest.param({"kind": "", "code": "123456"}, 400, id="empty kind"),
        pytest.param({"kind": "password", "code": "right"}, 400, id="password as factor"),
        pytest.param({"kind": "approval", "code": "x"}, 400, id="approval as factor"),
        pytest.param({"kind": "recovery", "code": "-"}, 401, id="empty recovery code"),
        pytest.param({"kind": "totp", "code": "１２３４５６"}, 401, id="full-width digits"),
        pytest.param({"kind": "totp", "code": "12345"}, 401, id="five digits"),
        pytest.param({"kind": "webauthn", "code": "{}"}, 401, id="empty key answer"),
        pytest.param({"kind": "webauthn", "code": "null"}, 401, id="null key answer"),
        pytest.param({"kind": "webauthn", "code": "[]"}, 401, id="odd key answer"),
        pytest.param({"kind": "webauthn", "code": "not json"}, 401, id="no JSON"),
    ],
)
async def test_an_empty_or_odd_answer_never_passes(
    browser: Browser, alice: Person, fields: Mapping[str, str], status: int
) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    token = asked.form("/+auth/verify").fields["form_token"]
    page = await browser.post("/+auth/verify", {"form_token": token, **fields})
    assert page.status == status, page.text
    assert SESSION not in browser.cookies


# -- another person's login --------------------------------------------------------------------


async def test_another_persons_pending_login_does_not_take_my_code(
    browser: Browser, new_browser: NewBrowser, alice: Person, world: World
) -> None:
    mallory = Person("mallory")
    await world.enrol(mallory)
    theirs = new_browser()
    asked = await theirs.follow(await theirs.give_password("mallory"))
    page = await theirs.fill(asked, "/+auth/verify", code=world.code(alice))
    assert page.status == 401


async def test_a_pending_cookie_swapped_in_the_browser_needs_its_own_form(
    browser: Browser, new_browser: NewBrowser, alice: Person, world: World
) -> None:
    """CVE-2026-33544: the form of one login with the cookie of another is refused."""
    mallory = Person("mallory")
    await world.enrol(mallory)
    theirs = new_browser()
    await theirs.give_password("mallory")
    asked = await browser.follow(await browser.give_password("alice"))
    browser.cookies[PENDING] = theirs.cookies[PENDING]
    page = await browser.fill(asked, "/+auth/verify", code=world.code(alice))
    refused(page, 403, "csrf")


async def test_a_planted_session_does_not_survive_the_login(
    browser: Browser, new_browser: NewBrowser, alice: Person, world: World
) -> None:
    """Fixation: the attacker's session in the victim's browser is ended, not reused."""
    mallory = Person("mallory")
    await world.enrol(mallory)
    theirs = new_browser()
    await theirs.log_in(mallory)
    browser.cookies[SESSION] = theirs.cookies[SESSION]
    await browser.log_in(alice)
    assert browser.cookies[SESSION] != theirs.cookies[SESSION]
    assert "alice" in (await browser.get("/+auth/")).text
    assert (await theirs.get("/+auth/")).status == 303


async def test_a_login_is_finished_once(
    browser: Browser, alice: Person, world: World, new_browser: NewBrowser
) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    copy = new_browser()
    copy.cookies = dict(browser.cookies)
    assert (await browser.fill(asked, "/+auth/verify", code=world.code(alice))).status == 303
    page = await copy.fill(asked, "/+auth/verify", code=world.code(alice))
    refused(page, 401, "pending_expired")
    assert PENDING not in copy.cookies, "a dead login is forgotten"


async def test_a_login_does_not_wait_for_ever(
    browser: Browser, alice: Person, world: World
) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    world.clock.turn(world.limits.pending + 1)
    page = await browser.fill(asked, "/+auth/verify", code=world.code(alice))
    refused(page, 401, "pending_expired")


async def test_another_persons_command_line_login_cannot_be_seen_or_approved(
    browser: Browser, alice: Person, world: World
) -> None:
    mallory = Person("mallory")
    await world.enrol(mallory)
    await world.login(mallory)
    theirs, _ = await command_line_login(world, "mallory")
    await browser.log_in(alice)
    mine, _ = await command_line_login(world, "alice")
    refused(await browser.get(theirs), 404, "approval_gone")
    token = (await browser.get(mine)).markup.forms[1].fields["form_token"]
    refused(await browser.post(theirs, {"form_token": token}), 403, "csrf")


async def test_rows_of_other_people_cannot_be_named(
    browser: Browser, alice: Person, world: World
) -> None:
    mallory = Person("mallory")
    await world.enrol(mallory)
    await give_key(world, "mallory")
    await browser.log_in(alice)
    page = await browser.get("/+auth/factor/a2V5")
    refused(page, 404, "no_such_factor")


# -- forged requests ---------------------------------------------------------------------------


def headers_of_another_site() -> list[Mapping[str, str | None]]:
    return [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
        {"origin": "null", "sec-fetch-site": "same-origin"},
        {"origin": None, "sec-fetch-site": None},
        {"origin": None, "sec-fetch-site": "same-site"},
    ]


@pytest.mark.parametrize("path", sorted(p for p, r in ROUTES.items() if r.post))
async def test_no_form_is_taken_from_another_site(
    browser: Browser, alice: Person, site: Site, path: str
) -> None:
    await browser.log_in(alice)
    await browser.give_password("alice")
    before = list(site.world.ledger.events)
    for headers in headers_of_another_site():
        page = await browser.send("POST", path, headers=headers, body=b"form_token=x")
        refused(page, 403, "cross_site")
    assert site.world.ledger.events == before


@pytest.mark.parametrize("path", sorted(p for p, r in ROUTES.items() if r.post))
async def test_no_form_is_taken_without_its_own_token(
    browser: Browser, new_browser: NewBrowser, alice: Person, world: World, path: str
) -> None:
    route = ROUTES[path]
    if isinstance(route, ForPending):
        first = await browser.give_password("bob" if route.step is Step.ENROL else "alice")
        own = (await browser.follow(first)).markup.forms[0]
    else:
        await browser.log_in(alice)
        own = (await browser.get("/+auth/")).form("/+auth/logout")
        await browser.get("/+auth/login")
    other = new_browser()
    other.cookies[FORM] = "other"
    theirs = (await other.get("/+auth/login")).form("/+auth/login")
    forged = ["", "x", "AAAA.BBBB", theirs.fields["form_token"]]
    if path != own.action:
        forged.append(own.fields["form_token"])
    before = list(world.ledger.events)
    for token in forged:
        page = await browser.post(path, {"form_token": token, "id": "x", "name": "y", "code": "1"})
        refused(page, 403, "csrf")
    assert world.ledger.events == before


async def test_a_token_does_not_last_for_ever(browser: Browser, world: World) -> None:
    door = await browser.get("/+auth/login")
    world.clock.turn(12 * 3600 + 1)
    page = await browser.fill(door, "/+auth/login", user="alice", password="right")
    refused(page, 403, "csrf")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"user": "alice"}', 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("text/plain", b"user=alice", 415),
        (None, b"user=alice", 415),
        (URLENCODED, b"user=alice&user=bob", 400),
        (URLENCODED, b"user=%ff", 400),
        (URLENCODED, b"user=" + b"x" * 70_000, 413),
    ],
)
async def test_odd_bodies_are_refused_before_anything_else(
    browser: Browser, site: Site, content_type: str | None, body: bytes, status: int
) -> None:
    await browser.get("/+auth/login")
    page = await browser.send(
        "POST", "/+auth/login", headers={"content-type": content_type}, body=body
    )
    assert page.status == status
    assert site.doorman.asked == []


async def test_of_a_cookie_that_comes_twice_the_one_made_here_counts(
    browser: Browser, alice: Person
) -> None:
    """A neighbouring domain may have planted the other one."""
    await browser.log_in(alice)
    ours = f"{SESSION}={browser.cookies[SESSION]}"
    for twice in (f"{ours}; {SESSION}=x", f"{SESSION}=x.y; {ours}"):
        page = await browser.send("GET", "/+auth/", headers={"cookie": twice})
        assert page.status == 200
    page = await browser.send("GET", "/+auth/", headers={"cookie": f"{SESSION}=x; {SESSION}=y"})
    assert page.status == 303


# -- the way back ------------------------------------------------------------------------------

NOT_LOCAL = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%09/evil.example",
    "/%2f/evil.example",
    "/%5cevil.example",
    "/\t/evil.example",
    "https:evil.example",
    "https://evil.example/",
    "http://localhost:8080/x",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "@evil.example",
    "/..//evil.example",
    "/x/../../evil",
    "/.//evil",
    "/x#y",
    " /x",
    "/x y",
    "",
    "/é",
    "/+auth/logout",
    "/+auth/login",
    "/+auth/verify?x=1",
    "/%2Bauth/login",
]


@pytest.mark.parametrize("target", NOT_LOCAL)
async def test_the_way_back_is_only_ever_a_plain_path_of_ours(
    browser: Browser, alice: Person, target: str
) -> None:
    door = await browser.get(f"/+auth/login?next={quote(target, safe='')}")
    assert "next" not in door.form("/+auth/login").fields
    sent = {**door.form("/+auth/login").fields, "user": "alice", "password": "right"}
    asked = await browser.follow(
        await browser.post("/+auth/login", {**sent, "next": target.replace("\t", "")})
    )
    last = await browser.fill(asked, "/+auth/verify", code=browser.site.world.code(alice))
    assert last.goes_to == "/+auth/"


@pytest.mark.parametrize("target", ["/", "/alice/dev", "/a/b?x=1&y=%2F%2Fevil", "/+auth/add"])
async def test_a_plain_path_is_kept(browser: Browser, alice: Person, target: str) -> None:
    last = await browser.log_in(alice, next=quote(target, safe=""))
    assert last.goes_to == target


async def test_two_ways_back_are_none(browser: Browser) -> None:
    door = await browser.get("/+auth/login?next=/a&next=/b")
    assert "next" not in door.form("/+auth/login").fields


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a" * 201, "\u202ealice", "\u200b"], ids=["long", "bidi", "zero"])
async def test_a_name_that_cannot_be_used_is_said_on_the_form(browser: Browser, name: str) -> None:
    page = await browser.give_password(name)
    assert page.status == 400
    assert page.alert == Refusal(Slug.UNUSABLE_NAME).text


async def test_known_and_unknown_names_are_refused_alike(browser: Browser, alice: Person) -> None:
    pages = [await browser.give_password(name, password="wrong") for name in ("alice", "nobody")]
    texts = [p.text.replace("alice", "?").replace("nobody", "?") for p in pages]
    assert texts[0] == texts[1]
    assert [p.status for p in pages] == [401, 401]
