"""Accept-Language: ranges, weights, and what cannot be read."""

from __future__ import annotations

import pytest

from gateway.core.http.languages import preferred

OFFERED = ("en", "de", "fr", "ja")


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        pytest.param("de", "de", id="one"),
        pytest.param("DE-at", "de", id="a region, in capitals"),
        pytest.param("de-Latn-DE-1996", "de", id="every part of a tag"),
        pytest.param("fr;q=0.5, de;q=0.8", "de", id="by weight, not by place"),
        pytest.param("fr, de", "fr", id="equal weights: the first"),
        pytest.param("nl, de;q=0.3, en;q=0.2", "de", id="one that is not spoken first"),
        pytest.param("de-CH;q=0.2, fr;q=0.5, de", "de", id="a language named twice: its best"),
        pytest.param("*", "en", id="anything"),
        pytest.param("ja;q=0.1, *", "en", id="anything rather than one"),
        pytest.param("de;q=0", "en", id="none of it"),
        pytest.param("nl", "en", id="nothing that is spoken"),
        pytest.param("", "en", id="nothing"),
        pytest.param("de;q=2, fr;q=0.1", "fr", id="a weight above one"),
        pytest.param("de;q=x, fr;q=.", "en", id="weights that are none"),
        pytest.param("de;level=1, fr", "fr", id="another parameter"),
        pytest.param(";;,,=;q=1,de", "de", id="rubbish"),
        pytest.param(" de \t; q=1.000 ", "de", id="blanks"),
        pytest.param("x," * 40 + "de", "en", id="too many to read"),
    ],
)
def test_the_highest_ranked_language_that_is_spoken(accept: str, found: str) -> None:
    assert preferred(accept, OFFERED, "en") == found


def test_the_default_is_what_anything_means() -> None:
    assert preferred("*", OFFERED, "ja") == "ja"
    assert preferred("nl", OFFERED, "ja") == "ja"
