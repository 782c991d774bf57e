"""The pages of administrators: for nobody else, with a recent second factor, each act asked about
once more and recorded with a name."""

from __future__ import annotations

import pytest

from gateway.core.audit.events import Event, Origin
from gateway.core.notices.events import Notice
from gateway.web.context import LOOKING, ForAdmin
from gateway.web.handlers.admin_acts import ACTS
from gateway.web.routes import ROUTES
from tests.core.world import Person
from tests.web.conftest import NewBrowser
from tests.web.site import Browser, Connect, Page, Site

ADMIN = "/+auth/admin"
PATHS = sorted(path for path, route in ROUTES.items() if isinstance(route, ForAdmin))
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def dan(site: Site) -> Person:
    person = Person("dan")
    await site.world.enrol(person)
    return person


@pytest.fixture
async def root(browser: Browser, alice: Person) -> Browser:
    """alice, who is an administrator, has just logged in."""
    await browser.log_in(alice)
    return browser


def alike(page: Page, path: str) -> tuple[int, str, list[str]]:
    """What somebody learns from an answer, but for the address that was asked for."""
    text = page.text.replace(path, "PATH").replace(path.replace("+", "%2B"), "PATH")
    names = sorted(name.lower() for name in page.headers if name.lower() != "content-length")
    for line in page.text.splitlines():
        if 'name="form_token"' in line:  # has its time in it
            text = text.replace(line, "")
    return page.status, text, names


SENDERS: dict[str, dict[str, str | None]] = {
    "as a browser": {},
    "from another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "by a script": {"sec-fetch-mode": "cors"},
    "a body that is none": {"content-type": "text/plain"},
}


@pytest.mark.parametrize("headers", SENDERS.values(), ids=list(SENDERS))
@pytest.mark.parametrize("who", ["nobody", "dan"])
async def test_for_others_there_are_no_such_pages(
    new_browser: NewBrowser, dan: Person, who: str, headers: dict[str, str | None]
) -> None:
    stranger = new_browser()
    if who == "dan":
        await stranger.log_in(dan)
        assert ADMIN not in (await stranger.get("/+auth/")).text
    assert len(PATHS) == 10
    for method in ("GET", "HEAD", "POST", "DELETE"):
        nothing = "/+auth/admin/nothing"
        unknown = alike(await stranger.send(method, nothing, headers=headers, body=b"a=b"), nothing)
        assert unknown[0] == 404
        for path in PATHS:
            page = await stranger.send(method, path, headers=headers, body=b"a=b")
            assert alike(page, path) == unknown, (method, path)


async def test_somebody_who_is_not_logged_in_may_log_in_from_there(browser: Browser) -> None:
    page = await browser.get(f"{ADMIN}/audit?user=dan")
    links = [a.attributes["href"] for a in page.markup.all("a")]
    assert "/+auth/login?next=/%2Bauth/admin/audit%3Fuser%3Ddan" in links


async def test_an_administrator_whose_session_is_over_logs_in_and_comes_back(
    root: Browser, site: Site
) -> None:
    site.world.clock.turn(site.world.limits.idle + 1)
    page = await root.get(f"{ADMIN}/?show=all")
    assert page.goes_to.startswith("/+auth/login?next=/%2Bauth/admin")


async def test_looking_takes_a_factor_of_15_minutes_and_acts_one_of_two(
    root: Browser, dan: Person, site: Site
) -> None:
    reset = f"{ADMIN}/reset?user=dan"
    form = await root.get(reset)
    site.world.clock.turn(site.world.limits.step_up + 1)
    assert (await root.get(f"{ADMIN}/")).status == 200
    assert (await root.get(reset)).goes_to.startswith("/+auth/confirm?next=/%2Bauth/admin/reset")
    site.world.clock.turn(LOOKING)
    assert (await root.get(f"{ADMIN}/")).goes_to.startswith("/+auth/confirm?next=")
    late = await root.fill(form, f"{ADMIN}/reset", reason="lost phone")
    assert "reason%3Dlost" in late.goes_to, "what was typed comes back"
    assert Event.RESET not in site.world.ledger.names()


async def test_a_remembered_device_is_no_recent_factor(
    new_browser: NewBrowser, alice: Person
) -> None:
    browser = new_browser()
    await browser.log_in(alice, remember=True)
    await browser.post("/+auth/logout", {})
    again = Browser(browser.site, browser.http, dict(browser.cookies))
    again.cookies.pop("ig-session")
    await again.give_password("alice")
    assert "ig-session" in again.cookies
    assert (await again.get(f"{ADMIN}/")).goes_to.startswith("/+auth/confirm")


@pytest.mark.parametrize("limits", [{"required_from": 4e9}], indirect=True)
async def test_an_administrator_without_a_factor_sets_one_up_first(
    site: Site, connect: Connect
) -> None:
    site.admins = frozenset({"carol"})
    carol = Browser(site, await connect(site))
    await carol.give_password("carol")
    assert (await carol.get(f"{ADMIN}/")).goes_to == "/+auth/add?next=/%2Bauth/admin/"


