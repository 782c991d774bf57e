"""What holds for every page, whichever it is: headers, valid markup, labels, the policy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from gateway.web.responses import CODES, COUNTDOWN, FIELDS, TIMES, WEBAUTHN, policy
from gateway.web.routes import ROUTES, WITH_TAIL
from tests.core.world import Person
from tests.support.pages import SHIELD
from tests.web.site import Browser, Page, Site

SCRIPTS = (WEBAUTHN, CODES, FIELDS, TIMES, COUNTDOWN)
"""The strictest need of a page first: the policy follows from that."""


def is_html(page: Page) -> bool:
    return page.headers.get("content-type", "").startswith("text/html")


async def test_every_page_is_valid_and_accessible(pages: Mapping[str, Page]) -> None:
    wrong = {name: page.markup.wrong for name, page in pages.items() if is_html(page)}
    assert len(wrong) >= 30
    assert {name: found for name, found in wrong.items() if found} == {}


async def test_every_page_has_a_title_of_its_own(pages: Mapping[str, Page]) -> None:
    for name, page in pages.items():
        if is_html(page):
            title = page.markup.all("title")[0].text
            assert title.endswith(" · Example packages"), name
            assert title.startswith("Error: ") == bool(page.alert), name


async def test_every_refused_form_says_why_and_points_at_the_field(
    pages: Mapping[str, Page],
) -> None:
    refused = {name: page for name, page in pages.items() if name.endswith("refused")}
    assert len(refused) >= 5
    for name, page in refused.items():
        assert 400 <= page.status < 500, name
        problem = [e for e in page.markup.elements if e.attributes.get("id") == "problem"]
        assert problem[0].attributes["role"] == "alert", name
        fields = [e for e in page.markup.all("input") if e.attributes.get("aria-invalid")]
        assert fields, name
        assert all("problem" in e.attributes["aria-describedby"] for e in fields), name


def assert_shielded(page: Page, name: str) -> None:
    for header, value in {"server": "index-gateway", **SHIELD}.items():
        assert page.headers.getall(header) == [value], (name, header)
    found = page.headers.getall("content-security-policy")
    features = page.headers["permissions-policy"]
    assert "camera=()" in features, name
    if not page.text:  # the answer to HEAD shows no body
        assert found in [[policy(script=one)] for one in ("", *SCRIPTS)], name
        return
    runs = re.findall(r'<script src="/\+auth/static/(\w+\.)\w+\.(js)" defer>', page.text)
    names = {first + last for first, last in runs}
    assert page.text.count("<script") == len(names) == len(runs), name
    script = next((one for one in SCRIPTS if one in names), "")
    assert found == [policy(script=script)], name
    assert ("publickey-credentials-get=(self)" in features) == (script == WEBAUTHN), name
    assert ("clipboard-write=(self)" in features) == (script in (CODES, FIELDS)), name
    assert not {WEBAUTHN, CODES} <= names, name
    assert (TIMES in names) == ("<time " in page.text), name
    fields = any(mark in page.text for mark in (" data-shows", " data-copies"))
    assert (FIELDS in names) == fields, name
    assert (COUNTDOWN in names) == (" data-seconds" in page.text), name


async def test_every_state_of_every_page_has_the_headers(pages: Mapping[str, Page]) -> None:
    for name, page in pages.items():
        assert_shielded(page, name)


def every_request() -> list[tuple[str, str]]:
    paths = [*ROUTES, *(f"{path}/some-tail" for path in WITH_TAIL), "/+auth/nothing"]
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
    return [(method, path) for path in paths for method in methods]


@pytest.mark.parametrize("logged_in", [False, True], ids=["nobody", "alice"])
async def test_every_route_answers_every_method_with_the_headers(
    browser: Browser, alice: Person, logged_in: bool
) -> None:
    if logged_in:
        await browser.log_in(alice)
    for method, path in every_request():
        page = await browser.send(method, path)
        assert page.status < 500, (method, path)
        assert_shielded(page, f"{method} {path}")
        assert "strict-transport-security" not in page.headers


@pytest.mark.parametrize("limits", [{"public_url": "https://a.example.org"}], indirect=True)
async def test_on_https_every_answer_promises_it_and_cookies_are_locked_to_the_host(
    browser: Browser,
) -> None:
    for method, path in every_request():
        page = await browser.send(method, path)
        assert page.headers["strict-transport-security"].startswith("max-age=31536000")
        for name, line in page.set_cookies().items():
            assert name.startswith("__Host-ig-")
            assert re.search(r"; Path=/; HttpOnly; SameSite=Lax; Secure", line)


async def test_an_answer_to_a_wrong_method_names_the_right_ones(browser: Browser) -> None:
    page = await browser.send("DELETE", "/+auth/login")
    assert (page.status, page.headers["allow"]) == (405, "GET, HEAD, POST")
    page = await browser.get("/+auth/sessions/end")
    assert (page.status, page.headers["allow"]) == (405, "POST")


async def test_no_get_changes_anything(browser: Browser, alice: Person, site: Site) -> None:
    """Every address that has a GET is asked twice, logged in; nothing is recorded of it."""
    await browser.log_in(alice)
    before = list(site.world.ledger.events)
    for path, route in ROUTES.items():
        if route.get is not None:
            await browser.get(path)
            await browser.get(path)
    assert site.world.ledger.events == before
    assert (await browser.get("/+auth/")).status == 200, "still logged in"


# -- static files ------------------------------------------------------------------------------


async def test_static_files_are_named_by_content_and_kept(
    browser: Browser, pages: Mapping[str, Page]
) -> None:
    text = pages["login"].text
    found = re.findall(r'(?:href|src)="(/\+auth/static/[^"]+)"', text)
    assert {name.rpartition(".")[2] for name in found} == {"css", "js", "svg"}
    for path in found:
        page = await browser.get(path)
        assert page.status == 200
        assert page.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/+auth/static",
        "/+auth/static/style.css",
        "/+auth/static/style.000000000000.css",
        "/+auth/static/..style",
        "/+auth/static/pages.py",
        "/+auth/static/a/b.css",
    ],
)
async def test_nothing_else_is_served_as_a_file(browser: Browser, path: str) -> None:
    page = await browser.get(path)
    assert (page.status, page.reason) == (404, "not_found")


async def test_health_says_whether_the_store_answers(browser: Browser, site: Site) -> None:
    healthy = {"name": "index-gateway", "status": "ok", "store": "ok"}
    page = await browser.get("/+auth/health")
    assert (page.status, json.loads(page.text)) == (200, healthy)
    await site.world.store.close()
    page = await browser.get("/+auth/health")
    assert (page.status, json.loads(page.text)) == (200, healthy | {"store": "failed"})


async def test_ready_says_what_is_wrong(browser: Browser, site: Site) -> None:
    page = await browser.get("/+auth/ready")
    told = {"name": "index-gateway", "status": "ready", "store": "ok", "index": "ok"}
    assert (page.status, json.loads(page.text)) == (200, told)
    site.found["index"] = "does not answer"
    page = await browser.get("/+auth/ready")
    told |= {"status": "not ready", "index": "does not answer"}
    assert (page.status, json.loads(page.text)) == (503, told)
