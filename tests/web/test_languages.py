"""The language of pages: what the browser asks for, what somebody chose, what is remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from gateway import languages
from gateway.core.phrases import Catalogue
from tests.core.world import Person
from tests.web.site import Browser, Page, Site


class Marked:
    """Texts as they are, each marked."""

    gap = " "

    def __init__(self, code: str) -> None:
        self.code = code

    def gettext(self, text: str, /) -> str:
        return f"[{self.code}] {text}"

    def ngettext(self, one: str, more: str, count: int, /) -> str:
        return self.gettext(one if count == 1 else more)


@pytest.fixture(autouse=True)
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    def catalogue(code: str) -> Catalogue:
        return Marked(code)

    monkeypatch.setattr(languages, "catalogue", catalogue)


def heading(page: Page) -> str:
    return page.markup.all("h1")[0].text.strip()


def asks_for(accept: str) -> Mapping[str, str]:
    return {"accept-language": accept}


async def test_a_page_is_in_the_language_the_browser_asks_for(browser: Browser) -> None:
    page = await browser.send("GET", "/+auth/login", headers=asks_for("nl, fr-CA;q=0.9"))
    assert heading(page) == "[fr] Log in"
    assert page.markup.all("html")[0].attributes["lang"] == "fr"
    assert page.headers["content-language"] == "fr"
    assert page.headers["vary"] == "Accept-Language"


async def test_a_refusal_is_too_and_so_is_one_for_the_script(browser: Browser) -> None:
    page = await browser.send("GET", "/+auth/nothing", headers=asks_for("ja"))
    assert (page.status, heading(page)) == (404, "[ja] No such page")
    assert page.headers["content-language"] == "ja"
    answer = await browser.send("POST", "/+auth/webauthn/verify", headers=asks_for("ja"))
    assert json.loads(answer.text)["message"].startswith("[ja] ")


async def test_who_asks_for_nothing_gets_the_default(browser: Browser) -> None:
    assert heading(await browser.get("/+auth/login")) == "[en] Log in"


async def test_a_choice_on_a_page_counts_more_and_leads_back(browser: Browser) -> None:
    page = await browser.send("GET", "/+auth/language/de?next=/%2Bauth/login")
    assert page.goes_to == "/+auth/login"
    page = await browser.send("GET", "/+auth/login", headers=asks_for("fr"))
    assert heading(page) == "[de] Log in"


@pytest.mark.parametrize("next", ["https://evil.example", "//evil.example", "nothing"])
async def test_a_choice_leads_nowhere_else(browser: Browser, next: str) -> None:
    page = await browser.send("GET", f"/+auth/language/de?next={next}")
    assert page.goes_to == "/+auth/"


async def test_nobody_can_choose_what_is_not_spoken(browser: Browser) -> None:
    assert (await browser.send("GET", "/+auth/language/xx")).status == 404


async def test_mail_is_in_what_a_person_last_read(
    browser: Browser, alice: Person, site: Site
) -> None:
    await browser.get("/+auth/language/es")
    await browser.log_in(alice)
    account = await site.world.flow.services.accounts.get(alice.name)
    assert account is not None
    assert account.language == "es"
