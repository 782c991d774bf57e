"""Colours that can be read, and those that are offered instead."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.appearance import DARK, LIGHT, Appearance, contrast, nearest, readable, style
from gateway.web.rendering import load

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        ("#767676", "#ffffff", 4.54),  # WCAG's own example of the greyest text there may be
    ],
)
def test_contrast_is_wcags(one: str, other: str, expected: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(expected, abs=0.01)


@given(COLOURS)
def test_there_is_a_readable_colour_near_every_one(colour: str) -> None:
    for grounds in (LIGHT, DARK):
        found = nearest(colour, grounds)
        assert readable(found, grounds)
        assert (found == colour) == readable(colour, grounds)


@given(COLOURS.filter(lambda one: readable(one, LIGHT)))
def test_the_style_has_readable_colours_for_both_schemes(colour: str) -> None:
    light, dark = re.findall(r"--accent: (#\w+)", style(Appearance(accent=colour)))
    assert light == colour
    assert readable(dark, DARK)


def test_the_grounds_are_those_of_the_style_sheet() -> None:
    sheet = load()["style.css"].body.decode()
    light, dark = sheet.split("prefers-color-scheme: dark", 1)
    for part, grounds, on_accent in ((light, LIGHT, "#ffffff"), (dark, DARK, "#0c1522")):
        pages = re.findall(r"--(?:page|card|bad-page|warn-page|good-page): (#\w+)", part)
        assert set(pages[:5]) | {on_accent} == set(grounds)
        assert f"--on-accent: {on_accent}" in part


@pytest.mark.parametrize(
    ("contact", "link"),
    [
        ("it@example.org", "mailto:it@example.org"),
        ("https://example.org/help", "https://example.org/help"),
        ("Ring 1234, or write to it@example.org", ""),
        ("", ""),
    ],
)
def test_a_contact_is_an_address_or_a_sentence(contact: str, link: str) -> None:
    assert Appearance(contact=contact).contact_link == link
