"""`appearance:` of the configuration: pictures that are none, colours that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.appearance import Appearance, Picture
from gateway.settings import ConfigError, loads

HEAD = """\
version: 1
public_url: https://packages.example.org
trusted_proxies: [192.0.2.10]
upstream: {kind: devpi, url: http://127.0.0.1:3141}
store: sqlite:state.db
appearance:
"""
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
SVG = b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"


def look(text: str, base: Path) -> Appearance:
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    return loads((HEAD + lines).encode(), file="gateway.yaml", base=base).appearance.look()


def test_everything_there_is(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(PNG)
    (tmp_path / "icon.svg").write_bytes(SVG)
    found = look(
        "name: Example packages\nlogo: logo.png\nicon: icon.svg\naccent: '#1F5FBF'\n"
        "accent_dark: '#7fb0ff'\nhelp: https://example.org/help\ncontact: it@example.org\n"
        "policy: https://example.org/policy\nnote: For staff only.",
        tmp_path,
    )
    assert found == Appearance(
        logo=Picture("png", PNG),
        icon=Picture("svg", SVG),
        accent="#1f5fbf",
        accent_dark="#7fb0ff",
        help="https://example.org/help",
        contact="it@example.org",
        policy="https://example.org/policy",
        note="For staff only.",
    )


def test_nothing_changes_nothing(tmp_path: Path) -> None:
    settings = loads(
        HEAD.removesuffix("appearance:\n").encode(), file="gateway.yaml", base=tmp_path
    )
    assert settings.appearance.look() == Appearance()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "accent: '#4a90ff'",
            "'#4a90ff' cannot be read on the light pages (contrast below 4.5); #386dc2 would do",
            id="a light accent",
        ),
        pytest.param(
            "accent: '#1f5fbf'\naccent_dark: '#1f5fbf'",
            "cannot be read on the dark pages (contrast below 4.5);",
            id="a dark one on dark pages",
        ),
        pytest.param("accent: blue", "'blue'; a colour such as #1f5fbf", id="a word"),
        pytest.param(
            "accent_dark: '#7fb0ff'", "accent_dark without accent; both", id="half of a pair"
        ),
        pytest.param("logo: no.png", "no.png cannot be read (No such file", id="no file"),
        pytest.param("logo: text.png", "text.png is no picture; a PNG,", id="no picture"),
        pytest.param("icon: large.png", "large.png is too large; a PNG,", id="too large"),
        pytest.param("help: javascript:alert(1)", "'javascript:alert(1)'; an address", id="script"),
        pytest.param("note: ''", "''; one line of up to 300 characters", id="nothing"),
        pytest.param(
            "front_page: true",
            "a front page at devpi, which has its own; leave it out (devpi-web has themes:",
            id="a front page before devpi",
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_would_do(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "text.png").write_bytes(b"hello")
    (tmp_path / "large.png").write_bytes(PNG + bytes(32 * 1024))
    with pytest.raises(ConfigError) as caught:
        look(text, tmp_path)
    assert said in str(caught.value)
