"""No page, refusal or mail has a word that a translator never sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import pytest

from gateway import languages
from gateway.core.audit.events import Origin
from gateway.core.errors import MESSAGES, Message, Slug
from gateway.core.notices.events import Notice
from gateway.core.notices.queue import Letter
from gateway.core.notices.text import subject, text
from gateway.core.phrases import Catalogue, Phrase
from tests.core.world import FIREFOX
from tests.support.strange import Strange, plain_words
from tests.web.site import Page

KNOWN = frozenset(
    {
        # What people, programs and places are called.
        "Example packages",
        "alice",
        "bob",
        "carol",
        "dan",
        "dora",
        "erin",
        "devpi-client",
        "Firefox",
        "Linux",
        "http://localhost:8080",
        "/+auth/",
        "Phone <b>",
        "phone",
        "Blue key",
        "CI of <b>foo</b>",
        "acme-*",
        "laptop",
        "alice/dev",
        "pypirc",
        "twine",
        "uv",
        "poetry",
        "hatch",
        "flit",
        "pdm",
        "pip",
        "GitHub Actions",
        "GitLab CI",
    }
)


@pytest.fixture(autouse=True)
def strange(monkeypatch: pytest.MonkeyPatch) -> None:
    def catalogue(code: str) -> Catalogue:
        return Strange()

    monkeypatch.setattr(languages, "catalogue", catalogue)


async def test_every_word_of_every_page_is_translated(pages: Mapping[str, Page]) -> None:
    found = {
        name: plain_words(page.text, KNOWN)
        for name, page in pages.items()
        if page.text.startswith("<!doctype")
    }
    assert len(found) > 40
    wrong = {name: words for name, words in found.items() if words}
    assert wrong == {}


@pytest.mark.parametrize("slug", MESSAGES)
def test_every_word_of_a_refusal_is_translated(slug: Slug) -> None:
    message = MESSAGES[slug]
    said = {one.name: getattr(message, one.name) for one in fields(Message)}
    for name in ("title", "text", "hint", "option", "other"):
        assert said[name] == "" or isinstance(said[name], Phrase), name


@pytest.mark.parametrize("notice", Notice)
def test_every_word_of_a_mail_is_translated(notice: Notice) -> None:
    origin = Origin("192.0.2.10", FIREFOX)
    letter = Letter("id", "mail", notice, "alice", origin, "phone", 0.0, last=True)
    said = text(letter, "http://localhost:8080", link="/+auth/invite", catalogue=Strange())
    assert plain_words(said, KNOWN | {"invite", "tokens", "UTC"}) == []
    assert plain_words(subject(letter, Strange()), KNOWN) == []
