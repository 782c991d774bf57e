"""Sentences for people: English until somebody reads them, then in that person's language.

A `Phrase` is the `str` of its English text, so logs, the audit trail and programs get English
without doing anything. What stands before a person says it in theirs: `say`. Knows no files;
catalogues come from `gateway.languages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType
from typing import Final, Protocol

_NONE: Final[Mapping[str, object]] = MappingProxyType({})


class Catalogue(Protocol):
    """One language: its code (RFC 5646) and the translations of English texts.

    gap: what stands between two sentences.
    """

    @property
    def code(self) -> str: ...
    @property
    def gap(self) -> str: ...
    def gettext(self, text: str, /) -> str: ...
    def ngettext(self, one: str, more: str, count: int, /) -> str: ...


class English:
    """The language all texts are written in."""

    code = "en"
    gap = " "

    def gettext(self, text: str, /) -> str:
        return text

    def ngettext(self, one: str, more: str, count: int, /) -> str:
        return one if count == 1 else more


ENGLISH: Final = English()


class Phrase(str):
    """English text that can be said in other languages. Made by `_` and `plural`."""

    __slots__ = ("_count", "_fields", "_more", "_one")

    _one: str
    _more: str
    _count: int
    _fields: Mapping[str, object]

    @classmethod
    def of(
        cls, one: str, more: str = "", count: int = 1, fields: Mapping[str, object] = _NONE
    ) -> Phrase:
        english = one if count == 1 or not more else more
        made = cls(english.format_map(fields) if fields else english)
        made._one, made._more, made._count, made._fields = one, more, count, fields
        return made

    def filled(self, **fields: object) -> Phrase:
        """The same with values for its `{name}` fields, which may be phrases."""
        return Phrase.of(self._one, self._more, self._count, {**self._fields, **fields})

    def said(self, catalogue: Catalogue) -> str:
        found = (
            catalogue.ngettext(self._one, self._more, self._count)
            if self._more
            else catalogue.gettext(self._one)
        )
        if not self._fields:
            return found
        return found.format_map({name: say(held, catalogue) for name, held in self._fields.items()})


def _(text: str, /, **fields: object) -> Phrase:
    """A text that is to be translated, with values for its `{name}` fields.

    `text` is a literal: `make messages` finds it by that, and by the name of this function.
    """
    return Phrase.of(text, fields=fields)


def plural(one: str, more: str, count: int, /, **fields: object) -> Phrase:
    """The same with a number, which both texts may name as `{count}`."""
    return Phrase.of(one, more, count, {"count": count, **fields})


def every(*parts: str) -> str:
    """Several things as one sentence names them: "a password, a token and a cookie"."""
    *more, last = parts
    if not more:
        return last
    some = reduce(lambda some, one: _("{some}, {one}", some=some, one=one), more)
    return _("{some} and {one}", some=some, one=last)


def say(text: object, catalogue: Catalogue) -> str:
    """A phrase in another language; whatever else as it is."""
    return text.said(catalogue) if isinstance(text, Phrase) else str(text)
