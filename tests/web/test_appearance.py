"""An administrator's own look on the pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.appearance import Appearance, Picture
from gateway.core.phrases import ENGLISH
from gateway.web import rendering
from tests.web.markup import Markup

LOOK = Appearance(
    logo=Picture("png", b"\x89PNG logo"),
    icon=Picture("png", b"\x89PNG icon"),
    accent="#7a1fa2",
    help="https://example.org/help",
    contact="it@example.org",
    policy="https://example.org/policy",
    note="For staff & guests.",
)
OUTSIDE = (LOOK.help, LOOK.policy, "mailto:it@example.org")


def refused(look: Appearance) -> Markup:
    page = rendering.render(
        "refusal.html",
        "/x",
        ENGLISH,
        look,
        issuer="Example packages",
        session=None,
        token=str,
        token_field="",
        page_path="",
        title="No such page",
        text="There is no such page.",
        slug="not_found",
        request="0f8fad5bd9cb469fa16570867728950e",
        act=None,
        others=(),
    )
    return Markup(page.decode())


def test_pictures_and_colour_are_files_named_by_their_content() -> None:
    plain, own = rendering.load(), rendering.load(LOOK)
    assert own["logo"].content_type == own["icon.svg"].content_type == "image/png"
    assert own["style.css"].served_as != plain["style.css"].served_as
    assert own["style.css"].body.startswith(plain["style.css"].body)
    assert b"--accent: #7a1fa2" in own["style.css"].body
    for asset in own.values():
        assert rendering.find(asset.served_as, LOOK) == asset


def test_a_refusal_shows_all_of_it() -> None:
    markup = refused(LOOK)
    assert {wrong.split(" ")[0] for wrong in markup.wrong} <= {f"href={one!r}" for one in OUTSIDE}
    links = [one.attributes["href"] for one in markup.all("a")]
    assert set(OUTSIDE) <= set(links)
    assert [one.attributes["src"] for one in markup.all("img")] == [
        "/x" + rendering.address("logo", LOOK)
    ]
    icons = [e.attributes["href"] for e in markup.all("link") if e.attributes["rel"] == "icon"]
    assert icons == ["/x" + rendering.address("icon.svg", LOOK)]
    assert "For staff & guests." in [one.text for one in markup.all("p")]


@pytest.mark.parametrize("contact", ["", "Ring 1234."])
def test_a_contact_that_is_no_address_is_no_link(contact: str) -> None:
    markup = refused(replace(LOOK, contact=contact))
    links = [one.attributes["href"] for one in markup.all("a")]
    assert not any(link.startswith("mailto:") for link in links)
    assert any(contact in one.text for one in markup.all("p"))
