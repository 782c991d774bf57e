"""The sentences that people read when something goes wrong, word by word, on the running pages."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from gateway import languages
from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import say
from gateway.core.wording import device_name
from gateway.web.handlers.activity import where
from tests.core.world import FIREFOX, Person, World, wrong_code
from tests.web.site import Browser, Page
from tests.web.tour import give_key

WORDS = [
    ("verify", "h1", "Enter your code"),
    ("offer", "button", "Start over with a new QR code"),
    ("codes", "strong", "Save these now: you cannot see them again."),
    ("codes", "label", "I have saved my recovery codes"),
    ("codes", "strong", "Your second factor is switched on when you press Finish."),
    ("approve", "button", "Deny"),
    ("approve", "button", "Deny and report"),
    ("form out of date", "p", "This page was open too long, or you logged in from another tab."),
    ("form out of date", "a", "Start again"),
    ("set-up waits", "a", "Go on where you stopped"),
    ("login", "summary", "Lost phone and codes?"),
    ("login", "summary", "Forgot password?"),
    ("verify", "summary", "Lost phone and codes?"),
    ("reported", "a", "Change password"),
    ("let in", "button", "Deny and report"),
    ("let in reported", "p", "was reported to the administrator"),
]


async def test_every_page_says_it_so(pages: Mapping[str, Page]) -> None:
    missing = [
        (name, words)
        for name, tag, words in WORDS
        if not any(words in e.text for e in pages[name].markup.all(tag))
    ]
    assert missing == []


async def test_commands_are_named_to_administrators_only(pages: Mapping[str, Page]) -> None:
    named = {
        name: found
        for name, page in pages.items()
        if not name.startswith("admin")
        and (found := re.findall(r"index-gateway (?!command)[a-z]+", page.text))
    }
    assert named == {}


async def test_wrong_codes_are_called_what_they_are(
    browser: Browser, alice: Person, world: World
) -> None:
    asked = await browser.follow(await browser.give_password("alice"))
    typed = {"kind": "recovery", "code": "AAAA BBBB CCCC DDDD"}
    page = await browser.fill(asked, "/+auth/verify", **typed)
    said = "That recovery code is wrong or already used. Try another one from your list."
    assert page.alert == said
    for _ in range(6):
        code = wrong_code(alice, world.clock())
        page = await browser.fill(asked, "/+auth/verify", code=code)
    assert page.alert == (
        "Too many wrong codes. App codes work again in 5 minutes. You can use a recovery code or "
        "security key now."
    )


def test_a_full_stop_stands_before_the_way_by_browser() -> None:
    told = Refusal(Slug.OTP_REQUIRED, approve="https://x.example", number="47").text
    assert "PASSWORD,123456. Or open https://x.example within two minutes" in told


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("de", "Firefox auf Linux, 192.0.2.1"),
        ("ja", "Linux の Firefox、192.0.2.1"),
        ("es", "Firefox en Linux, 192.0.2.1"),
        ("fr", "Firefox sur Linux, 192.0.2.1"),
    ],
)
def test_the_names_of_sessions_that_ended_are_translated(code: str, said: str) -> None:
    assert say(where(device_name(FIREFOX), "192.0.2.1"), languages.catalogue(code)) == said


HEADINGS = (
    "Recovery codes",
    "New recovery codes",
    "Save your recovery codes",
    "Confirm your recovery codes",
    "Your new recovery codes are not confirmed",
    "No recovery codes left",
    "Recovery codes not confirmed",
)


@pytest.mark.parametrize("heading", HEADINGS)
def test_long_words_of_german_headings_break_where_they_may(heading: str) -> None:
    """Chromium on Linux knows no German hyphenation; 22 letters do not fit into 320 pixels."""
    said = languages.catalogue("de").gettext(heading)
    assert max(map(len, re.split("[\\s\u00ad]+", said))) < 22


async def test_what_was_just_added_need_not_have_been_used(
    browser: Browser, alice: Person, world: World
) -> None:
    await give_key(world, "alice")
    for days, said in ((0, False), (2, True)):
        world.clock.turn(days * 86400)
        await browser.log_in(alice)
        overview = await browser.get("/+auth/")
        device = await browser.get("/+auth/factor/a2V5")
        assert ("not used since" in overview.text) == said, days
        assert ("Not used since" in device.text) == said, days
