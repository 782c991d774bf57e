"""A language that nobody speaks: English in wide letters, so what was not translated is seen."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_KEPT = re.compile(r"(\{[^}]*\}|%\(\w+\)s|<[^>]*>|&\w+;)")
_SHOWN = frozenset({"alt", "aria-label", "placeholder", "title"})
_SAID = re.compile(r"data-(again|copied|failed|known|unanswered|hide|show)")
_CODE = re.compile(r"\b[A-Z0-9]{4,}(?:-[A-Z0-9]{4,})+")
WORD = re.compile(r"[A-Za-z]{2,}")


def wide(text: str) -> str:
    """The letters of a text in their wide form; fields and markup as they are."""
    parts = _KEPT.split(text)
    return "".join(part if at % 2 else _widened(part) for at, part in enumerate(parts))


def _widened(text: str) -> str:
    return "".join(
        chr(ord(one) + 0xFEE0) if one.isascii() and one.isalpha() else one for one in text
    )


class Strange:
    """A `Catalogue`."""

    code = "en-x-wide"
    gap = " "

    def gettext(self, text: str, /) -> str:
        return wide(text)

    def ngettext(self, one: str, more: str, count: int, /) -> str:
        return wide(one if count == 1 else more)


class _Shown(HTMLParser):
    """Everything of a page that somebody reads or hears."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "input", "br", "hr", "img", "path", "rect"):
            self._inside.append(tag)
        named = [value or "" for name, value in attrs if name in _SHOWN or _SAID.fullmatch(name)]
        self.found += named

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        # Code and addresses are no words, nor are the names of the languages.
        if not {"code", "pre", "style", "script", "nav"} & set(self._inside):
            self.found.append(data)


def plain_words(page: str, known: frozenset[str]) -> list[str]:
    """The words of a page that are in plain letters, without those that are known."""
    shown = _CODE.sub(" ", " ".join(_Shown(page).found))
    for one in sorted(known, key=len, reverse=True):
        shown = shown.replace(one, " ")
    return WORD.findall(shown)