async def test_a_reset_is_asked_about_recorded_and_told(
    root: Browser, new_browser: NewBrowser, dan: Person, site: Site
) -> None:
    his = new_browser()
    await his.log_in(dan)
    form = await root.get(f"{ADMIN}/reset?user=Dan")
    assert "Reset second factors: dan" in form.text
    page = await root.fill(form, f"{ADMIN}/reset", reason=f"lost {HOSTILE}  phone")
    assert page.status == 200
    ledger = site.world.ledger
    at = ledger.names().index(Event.RESET)
    assert ledger.details[at] == f"by alice: lost {HOSTILE} phone"
    assert ledger.details[ledger.names().index(Event.INVITED)] == "by alice"
    assert (Notice.RESET, "dan") in ledger.notices
    (link,) = ledger.links
    assert link in page.text
    assert (await his.get("/+auth/")).goes_to.startswith("/+auth/login")
    assert (await his.get(link.removeprefix(site.public))).status == 200
    assert link not in (await root.get(f"{ADMIN}/person?user=dan")).text


FORMS = {act.path: act for act in ACTS}


@pytest.mark.parametrize("path", FORMS)
async def test_an_act_takes_a_form_of_its_own(
    root: Browser, dan: Person, site: Site, path: str
) -> None:
    other = next(one for one in FORMS if one != path)
    form = (await root.get(f"{other}?user=dan")).form(other)
    before = list(site.world.ledger.events)
    for fields in ({**form.fields, "reason": "x"}, {"user": "dan", "reason": "x"}):
        page = await root.post(path, fields)
        assert (page.status, page.reason) == (403, "csrf")
    assert site.world.ledger.events == before


@pytest.mark.parametrize("path", [act.path for act in ACTS if act.others])
async def test_nobody_does_it_to_themselves(root: Browser, site: Site, path: str) -> None:
    assert 'name="reason"' not in (await root.get(f"{path}?user=ALICE")).text
    person = Person("dan")
    await site.world.enrol(person)
    form = (await root.get(f"{path}?user=dan")).form(path)
    page = await root.post(path, {**form.fields, "user": " Alice ", "reason": "x"})
    assert (page.status, page.reason) == (409, "own_account")


async def test_whoever_is_unknown_can_be_invited_and_nothing_else(
    root: Browser, site: Site
) -> None:
    form = await root.get(f"{ADMIN}/invite")
    page = await root.fill(form, f"{ADMIN}/invite", user="Zoë/=1+1", reason="")
    assert "/+auth/invite/" in page.text
    assert (await root.get(f"{ADMIN}/person?user=zo%C3%AB%2F%3D1%2B1")).status == 200
    for path in ("reset", "end-logins", "unlock"):
        assert (await root.get(f"{ADMIN}/{path}?user=nobody")).reason == "no_such_person"
        assert (await root.get(f"{ADMIN}/{path}")).goes_to == f"{ADMIN}/"
    for name in ("", "x" * 201):
        page = await root.fill(form, f"{ADMIN}/invite", user=name)
        assert page.alert, name


async def test_names_and_reasons_are_text(root: Browser, site: Site) -> None:
    form = await root.get(f"{ADMIN}/invite")
    await root.fill(form, f"{ADMIN}/invite", user=HOSTILE, reason=HOSTILE)
    await site.trail.record(Event.INVITED, HOSTILE, Origin(HOSTILE, HOSTILE), detail=HOSTILE)
    await site.trail.record(Event.RESET, "=cmd", Origin(), detail="by alice: =HYPERLINK(1)")
    for path in ("/", "/?show=all", f"/?name={HOSTILE}", "/audit", f"/audit?user={HOSTILE}"):
        page = await root.get(ADMIN + path.replace("<", "%3C").replace(" ", "%20"))
        assert page.status == 200
        assert "<img" not in page.text, path
    text = (await root.get(f"{ADMIN}/audit.csv")).text
    assert '"\'=cmd"' in text
    assert "by alice: '=HYPERLINK" in text


async def test_the_trail_is_found_and_saved_by_the_same_filter(root: Browser, site: Site) -> None:
    for number in range(60):
        await site.trail.record(Event.LOGIN, "alice", Origin("192.0.2.1"), detail=str(number))
    await site.trail.record(Event.RESET, "dan", Origin(), detail="by alice: lost")
    one = await root.get(f"{ADMIN}/audit?event=admin")
    assert "by alice: lost" in one.text
    assert one.text.count("<tr>") == 2
    for query in ("?event=admin", "?user=dan", "?event=reset&since=2027-01-01"):
        lines = (await root.get(f"{ADMIN}/audit.jsonl{query}")).text.splitlines()
        assert len(lines) == 1
        assert '"user":"dan"' in lines[0]
    first = await root.get(f"{ADMIN}/audit?event=login")
    older = [
        a.attributes["href"] for a in first.markup.all("a") if "before=" in a.attributes["href"]
    ]
    assert len(older) == 1
    second = await root.get(older[0])
    assert (first.text.count("<tr>"), second.text.count("<tr>")) == (51, 11)
    assert (await root.get(f"{ADMIN}/audit.csv?until=never")).status == 400


async def test_a_page_stays_small(root: Browser, site: Site) -> None:
    form = await root.get(f"{ADMIN}/invite")
    for number in range(60):
        await site.trail.record(Event.LOGIN, "alice", Origin("192.0.2.1"), detail="x" * 200)
        await root.fill(form, f"{ADMIN}/invite", user=f"person-{number}")
    sheet = next(a.attributes["href"] for a in form.markup.all("link") if "style" in str(a))
    style = len((await root.get(sheet)).text.encode())
    for path in ("/", "/audit", "/stats"):
        page = await root.get(ADMIN + path)
        assert len(page.text.encode()) + style < 60_000, path
