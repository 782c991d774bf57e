"""Texts that are English until somebody reads them in another language."""

from __future__ import annotations

import json

import pytest

from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import ENGLISH, _, every, plural, say
from gateway.core.wording import in_words, time_left


class Loud:
    """A language of its own: English in capitals, with its fields left alone."""

    code = "en-XL"
    gap = " / "

    def gettext(self, text: str, /) -> str:
        parts = text.replace("{", "\0{").replace("}", "}\0").split("\0")
        return "".join(one if one.startswith("{") else one.upper() for one in parts)

    def ngettext(self, one: str, more: str, count: int, /) -> str:
        return self.gettext(one if count == 1 else more)


LOUD = Loud()


def test_a_phrase_is_its_english_text_for_whoever_does_not_ask() -> None:
    phrase = _("“{name}” was added.", name="phone")
    assert phrase == "“phone” was added." == say(phrase, ENGLISH)
    assert json.dumps([phrase], ensure_ascii=False) == '["“phone” was added."]'


def test_it_is_said_with_its_fields_and_those_that_are_phrases_too() -> None:
    phrase = _("wait {time} for {name}", time=in_words(120), name="phone")
    assert say(phrase, LOUD) == "WAIT 2 MINUTES FOR phone"


def test_values_may_hold_braces() -> None:
    assert say(_("not {name}", name="{x}"), LOUD) == "NOT {x}"


def test_values_may_come_later() -> None:
    later = _("“{name}” was added.")
    assert later == "“{name}” was added."
    assert say(later.filled(name="phone"), LOUD) == "“phone” WAS ADDED."


@pytest.mark.parametrize(("count", "said"), [(1, "1 CODE"), (0, "0 CODES"), (2, "2 CODES")])
def test_numbers_choose_their_form(count: int, said: str) -> None:
    phrase = plural("{count} code", "{count} codes", count)
    assert (phrase, say(phrase, LOUD)) == (said.lower(), said)


def test_plain_text_is_said_as_it_is() -> None:
    assert say("devpi", LOUD) == "devpi"


def test_several_things_are_one_sentence() -> None:
    assert every("a") == "a"
    assert every("a", "b", "c", "d") == "a, b, c and d"
    assert say(every(_("one"), "b"), LOUD) == "ONE AND b"


def test_a_refusal_is_said_in_its_parts() -> None:
    refusal = Refusal(Slug.THROTTLED, wait=in_words(45))
    assert refusal.text == "Too many tries; wait 45 seconds. Then try again."
    assert refusal.said(LOUD) == "TOO MANY TRIES; WAIT 45 SECONDS. / THEN TRY AGAIN."


def test_time_that_is_left_is_a_phrase() -> None:
    assert say(time_left(200), LOUD) == "3 MINUTES"
