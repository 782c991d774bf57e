"""The translations: compiled as they stand, with the fields and the markup of the English text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from babel.lists import format_list
from babel.messages.catalog import Catalog

from gateway import languages
from gateway.core.phrases import ENGLISH, Catalogue, every, say
from gateway.settings.schema import json_schema
from tools import messages

CODES = [code for code in languages.NAMES if code != ENGLISH.code]


def file(code: str) -> Path:
    return languages.FOLDER / code / "LC_MESSAGES" / "gateway.po"


def pairs(catalogue: Catalog) -> Iterator[tuple[str, str]]:
    """Every English text and its translation; of a plural each form beside the English plural."""
    for message in catalogue:
        if not message.id:
            continue
        if isinstance(message.id, str):
            yield message.id, str(message.string or "")
        else:
            yield from ((message.id[1], text) for text in message.string or ())


def fields(text: str) -> set[str]:
    """`{name}`, with its conversion, and `%(name)s`."""
    parts = Formatter().parse(text)
    braces = {f"{name}!{how}" if how else name for _, name, _, how in parts if name is not None}
    return braces | set(re.findall(r"%\(\w+\)s", text))


def tags(text: str) -> list[str]:
    return sorted(re.findall(r"</?[a-z][^>]*>", text))


def wrong(catalogue: Catalog) -> list[str]:
    found = []
    for english, text in pairs(catalogue):
        if not text:
            continue
        if not fields(text) <= fields(english) or fields(english) - fields(text) - {"%(count)s"}:
            found.append(f"other fields: {text!r}")
        if tags(text) != tags(english):
            found.append(f"other markup: {text!r}")
        if '"' in text and '"' not in english:
            found.append(f"a quotation mark that ends an attribute: {text!r}")
        if text.count("\n\n") or text != text.strip():
            found.append(f"blanks: {text!r}")
    return found


@pytest.mark.parametrize("code", CODES)
def test_a_translation_has_the_fields_and_the_markup_of_the_text(code: str) -> None:
    assert wrong(messages.read(file(code))) == []


@pytest.mark.parametrize(
    "text", ["{other} days", "<b>{name}</b>", 'a "name" {name}', "no field", " {name}"]
)
def test_what_is_wrong_with_one_is_seen(text: str) -> None:
    catalogue = Catalog(locale="de")
    catalogue.add("The name {name}", text)
    assert len(wrong(catalogue)) == 1


@pytest.mark.parametrize("code", CODES)
def test_what_is_installed_is_compiled_of_what_was_translated(code: str) -> None:
    compiled = file(code).with_suffix(".mo").read_bytes()
    assert compiled == messages.compiled(messages.read(file(code))), "run: make messages"


@pytest.mark.parametrize("code", CODES)
def test_a_language_is_read_and_falls_back_to_english(code: str) -> None:
    spoken: Catalogue = languages.catalogue(code)
    assert spoken.code == code
    assert spoken.gettext("Log in") != "Log in"
    assert spoken.gettext("Nobody ever wrote this.") == "Nobody ever wrote this."
    assert spoken.ngettext("a thing", "things", 2) == "things"
    assert "3" in spoken.ngettext("{count} day", "{count} days", 3).format(count=3)


def test_the_settings_name_the_languages_there_are() -> None:
    assert set(json_schema()["properties"]["language"]["enum"]) == set(languages.NAMES)


@pytest.mark.parametrize("code", CODES)
def test_every_text_is_translated(code: str) -> None:
    """Whoever adds a text runs `make messages` and translates it; until then it is English."""
    catalogue = messages.updated(file(code), messages.template())
    missing = [one.id for one in catalogue if one.id and not messages.translated(one)]
    assert missing == [], "run `make messages` and translate these"


@pytest.mark.parametrize("language", languages.NAMES)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_lists_are_joined_as_in_the_language(language: str, count: int) -> None:
    """As Unicode's CLDR has it; English as in Britain, without a comma before the last."""
    parts = ["a", "b", "c", "d"][:count]
    wanted = format_list(parts, locale={"en": "en_GB"}.get(language, language))
    assert say(every(*parts), languages.catalogue(language)) == wanted
